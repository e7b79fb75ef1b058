// Log lines in logfmt to stderr, one write a line: time, level, event, then key=value fields.
// Levels: debug (for a developer), info (what happened to a connection or message), warn (worked around, somebody
// should look), error (something failed that must not). A password or a body is never a field.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace postrider {

enum class LogLevel { debug, info, warn, error };

struct LogField {
  template <class T>
  LogField(std::string_view field_key, const T& field_value) : key(field_key) {
    // A string_view of nothing has no address, and fmt would copy from it.
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      value = std::string_view(field_value);
    } else {
      value = fmt::to_string(field_value);
    }
  }
  std::string_view key;
  std::string value;
};

/// Lines below this level are dropped.
void set_log_level(LogLevel level);
/// Names the program in every line; the text must outlive the process.
void set_log_program(std::string_view program);

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

inline void log_debug(std::string_view event, std::initializer_list<LogField> fields) {
  log_line(LogLevel::debug, event, fields);
}
inline void log_info(std::string_view event, std::initializer_list<LogField> fields) {
  log_line(LogLevel::info, event, fields);
}
inline void log_warn(std::string_view event, std::initializer_list<LogField> fields) {
  log_line(LogLevel::warn, event, fields);
}
inline void log_error(std::string_view event, std::initializer_list<LogField> fields) {
  log_line(LogLevel::error, event, fields);
}

}  // namespace postrider
