#include "common/mail/imap_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/base/ascii.h"
#include "common/base/format.h"

namespace postrider {
void append_imap_string(std::string_view text, std::string& out) {
  bool literal = false, escaped = false;
  for (char c : text) {
    literal = literal || is_8bit(c) || c == '\r' || c == '\n';
    escaped = escaped || c == '"' || c == '\\' || c == '\0';
  }
  if (literal) {
    auto nuls = static_cast<size_t>(std::count(text.begin(), text.end(), '\0'));
    append_format(out, "{{{}}}\r\n", text.size() - nuls);
    std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != '\0'; });
    return;
  }
  out += '"';
  if (!escaped) {
    out += text;
  } else {
    for (char c : text) {
      if (c == '\0') continue;
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += '"';
}

void append_imap_nstring(const std::optional<std::string>& text, std::string& out) {
  if (text) {
    append_imap_string(*text, out);
  } else {
    out += "NIL";
  }
}

std::string canonical_mailbox(std::string name) {
  constexpr std::string_view kInbox = "INBOX";
  if (istarts_with(name, kInbox) && (name.size() == kInbox.size() || name[kInbox.size()] == '/')) {
    name.replace(0, kInbox.size(), kInbox);
  }
  return name;
}

}  // namespace postrider
