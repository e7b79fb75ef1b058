// The only file that includes toml++.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/config/keys.h"
#include "common/config/load.h"

#define TOML_ENABLE_FORMATTERS 0
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wold-style-cast"
#pragma clang diagnostic ignored "-Wconversion"
#pragma clang diagnostic ignored "-Wshadow"
#include <toml++/toml.h>
#pragma clang diagnostic pop

namespace postrider::config {
namespace {

/// An error at a place in the file, on one line: what it quotes of the file may hold line ends and other controls.
tl::unexpected<Error> error_at(const std::string& name, const toml::source_region& where, std::string_view message) {
  std::string text = fmt::format("{}:{}:{}: {}", name, where.begin.line, where.begin.column, message);
  std::replace_if(text.begin(), text.end(), is_ctl, ' ');
  return failure(std::move(text));
}

class Reader {
 public:
  Reader(const std::string& name, Config& config) : name_(name), config_(config) {}

  /// prefix: the dotted name of the table, with its last dot.
  Result<void> read(const toml::table& table, const std::string& prefix) {
    for (auto&& [key, node] : table) {
      const std::string full = prefix + std::string(key.str());
      if (const Key* known = find_key(full)) {
        if (auto done = set(*known, node); !done) return done;
      } else if (const toml::table* inner = node.as_table();
                 inner != nullptr && (!inner->empty() || is_section(full))) {
        if (auto done = read(*inner, full + '.'); !done) return done;
      } else {
        return unknown(full, key.source());
      }
    }
    return {};
  }

 private:
  static bool is_section(const std::string& name) {
    for (const Key& key : keys()) {
      if (key.name.starts_with(name + '.')) return true;
    }
    return false;
  }

  tl::unexpected<Error> at(const toml::source_region& where, std::string_view message) {
    return error_at(name_, where, message);
  }

  tl::unexpected<Error> unknown(const std::string& full, const toml::source_region& where) {
    std::string_view nearest = nearest_key(full);
    if (nearest.empty()) {
      return at(where, fmt::format("There is no key {}. `mailctl config document` lists those that there are.", full));
    }
    return at(where, fmt::format("There is no key {}. Did you mean {}?", full, nearest));
  }

  Result<void> set(const Key& key, const toml::node& node) {
    auto value = raw(key, node);
    if (!value) return at(node.source(), value.error().message);
    if (auto done = assign(key, *value, config_); !done) return at(node.source(), done.error().message);
    return {};
  }

  static Result<RawValue> raw(const Key& key, const toml::node& node) {
    if (auto text = node.value_exact<std::string>()) return RawValue(std::move(*text));
    if (auto number = node.value_exact<int64_t>()) return RawValue(*number);
    if (auto flag = node.value_exact<bool>()) return RawValue(*flag);
    if (const toml::array* array = node.as_array()) {
      std::vector<std::string> texts;
      for (auto&& element : *array) {
        auto text = element.value_exact<std::string>();
        if (!text) return failure(fmt::format("{} must be a list of texts in quotes.", key.name));
        texts.push_back(std::move(*text));
      }
      return RawValue(std::move(texts));
    }
    std::map<std::string, std::string> pairs;
    const toml::table* table = node.as_table();
    if (table == nullptr || !flatten(*table, "", pairs)) {
      return failure(fmt::format("{} has a value of a kind that is not used here.", key.name));
    }
    return RawValue(std::move(pairs));
  }

  /// example.net = "..." without quotes is a table in a table to TOML; a domain is what is meant.
  static bool flatten(const toml::table& table, const std::string& prefix, std::map<std::string, std::string>& pairs) {
    for (auto&& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (const toml::table* inner = node.as_table()) {
        if (!flatten(*inner, name + '.', pairs)) return false;
      } else if (auto text = node.value_exact<std::string>()) {
        pairs[name] = std::move(*text);
      } else {
        return false;
      }
    }
    return true;
  }

  const std::string& name_;
  Config& config_;
};

}  // namespace

Result<void> apply_toml(std::string_view text, const std::string& name, Config& config) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, std::string_view(name));
  } catch (const toml::parse_error& error) {
    return error_at(name, error.source(), fmt::format("This is not TOML: {}.", error.description()));
  }
  return Reader(name, config).read(parsed, "");
}

}  // namespace postrider::config
