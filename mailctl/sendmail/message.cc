#include "mailctl/sendmail/message.h"

#include <cstdlib>
#include <memory>

#include "common/base/ascii.h"
#include "common/mail/address.h"
#include "common/mail/address_list.h"
#include "common/mail/header.h"

namespace postrider::sendmail {

void add_recipients(std::string_view list, std::vector<std::string>& recipients) {
  for (const ListedAddress& listed : parse_address_list(list)) {
    if (listed.kind != ListedAddress::Kind::mailbox || listed.mailbox.empty()) continue;
    Address address{listed.mailbox, listed.host};
    recipients.push_back(address.to_string());
  }
}

HeaderOfT read_recipients(std::string_view header) {
  HeaderOfT read;
  HeaderReader reader(header);
  size_t covered = 0;
  while (auto field = reader.next()) {
    covered += field->raw.size();
    bool hidden = iequals(field->name, "Bcc") || iequals(field->name, "Resent-Bcc");
    if (hidden || iequals(field->name, "To") || iequals(field->name, "Cc"))
      add_recipients(field->unfolded(), read.recipients);
    if (!hidden) read.header += field->raw;
  }
  read.header += header.substr(std::min(covered, header.size()));
  return read;
}

Result<void> read_lines(std::FILE* input, bool ends_at_dot,
                        const std::function<Result<void>(std::string_view line)>& sink) {
  char* line = nullptr;
  size_t capacity = 0;
  Result<void> result;
  while (result) {
    ssize_t size = ::getline(&line, &capacity, input);
    if (size < 0) break;
    std::string_view text(line, static_cast<size_t>(size));
    if (ends_at_dot && (text == ".\n" || text == ".\r\n" || text == ".")) break;
    result = sink(text);
  }
  std::free(line);
  if (result && std::ferror(input) != 0) return failure("Standard input cannot be read.");
  return result;
}

}  // namespace postrider::sendmail
