// What both sides of SCRAM read and write (RFC 5802 7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postrider::sasl {

/// saslname: "=2C" is a comma, "=3D" an equals sign.
std::string encode_saslname(std::string_view text);
/// Nothing where one of the two stands bare.
std::optional<std::string> decode_saslname(std::string_view text);

/// The value of "X=value" at the front of text, which is taken off with its comma. Nothing, and text as it was, where
/// something else stands there.
std::optional<std::string_view> take_attribute(std::string_view& text, char name);

}  // namespace postrider::sasl
