// Formatted text at the end of a string.
#pragma once

#include <fmt/core.h>

#include <string>

namespace postrider {

/// append_format() without the types: compiled once, because a file that formats for itself compiles all of fmt's
/// writers again.
void append_formatted(std::string& out, fmt::string_view format, fmt::format_args arguments);

/// Appends what fmt::format() would return.
template <class... Args>
void append_format(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  append_formatted(out, format, fmt::make_format_args(args...));
}

}  // namespace postrider
