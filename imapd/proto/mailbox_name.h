// Mailbox names on the wire and inside: modified UTF-7 (RFC 3501 5.1.3) outside, UTF-8 inside, "INBOX" in capitals.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/mail/imap_string.h"

namespace postrider::imap {

constexpr char kDelimiter = '/';

/// Strict: unpaired surrogates, printable ASCII in base64, needless shifts, non-zero padding bits, control characters
/// and 8-bit octets are refused.
std::optional<std::string> decode_utf7(std::string_view text);

/// Takes valid UTF-8 (invalid octets become U+FFFD).
std::string encode_utf7(std::string_view utf8);

/// Well-formed UTF-8 without surrogates, over-long forms and control characters (RFC 3629, RFC 6855 3).
bool is_utf8_name(std::string_view text);

}  // namespace postrider::imap
