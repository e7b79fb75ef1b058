// From a value as it was read to the member of the Config, and back to text.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/config/keys.h"
#include "common/config/values.h"

namespace postrider::config {
namespace {

constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error"};
constexpr size_t kMaxListed = 1'000;  // entries of a list or a table

std::string wants(const Key& key) {
  switch (key.kind) {
    case Kind::text:
      return "text in quotes";
    case Kind::port:
      return "a port number";
    case Kind::number:
      return "a whole number";
    case Kind::size:
      return "a size such as \"64KiB\", \"50MiB\" or a number of octets";
    case Kind::duration:
    case Kind::milliseconds:
      return "a duration such as \"90s\", \"5m\", \"4h\" or \"5d\"";
    case Kind::log_level:
      return "one of \"debug\", \"info\", \"warn\" and \"error\"";
    case Kind::choice: {
      std::string list;
      for (std::string_view choices = key.choices; !choices.empty();) {
        const std::string_view one = choices.substr(0, choices.find('|'));
        choices.remove_prefix(std::min(one.size() + 1, choices.size()));
        list += fmt::format("{}\"{}\"", list.empty() ? "" : choices.empty() ? " and " : ", ", one);
      }
      return "one of " + list;
    }
    case Kind::text_list:
      return "a list of texts, such as [\"a\", \"b\"]";
    case Kind::duration_list:
      return "a list of durations, such as [\"5m\", \"1h\"]";
    case Kind::table:
      return "a table, such as { \"example.net\" = \"mx.internal:25\" }";
  }
  return {};
}

tl::unexpected<Error> wrong(const Key& key) {
  return failure(fmt::format("{} must be {}.", key.name, wants(key)));
}

std::string format_bound(const Key& key, uint64_t value) {
  switch (key.kind) {
    case Kind::size:
      return format_size(value);
    case Kind::duration:
    case Kind::duration_list:
      return format_duration(Seconds(value));
    case Kind::milliseconds:
      return format_duration(std::chrono::milliseconds(value));
    default:
      return fmt::to_string(value);
  }
}

Result<uint64_t> within(const Key& key, uint64_t value) {
  if (value >= key.minimum && value <= key.maximum) return value;
  return failure(fmt::format("{} must be from {} to {}.", key.name, format_bound(key, key.minimum),
                             format_bound(key, key.maximum)));
}

std::optional<uint64_t> whole_seconds(std::string_view text) {
  auto duration = parse_duration(text);
  if (!duration || duration->count() % 1000 != 0) return std::nullopt;
  return static_cast<uint64_t>(duration->count() / 1000);
}

/// Numbers of every kind, in the unit of the member.
Result<uint64_t> quantity(const Key& key, const RawValue& value) {
  std::optional<uint64_t> number;
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    // A bare number is no duration, except for nothing at all.
    const bool needs_unit = key.kind == Kind::duration || key.kind == Kind::milliseconds;
    if (*integer >= 0 && (!needs_unit || *integer == 0)) number = static_cast<uint64_t>(*integer);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    if (key.kind == Kind::size) number = parse_size(*text);
    if (key.kind == Kind::duration) number = whole_seconds(*text);
    if (key.kind == Kind::number || key.kind == Kind::port) number = parse_number(*text);
    if (auto duration = parse_duration(*text); key.kind == Kind::milliseconds && duration) {
      number = static_cast<uint64_t>(duration->count());
    }
  }
  if (!number) return wrong(key);
  if (key.kind == Kind::port && *number > 65'535) return failure(fmt::format("{} must be from 0 to 65535.", key.name));
  return within(key, *number);
}

Result<void> assign_one(const Key& key, const RawValue& value, std::string& member) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return wrong(key);
  if (key.kind == Kind::choice) {
    const bool offered = !text->empty() && text->find('|') == std::string::npos &&
                         fmt::format("|{}|", key.choices).find(fmt::format("|{}|", *text)) != std::string::npos;
    if (!offered) return wrong(key);
    member = *text;
    return {};
  }
  if (text->size() < key.minimum || text->size() > std::min<uint64_t>(key.maximum, 4096)) {
    return failure(fmt::format("{} must be from {} to {} characters long.", key.name, key.minimum,
                               std::min<uint64_t>(key.maximum, 4096)));
  }
  if (std::any_of(text->begin(), text->end(), is_ctl)) {
    return failure(fmt::format("{} must not have control characters.", key.name));
  }
  member = *text;
  return {};
}

Result<void> assign_one(const Key& key, const RawValue& value, LogLevel& member) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return wrong(key);
  auto found = std::find(std::begin(kLevels), std::end(kLevels), *text);
  if (found == std::end(kLevels)) return wrong(key);
  member = static_cast<LogLevel>(found - std::begin(kLevels));
  return {};
}

