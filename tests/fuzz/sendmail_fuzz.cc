// The sendmail command: its arguments, the recipients of a header, and a message as a program writes it.
#include <cstdio>
#include <string>
#include <vector>

#include "mailctl/sendmail/arguments.h"
#include "mailctl/sendmail/message.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr size_t kMaxArguments = 50;

void check_arguments(fuzz::Input& input) {
  std::vector<std::string> arguments;
  while (!input.at_end() && arguments.size() < kMaxArguments) {
    const std::string argument(input.line().substr(0, 1'000));
    if (argument.empty()) break;
    arguments.push_back(argument.substr(0, argument.find('\0')));
  }
  const auto parsed = sendmail::parse_arguments("sendmail", arguments);
  if (!parsed) must(!parsed.error().message.empty(), "an error is a sentence");
}

void check_message(std::string_view text, bool ends_at_dot) {
  if (text.empty()) return;
  std::string copy(text), read;
  std::FILE* file = fmemopen(copy.data(), copy.size(), "r");
  const auto done = sendmail::read_lines(file, ends_at_dot, [&](std::string_view line) -> Result<void> {
    read += line;
    return {};
  });
  std::fclose(file);
  must(done.has_value() && read.size() <= text.size(), "a message is read");
  must(text.starts_with(read), "octet for octet");
  if (!ends_at_dot) must(read.size() == text.size(), "to its end");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  check_arguments(input);
  const std::string_view text = input.rest();
  const sendmail::HeaderOfT header = sendmail::read_recipients(text);
  must(header.header.size() <= text.size() + 2, "Bcc is taken out and nothing put in");
  for (const std::string& recipient : header.recipients) must(!recipient.empty(), "a recipient is one");
  check_message(text, false);
  check_message(text, true);
  return 0;
}
