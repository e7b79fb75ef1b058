// Strings as IMAP sends them (RFC 3501 4.3): for the values that are made once and stored ready to send.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postrider {

/// Quoted where that is possible, a literal where there are 8-bit octets, CR or LF. NUL cannot be sent at all and is
/// dropped.
void append_imap_string(std::string_view text, std::string& out);

/// The same; NIL for nothing.
void append_imap_nstring(const std::optional<std::string>& text, std::string& out);

/// INBOX in any case is INBOX, also as the first level of a longer name; other names are as they are.
std::string canonical_mailbox(std::string name);

}  // namespace postrider
