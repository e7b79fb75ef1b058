// IMAP's ENVELOPE of a message (RFC 3501 7.4.2).
#pragma once

#include <string>
#include <string_view>

namespace postrider {

constexpr size_t kMaxHeaderFields = 5'000;  // fields of one header block that are looked at

/// The ENVELOPE value of a header block, "(...)". Fields that are not there are NIL; an address field that appears
/// twice is read as one list; encoded words are not decoded.
std::string make_envelope(std::string_view header_block);

/// What stands where a header was not interpreted: all NIL.
constexpr std::string_view kEmptyEnvelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";

}  // namespace postrider
