// Log lines in logfmt or JSON to stderr, one write a line: time, level, program, event, then the fields of the event.
// Levels: debug (for a developer), info (what happened to a connection or message), warn (worked around, somebody
// should look), error (something failed that must not). A password or a body is never a field.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace postrider {

enum class LogLevel { debug, info, warn, error };
enum class LogFormat {
  logfmt,  // key=value, the value in quotes and escaped as in JSON where it needs that
  json,    // one object a line; every value is a string
};

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
/// From now on.
void set_log_format(LogFormat format);
/// Names the program in every line; the text must outlive the process.
void set_log_program(std::string_view program);

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

/// A whole line with its line end. Values may be any octets: what is not UTF-8 becomes U+FFFD. Keys and the event are
/// words of ours. Pure.
std::string format_log_line(LogFormat format, std::chrono::system_clock::time_point time, LogLevel level,
                            std::string_view program, std::string_view event, std::initializer_list<LogField> fields);

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
