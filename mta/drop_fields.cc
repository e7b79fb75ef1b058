// What a message of a user of this machine gets from us: its sender and the fields that it lacks.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/random.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "mta/drop_reader.h"

namespace postrider {
namespace {

/// Whether the message begins with a header field: what a program pipes in may be text alone.
bool begins_with_field(std::string_view head) {
  size_t colon = head.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  return std::all_of(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(colon),
                     [](char c) { return c > ' ' && c < 0x7f; });
}

std::string display_name(const std::string& name) {
  if (name.empty() || has_8bit(name)) return {};
  std::string quoted = "\"";
  for (char c : name) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += is_ctl(c) ? ' ' : c;
  }
  return quoted + "\" ";
}

}  // namespace

std::string drop_sender(const DropEnvelope& envelope, const std::string& user, bool trusted,
                        const std::string& hostname) {
  std::string own = Address{user, hostname}.to_string();
  if (!envelope.sender || (!trusted && *envelope.sender != own)) return own;
  if (envelope.sender->empty()) return {};
  auto given = parse_mailbox(*envelope.sender, Utf8::allowed);
  if (given) return given->to_string();
  bool bare = envelope.sender->find('@') == std::string::npos;
  return bare ? Address{*envelope.sender, hostname}.to_string() : own;
}

DropFields drop_fields(std::string_view head, const std::string& hostname, uint32_t uid, const std::string& id,
                       const std::string& sender, const std::string& full_name, UnixTime now) {
  DropFields fields;
  fields.received =
      fmt::format("Received: by {} (from uid {})\r\n\tid {}; {}\r\n", hostname, uid, id, format_date_time(now));
  bool ends_itself = head.starts_with('\n') || head.starts_with('\r');  // it begins with the empty line
  fields.head = head.size();
  if (!begins_with_field(head)) head = {};
  if (head.empty() && !ends_itself) fields.head = 0;
  fields.message_id = find_header(head, "Message-ID").value_or("");
  if (!find_header(head, "Date")) fields.text += fmt::format("Date: {}\r\n", format_date_time(now));
  if (fields.message_id.empty()) {
    fields.message_id = fmt::format("<{}.{:016x}@{}>", id, random_u64(), hostname);
    fields.text += fmt::format("Message-ID: {}\r\n", fields.message_id);
  }
  if (!find_header(head, "From")) {
    fields.text +=
        fmt::format("From: {}<{}>\r\n", display_name(full_name), sender.empty() ? "mailer-daemon@" + hostname : sender);
  }
  if (head.empty() && !ends_itself) fields.text += "\r\n";
  return fields;
}

}  // namespace postrider
