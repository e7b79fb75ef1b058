// RFC 4648 §4, padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postrider {

std::string base64_encode(std::string_view bytes);

/// Strict: no line breaks, exact padding, zero bits after the data. Empty text is empty bytes.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace postrider
