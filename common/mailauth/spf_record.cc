#include "common/mailauth/spf_record.h"

#include <fmt/format.h>

#include <array>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::spf {
namespace {

constexpr std::string_view kVersion = "v=spf1";
constexpr std::string_view kDelimiters = ".-+,/_=";

struct MechanismName {
  std::string_view name;
  Mechanism mechanism;
};
constexpr std::array kMechanisms{
    MechanismName{"all", Mechanism::all}, MechanismName{"include", Mechanism::include},
    MechanismName{"a", Mechanism::a},     MechanismName{"mx", Mechanism::mx},
    MechanismName{"ptr", Mechanism::ptr}, MechanismName{"ip4", Mechanism::ip4},
    MechanismName{"ip6", Mechanism::ip6}, MechanismName{"exists", Mechanism::exists},
};

/// Octets of the macro at the beginning of text, which begins with %; 0: it is none.
size_t macro_size(std::string_view text, bool explanation) {
  if (text.size() < 2) return 0;
  if (text[1] == '%' || text[1] == '_' || text[1] == '-') return 2;
  if (text[1] != '{' || text.size() < 4) return 0;
  const std::string_view letters = explanation ? "slodiphvcrt" : "slodiphv";
  if (letters.find(to_lower(text[2])) == std::string_view::npos) return 0;
  size_t at = 3;
  const size_t digits = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  if (at > digits) {
    const auto count = parse_number<uint32_t>(text.substr(digits, at - digits));
    if (count == 0u) return 0;  // more than fits in 32 bits is all there is
  }
  if (at < text.size() && to_lower(text[at]) == 'r') ++at;
  while (at < text.size() && kDelimiters.find(text[at]) != std::string_view::npos) ++at;
  return at < text.size() && text[at] == '}' ? at + 1 : 0;
}

/// RFC 7208 12: toplabel has a letter in it, or a hyphen inside.
bool is_top_label(std::string_view label) {
  if (label.empty() || !is_alnum(label.front()) || !is_alnum(label.back())) return false;
  bool all_digits = true;
  for (char c : label) {
    if (!is_alnum(c) && c != '-') return false;
    all_digits = all_digits && is_digit(c);
  }
  return !all_digits;
}

/// domain-spec: a macro-string that ends with a macro or with a dot and a top label.
bool is_domain_spec(std::string_view text) {
  if (text.empty() || !is_macro_string(text, false)) return false;
  size_t last_macro_end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t size = text[at] == '%' ? macro_size(text.substr(at), false) : 0;
    at += std::max<size_t>(size, 1);
    if (size > 0) last_macro_end = at;
  }
  if (last_macro_end == text.size()) return true;
  if (text.back() == '.') text.remove_suffix(1);
  const size_t dot = text.rfind('.');
  return dot != std::string_view::npos && dot >= last_macro_end && is_top_label(text.substr(dot + 1));
}

