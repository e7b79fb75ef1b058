// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace postrider {

/// The length of the well-formed sequence that begins at position, or 0 where there is none. position < text.size().
size_t utf8_sequence(std::string_view text, size_t position);

bool is_valid_utf8(std::string_view text);

}  // namespace postrider
