// xtext (RFC 3461 section 4): any text as printable ASCII without "+" and "=", for ENVID, ORCPT and AUTH.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postrider::smtp {

std::string xtext_encode(std::string_view text);
/// Nothing where it is not xtext. Octets above 0x7f are refused: they have to be encoded.
std::optional<std::string> xtext_decode(std::string_view text);

}  // namespace postrider::smtp