/// "0", or digits that do not begin with 0.
std::optional<unsigned> parse_prefix(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto number = parse_number<unsigned>(text);
  return number && *number <= most ? number : std::nullopt;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// Takes dual-cidr-length off the end of text: [ "/" n ] [ "//" n ]. False: it is wrong.
bool take_prefixes(std::string_view& text, Directive& directive) {
  if (const size_t at = text.rfind("//"); at != std::string_view::npos && all_digits(text.substr(at + 2))) {
    const auto prefix = parse_prefix(text.substr(at + 2), 128);
    if (!prefix) return false;
    directive.prefix6 = *prefix;
    text = text.substr(0, at);
  }
  if (const size_t at = text.rfind('/'); at != std::string_view::npos && all_digits(text.substr(at + 1))) {
    const auto prefix = parse_prefix(text.substr(at + 1), 32);
    if (!prefix) return false;
    directive.prefix4 = *prefix;
    text = text.substr(0, at);
  }
  return true;
}

bool parse_network(std::string_view text, Directive& directive) {
  const bool v6 = directive.mechanism == Mechanism::ip6;
  const size_t slash = text.find('/');
  directive.network = IpAddress::parse(text.substr(0, slash));
  if (!directive.network) return false;
  const bool written_v6 = text.substr(0, slash).find(':') != std::string_view::npos;
  if (written_v6 != v6) return false;
  if (slash == std::string_view::npos) return true;
  const auto prefix = parse_prefix(text.substr(slash + 1), v6 ? 128 : 32);
  if (!prefix) return false;
  (v6 ? directive.prefix6 : directive.prefix4) = *prefix;
  return true;
}

/// argument: what follows the name, with its ":" or "/".
bool parse_argument(std::string_view argument, Directive& directive) {
  switch (directive.mechanism) {
    case Mechanism::all:
      return argument.empty();
    case Mechanism::ip4:
    case Mechanism::ip6:
      return argument.starts_with(':') && parse_network(argument.substr(1), directive);
    case Mechanism::a:
    case Mechanism::mx:
      if (!take_prefixes(argument, directive)) return false;
      break;
    case Mechanism::include:
    case Mechanism::ptr:
    case Mechanism::exists:
      break;
  }
  if (argument.empty()) return directive.mechanism != Mechanism::include && directive.mechanism != Mechanism::exists;
  if (!argument.starts_with(':') || !is_domain_spec(argument.substr(1))) return false;
  directive.domain = argument.substr(1);
  return true;
}

bool parse_directive(std::string_view term, Directive& directive) {
  if (std::string_view("+-~?").find(term.front()) != std::string_view::npos) {
    directive.qualifier = static_cast<Qualifier>(term.front());
    term.remove_prefix(1);
  }
  const size_t end = std::min(term.find_first_of(":/"), term.size());
  for (const MechanismName& known : kMechanisms) {
    if (!iequals(known.name, term.substr(0, end))) continue;
    directive.mechanism = known.mechanism;
    return parse_argument(term.substr(end), directive);
  }
  return false;
}

/// name "=" macro-string; the position of "=", or npos where the term is no modifier.
size_t modifier_name(std::string_view term) {
  const size_t equals = term.find('=');
  if (equals == std::string_view::npos || equals == 0 || !is_alpha(term.front())) return std::string_view::npos;
  for (char c : term.substr(0, equals)) {
    if (!is_alnum(c) && c != '-' && c != '_' && c != '.') return std::string_view::npos;
  }
  return equals;
}

bool parse_modifier(std::string_view name, std::string_view value, Record& record) {
  std::string* known = iequals(name, "redirect") ? &record.redirect : iequals(name, "exp") ? &record.exp : nullptr;
  if (known == nullptr) return is_macro_string(value, false);
  if (!known->empty() || !is_domain_spec(value)) return false;
  *known = value;
  return true;
}

}  // namespace

bool is_record(std::string_view text) {
  return istarts_with(text, kVersion) && (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

bool is_macro_string(std::string_view text, bool explanation) {
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '%') {
      const bool space = explanation && text[at] == ' ';
      if (!space && (text[at] <= ' ' || is_8bit(text[at]) || text[at] == 0x7f)) return false;
      ++at;
      continue;
    }
    const size_t size = macro_size(text.substr(at), explanation);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

Result<Record> parse_record(std::string_view text) {
  if (text.size() > kMaxRecord) return failure("the SPF record is too long");
  Record record;
  text.remove_prefix(kVersion.size());
  size_t terms = 0;
  while (!text.empty()) {
    const size_t begin = std::min(text.find_first_not_of(' '), text.size());
    text.remove_prefix(begin);
    if (text.empty()) break;
    const std::string_view term = text.substr(0, text.find(' '));
    text.remove_prefix(term.size());
    if (++terms > kMaxTerms) return failure("the SPF record has too many terms");
    const size_t equals = modifier_name(term);
    if (equals != std::string_view::npos) {
      if (parse_modifier(term.substr(0, equals), term.substr(equals + 1), record)) continue;
    } else if (Directive directive; parse_directive(term, directive)) {
      record.directives.push_back(std::move(directive));
      continue;
    }
    return failure(fmt::format("the SPF record has an error at \"{}\"", term.substr(0, 100)));
  }
  return record;
}

}  // namespace postrider::spf
