#include "common/mailauth/spf_macro.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::spf {
namespace {

constexpr size_t kMaxName = 253;

std::string value_of(char letter, const MacroValues& values) {
  const Query& query = values.query;
  switch (letter) {
    case 's':
      return fmt::format("{}@{}", values.local_part, values.sender_domain);
    case 'l':
      return std::string(values.local_part);
    case 'o':
      return std::string(values.sender_domain);
    case 'd':
      return std::string(values.domain);
    case 'i':
      return query.client.dotted();
    case 'p':
      return std::string(values.validated_name);
    case 'v':
      return query.client.is_v6() ? "ip6" : "in-addr";
    case 'h':
      return query.helo;
    case 'c':
      return query.client.to_string();
    case 'r':
      return query.receiver.empty() ? "unknown" : query.receiver;
    case 't':
      return fmt::to_string(query.now);
    default:
      return {};
  }
}

std::string url_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string transformed(std::string_view value, uint32_t keep, bool reversed, std::string_view delimiters) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = value.find_first_of(delimiters);
    parts.push_back(value.substr(0, end));
    if (end == std::string_view::npos) break;
    value.remove_prefix(end + 1);
  }
  if (reversed) std::reverse(parts.begin(), parts.end());
  if (keep > 0 && parts.size() > keep) parts.erase(parts.begin(), parts.end() - keep);
  return fmt::format("{}", fmt::join(parts, "."));
}

/// macro: from "%{" to "}".
std::string expand_one(std::string_view macro, const MacroValues& values) {
  const char letter = macro[2];
  std::string_view rest = macro.substr(3, macro.size() - 4);
  size_t digits = 0;
  while (digits < rest.size() && is_digit(rest[digits])) ++digits;
  const uint32_t keep = parse_number<uint32_t>(rest.substr(0, digits)).value_or(0);
  rest.remove_prefix(digits);
  const bool reversed = !rest.empty() && to_lower(rest.front()) == 'r';
  if (reversed) rest.remove_prefix(1);
  std::string value = value_of(to_lower(letter), values);
  if (keep > 0 || reversed || !rest.empty()) value = transformed(value, keep, reversed, rest.empty() ? "." : rest);
  return is_upper(letter) ? url_escaped(value) : value;
}

}  // namespace

bool uses_validated_name(std::string_view text) {
  return text.find("%{p") != std::string_view::npos || text.find("%{P") != std::string_view::npos;
}

std::string expand(std::string_view text, const MacroValues& values) {
  std::string out;
  while (!text.empty() && out.size() < kMaxExpanded) {
    if (text.front() != '%') {
      const std::string_view plain = text.substr(0, text.find('%'));
      out += plain;
      text.remove_prefix(plain.size());
    } else if (text[1] == '{') {
      const size_t size = text.find('}') + 1;
      out += expand_one(text.substr(0, size), values);
      text.remove_prefix(size);
    } else {
      out += text[1] == '%' ? "%" : text[1] == '_' ? " " : "%20";
      text.remove_prefix(2);
    }
  }
  if (out.size() > kMaxExpanded) out.resize(kMaxExpanded);
  return out;
}

std::string expand_domain(std::string_view text, const MacroValues& values) {
  std::string name = expand(text, values);
  if (name.ends_with('.')) name.pop_back();
  while (name.size() > kMaxName) {
    const size_t dot = name.find('.');
    if (dot == std::string::npos) break;  // nothing that could be asked: it does not exist
    name.erase(0, dot + 1);
  }
  return name;
}

}  // namespace postrider::spf
