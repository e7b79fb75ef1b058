// Decimal numbers from outside: fixed width, no sign, no blanks, overflow is a failure.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace postrider {

template <class Unsigned = uint64_t>
constexpr std::optional<Unsigned> parse_number(std::string_view text) {
  Unsigned value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace postrider
