#include "common/base/log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "common/base/format.h"
#include "common/base/utf8.h"

namespace postrider {
namespace {

std::atomic<LogLevel> minimum_level = LogLevel::info;
std::atomic<LogFormat> current_format = LogFormat::logfmt;
std::string_view program_name = "postrider";

constexpr std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

/// In quotes, as JSON has it (RFC 8259 7); what is not UTF-8 becomes U+FFFD.
void append_quoted(std::string& out, std::string_view value) {
  out += '"';
  for (size_t i = 0; i < value.size();) {
    const auto octet = static_cast<unsigned char>(value[i]);
    const size_t size = utf8_sequence(value, i);
    if (size == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (octet == '"' || octet == '\\') {
      out += '\\';
      out += value[i];
    } else if (octet == '\n') {
      out += "\\n";
    } else if (octet == '\r') {
      out += "\\r";
    } else if (octet < 0x20 || octet == 0x7f) {
      append_format(out, "\\u{:04x}", octet);
    } else {
      out += value.substr(i, size);
    }
    i += size;
  }
  out += '"';
}

/// Whether logfmt can do without quotes.
bool is_plain(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  });
}

void append_field(std::string& out, LogFormat format, std::string_view key, std::string_view value) {
  if (format == LogFormat::json) {
    append_quoted(out, key);
    out += ':';
    append_quoted(out, value);
    return;
  }
  out += key;
  out += '=';
  if (is_plain(value)) {
    out += value;
  } else {
    append_quoted(out, value);
  }
}

}  // namespace

void set_log_level(LogLevel level) {
  minimum_level = level;
}
void set_log_program(std::string_view program) {
  program_name = program;
}

void set_log_format(LogFormat format) {
  current_format = format;
}

std::string format_log_line(LogFormat format, std::chrono::system_clock::time_point time, LogLevel level,
                            std::string_view program, std::string_view event, std::initializer_list<LogField> fields) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const bool json = format == LogFormat::json;
  std::string line = json ? "{" : "";
  append_field(line, format, "time",
               fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), (now - seconds).count()));
  const auto field = [&](std::string_view key, std::string_view value) {
    line += json ? ',' : ' ';
    append_field(line, format, key, value);
  };
  field("level", name_of(level));
  field("program", program);
  field("event", event);
  for (const LogField& one : fields) field(one.key, one.value);
  line += json ? "}\n" : "\n";
  return line;
}

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < minimum_level.load(std::memory_order_relaxed)) return;
  const std::string line = format_log_line(current_format.load(std::memory_order_relaxed),
                                           std::chrono::system_clock::now(), level, program_name, event, fields);
  // One write a line; nothing sensible can be done when stderr is gone.
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace postrider
