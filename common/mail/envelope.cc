#include "common/mail/envelope.h"

#include <array>
#include <optional>

#include "common/base/ascii.h"
#include "common/mail/address_list.h"
#include "common/mail/header.h"
#include "common/mail/imap_string.h"

namespace postrider {
namespace {

/// In the order in which ENVELOPE has them.
enum Field : size_t { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id, kFieldCount };

constexpr std::array<std::string_view, kFieldCount> kNames = {"date", "subject", "from", "sender",      "reply-to",
                                                              "to",   "cc",      "bcc",  "in-reply-to", "message-id"};

constexpr bool is_address_field(size_t field) {
  return field >= from && field <= bcc;
}

std::optional<size_t> field_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (iequals(kNames[i], name)) return i;
  }
  return std::nullopt;
}

/// Quoted, or NIL where there is nothing.
void append_text_or_nil(std::string_view text, std::string& out) {
  if (text.empty()) {
    out += "NIL";
  } else {
    append_imap_string(text, out);
  }
}

/// A missing local part or host of a mailbox is "": NIL would mean a group (RFC 3501 7.4.2).
void append_address(const ListedAddress& address, std::string& out) {
  switch (address.kind) {
    case ListedAddress::Kind::group_begin:
      out += "(NIL NIL ";
      append_imap_string(address.mailbox, out);
      out += " NIL)";
      return;
    case ListedAddress::Kind::group_end:
      out += "(NIL NIL NIL NIL)";
      return;
    case ListedAddress::Kind::mailbox:
      out += '(';
      append_text_or_nil(address.name, out);
      out += ' ';
      append_text_or_nil(address.route, out);
      out += ' ';
      append_imap_string(address.mailbox, out);
      out += ' ';
      append_imap_string(address.host, out);
      out += ')';
  }
}

std::string address_list_value(std::string_view text) {
  auto list = parse_address_list(text);
  if (list.empty()) return "NIL";
  std::string out = "(";
  for (const auto& address : list) append_address(address, out);
  out += ')';
  return out;
}

}  // namespace

std::string make_envelope(std::string_view header_block) {
  std::array<std::optional<std::string>, kFieldCount> values;
  HeaderReader reader(header_block);
  for (size_t count = 0; count < kMaxHeaderFields; ++count) {
    auto field = reader.next();
    if (!field) break;
    auto which = field_of(field->name);
    if (!which) continue;
    auto& value = values[*which];
    if (!value) {
      value = field->unfolded();
    } else if (is_address_field(*which)) {
      *value += ", ";
      *value += field->unfolded();
    }
  }

  std::string out = "(";
  std::string from_list;
  for (size_t i = 0; i < kFieldCount; ++i) {
    if (i > 0) out += ' ';
    if (!is_address_field(i)) {
      append_imap_nstring(values[i], out);
      continue;
    }
    std::string list = address_list_value(values[i].value_or(""));
    if (i == from) from_list = list;
    bool defaults = (i == sender || i == reply_to) && list == "NIL";
    out += defaults ? from_list : list;
  }
  out += ')';
  return out;
}

}  // namespace postrider
