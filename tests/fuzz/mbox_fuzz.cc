// mbox files: read the same however they are cut; what is written to one comes back from it.
#include <string>
#include <vector>

#include "mailctl/transfer/mbox_format.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;
using mailctl::MboxReader;
using mailctl::MboxWriter;

namespace {

constexpr UnixTime kLatest = 253'402'300'799;  // the end of the year 9999

struct Message {
  UnixTime date = 0;
  std::string text;
  uint64_t flags = 0;
  std::vector<std::string> keywords;
  bool operator==(const Message&) const = default;
};

class Folder : public mailctl::MboxVisitor {
 public:
  void begin(std::string_view from_line, UnixTime date) override {
    must(from_line.starts_with("From "), "a message begins with its line");
    must(date >= 0, "a date can be kept");
    messages.emplace_back().date = date;
  }
  void text(std::string_view piece) override { messages.back().text += piece; }
  void end(const mailctl::StatusFields& status) override {
    messages.back().flags = status.flags();
    messages.back().keywords = status.keywords();
  }
  std::vector<Message> messages;
};

std::vector<Message> read(std::string_view file, size_t piece) {
  Folder folder;
  MboxReader reader(folder);
  for (size_t at = 0; at < file.size(); at += piece) reader.feed(file.substr(at, piece));
  reader.finish();
  return folder.messages;
}

std::string written(const Message& message, size_t piece) {
  MboxWriter writer;
  std::string out;
  writer.begin("somebody@example.test", message.date, message.flags, message.keywords, out);
  for (size_t at = 0; at < message.text.size(); at += piece)
    writer.text(std::string_view(message.text).substr(at, piece), out);
  writer.end(out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t piece = 1 + input.choice(200);
  const std::string_view text = input.rest();
  std::vector<Message> messages = read(text, text.size() + 1);
  must(messages == read(text, piece), "a file is the same however it is cut");

  messages.emplace_back().text = text;
  std::string all;
  for (Message& message : messages) {
    if (message.date > kLatest) message.date = kLatest;
    const std::string once = written(message, piece);
    const std::vector<Message> back = read(once, once.size());
    must(back.size() == 1, "a message is one, whatever is in it");
    must(back[0].date == message.date && back[0].flags == message.flags, "date and flags come back");
    must(back[0].keywords == message.keywords, "keywords come back");
    message = back[0];
    all += written(message, piece);
  }
  must(read(all, piece) == messages, "messages stay as they are, side by side");
  return 0;
}