template <class Number>
Result<void> assign_number(const Key& key, const RawValue& value, Number& member) {
  auto number = quantity(key, value);
  if (!number) return tl::unexpected(number.error());
  member = Number(*number);
  return {};
}
Result<void> assign_one(const Key& key, const RawValue& value, uint64_t& member) {
  return assign_number(key, value, member);
}
Result<void> assign_one(const Key& key, const RawValue& value, Seconds& member) {
  return assign_number(key, value, member);
}
Result<void> assign_one(const Key& key, const RawValue& value, std::chrono::milliseconds& member) {
  return assign_number(key, value, member);
}
Result<void> assign_one(const Key& key, const RawValue& value, uint16_t& member) {
  uint64_t wide = 0;
  auto done = assign_number(key, value, wide);
  if (done) member = static_cast<uint16_t>(wide);
  return done;
}

Result<const std::vector<std::string>*> list(const Key& key, const RawValue& value) {
  const auto* texts = std::get_if<std::vector<std::string>>(&value);
  if (texts == nullptr) return wrong(key);
  if (texts->size() > kMaxListed)
    return failure(fmt::format("{} must not have more than {} entries.", key.name, kMaxListed));
  return texts;
}

Result<void> assign_one(const Key& key, const RawValue& value, std::vector<std::string>& member) {
  auto texts = list(key, value);
  if (!texts) return tl::unexpected(texts.error());
  member = **texts;
  return {};
}

Result<void> assign_one(const Key& key, const RawValue& value, std::vector<Seconds>& member) {
  auto texts = list(key, value);
  if (!texts) return tl::unexpected(texts.error());
  std::vector<Seconds> durations;
  for (const std::string& text : **texts) {
    auto seconds = whole_seconds(text);
    if (!seconds) return wrong(key);
    if (auto checked = within(key, *seconds); !checked) return tl::unexpected(checked.error());
    durations.emplace_back(*seconds);
  }
  member = std::move(durations);
  return {};
}

Result<void> assign_one(const Key& key, const RawValue& value, std::map<std::string, std::string>& member) {
  const auto* table = std::get_if<std::map<std::string, std::string>>(&value);
  if (table == nullptr) return wrong(key);
  if (table->size() > kMaxListed)
    return failure(fmt::format("{} must not have more than {} entries.", key.name, kMaxListed));
  member.clear();
  for (const auto& [name, target] : *table) member[lower(name)] = target;
  return {};
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (auto part = trim(text.substr(0, comma)); !part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::string format_one(const Key& key, uint64_t value) {
  return key.kind == Kind::size && value >= 1024 && value % 1024 == 0 ? toml_string(format_size(value))
                                                                      : fmt::to_string(value);
}
std::string format_one(const Key&, uint16_t value) {
  return fmt::to_string(value);
}
std::string format_one(const Key&, const std::string& value) {
  return toml_string(value);
}
std::string format_one(const Key&, Seconds value) {
  return toml_string(format_duration(value));
}
std::string format_one(const Key&, std::chrono::milliseconds value) {
  return toml_string(format_duration(value));
}
std::string format_one(const Key&, LogLevel value) {
  return toml_string(kLevels[static_cast<size_t>(value)]);
}
template <class Element>
std::string format_one(const Key& key, const std::vector<Element>& value) {
  std::string out = "[";
  for (const Element& element : value) out += (out.size() > 1 ? ", " : "") + format_one(key, element);
  return out + ']';
}
std::string format_one(const Key&, const std::map<std::string, std::string>& value) {
  if (value.empty()) return "{}";
  std::string out = "{";
  for (const auto& [name, target] : value) {
    out += (out.size() > 1 ? ", " : " ") + toml_string(name) + " = " + toml_string(target);
  }
  return out + " }";
}

}  // namespace

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (is_ctl(c)) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

Result<void> assign(const Key& key, const RawValue& value, Config& config) {
  return std::visit([&](auto access) { return assign_one(key, value, access(config)); }, key.access);
}

Result<void> assign_text(const Key& key, std::string_view text, Config& config) {
  if (key.kind == Kind::text_list || key.kind == Kind::duration_list) return assign(key, split(text), config);
  if (key.kind != Kind::table) return assign(key, std::string(text), config);
  std::map<std::string, std::string> table;
  for (const std::string& pair : split(text)) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos)
      return failure(fmt::format("{} must be written as name=value,name=value.", key.name));
    table[std::string(trim(std::string_view(pair).substr(0, equals)))] =
        trim(std::string_view(pair).substr(equals + 1));
  }
  return assign(key, table, config);
}

std::string format_value(const Key& key, const Config& config) {
  // The table leads to members that may be changed; a copy is what is read here.
  Config copy = config;
  return std::visit([&](auto access) { return format_one(key, access(copy)); }, key.access);
}

}  // namespace postrider::config
