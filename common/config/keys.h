// The table of every configuration key. What is not in it is not in the configuration.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"

namespace postrider::config {

enum class Kind {
  text,
  port,
  number,
  size,
  duration,
  milliseconds,
  log_level,
  choice,
  text_list,
  duration_list,
  table
};

/// Leads to the member of a Config that a key sets.
using Access = std::variant<std::string& (*)(Config&), uint16_t& (*)(Config&), uint64_t& (*)(Config&),
                            Seconds& (*)(Config&), std::chrono::milliseconds& (*)(Config&), LogLevel& (*)(Config&),
                            std::vector<std::string>& (*)(Config&), std::vector<Seconds>& (*)(Config&),
                            std::map<std::string, std::string>& (*)(Config&)>;

struct Key {
  std::string_view name;  // "smtp.port"
  Kind kind;
  Access access;
  std::string_view sentence;  // for docs/configuration.md
  uint64_t minimum = 0;       // numbers, sizes (octets), durations (in the unit of the member)
  uint64_t maximum = uint64_t{1} << 62;
  std::string_view default_text{};  // where the default is found out when the program starts
  std::string_view choices{};       // of a choice: "off|on"
};

/// In the order of the document, sections together.
std::span<const Key> keys();
/// nullptr: there is none of that name.
const Key* find_key(std::string_view name);
/// The known name that looks most like this one; empty where none does.
std::string_view nearest_key(std::string_view name);
/// "POSTRIDER_SMTP_PORT".
std::string environment_name(const Key& key);

/// A value as it was read, before its key says what it has to be.
using RawValue = std::variant<std::string, int64_t, bool, std::vector<std::string>, std::map<std::string, std::string>>;

/// Puts a value where the key says. The error is a sentence that begins with the key's name.
Result<void> assign(const Key& key, const RawValue& value, Config& config);
/// The same from text alone (environment, command line): lists separated by commas, tables as a=b,c=d.
Result<void> assign_text(const Key& key, std::string_view text, Config& config);
/// The value as TOML; a table as an inline table.
std::string format_value(const Key& key, const Config& config);
/// Text in quotes, as TOML wants it.
std::string toml_string(std::string_view text);

}  // namespace postrider::config
