// MAIL and RCPT: a path, then parameters (RFC 5321 4.1.2).
#include <fmt/format.h>

#include <limits>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/base/utf8.h"
#include "common/smtp/command.h"
#include "common/smtp/xtext.h"

namespace postrider::smtp {
namespace {

constexpr size_t kMaxEnvid = 100;      // RFC 3461 4.4
constexpr size_t kMaxOrcpt = 500;      // 4.2
constexpr size_t kMaxSizeDigits = 20;  // RFC 1870 section 3

struct Parameter {
  std::string_view keyword;
  std::optional<std::string_view> value;
};

tl::unexpected<Reply> bad_parameter(std::string_view keyword, std::string_view why) {
  return refuse(501, status::kBadArguments, fmt::format("{}: {}", upper(keyword), why));
}

/// esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 after SMTPUTF8 (RFC 6531 3.4)
bool is_value(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!is_8bit(c) && (c <= ' ' || c == '=' || c == 0x7f)) return false;
  }
  return true;
}

/// Takes the next parameter off the front of rest; nothing at the end.
Parsed<std::optional<Parameter>> take_parameter(std::string_view& rest) {
  while (!rest.empty() && is_wsp(rest.front())) rest.remove_prefix(1);
  if (rest.empty()) return std::nullopt;
  const auto word = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(word.size());
  Parameter parameter;
  const auto equals = word.find('=');
  parameter.keyword = word.substr(0, equals);
  if (equals != std::string_view::npos) {
    parameter.value = word.substr(equals + 1);
    if (!is_value(*parameter.value))
      return refuse(501, status::kBadArguments, "a parameter's value is missing or malformed");
  }
  if (parameter.keyword.empty() || !is_alnum(parameter.keyword.front())) {
    return refuse(501, status::kBadArguments, "that is no parameter");
  }
  return parameter;
}

/// Each parameter once.
class Seen {
 public:
  bool again(unsigned bit) {
    const bool was = (bits_ & (1u << bit)) != 0;
    bits_ |= 1u << bit;
    return was;
  }

 private:
  unsigned bits_ = 0;
};

std::optional<uint64_t> parse_size(std::string_view text) {
  if (text.size() > kMaxSizeDigits) return std::nullopt;
  for (char c : text) {
    if (!is_digit(c)) return std::nullopt;
  }
  return parse_number(text).value_or(std::numeric_limits<uint64_t>::max());
}

bool is_printable(std::string_view text) {
  for (char c : text) {
    if (is_ctl(c) || is_8bit(c)) return false;
  }
  return true;
}

/// NEVER alone, or a list of SUCCESS, FAILURE, DELAY. 0: malformed.
uint8_t parse_notify(std::string_view text) {
  if (iequals(text, "NEVER")) return kNotifyNever;
  unsigned bits = 0;
  for (;;) {
    const auto comma = text.find(',');
    const auto word = text.substr(0, comma);
    const unsigned bit = iequals(word, "SUCCESS")   ? kNotifySuccess
                         : iequals(word, "FAILURE") ? kNotifyFailure
                         : iequals(word, "DELAY")   ? kNotifyDelay
                                                    : 0u;
    if (bit == 0 || (bits & bit) != 0) return 0;
    bits |= bit;
    if (comma == std::string_view::npos) return static_cast<uint8_t>(bits);
    text.remove_prefix(comma + 1);
  }
}

/// addr-type ";" xtext (RFC 3461 4.2); "utf-8" has an encoding of its own, or bare UTF-8 after SMTPUTF8 (RFC 6533
/// section 3).
bool is_orcpt(std::string_view text, bool smtputf8) {
  const auto semicolon = text.find(';');
  if (text.size() > kMaxOrcpt || semicolon == std::string_view::npos || semicolon == 0) return false;
  const auto type = text.substr(0, semicolon), address = text.substr(semicolon + 1);
  for (char c : type) {
    if (!is_alnum(c) && c != '-') return false;
  }
  if (address.empty()) return false;
  if (iequals(type, "utf-8")) return is_valid_utf8(address) && (smtputf8 || !has_8bit(address));
  const auto decoded = xtext_decode(address);
  return decoded && is_printable(*decoded);
}

/// A parameter of MAIL. The reply says what is wrong with it.
std::optional<Reply> apply(MailCommand& command, const Parameter& parameter, Seen& seen, bool auth_offered) {
  const auto [keyword, value] = parameter;
  const auto wrong = [keyword = keyword](std::string_view why) { return bad_parameter(keyword, why).value(); };
  const auto is = [keyword = keyword](std::string_view name) { return iequals(keyword, name); };
  unsigned bit = 0;
  if (is("SIZE")) {
    command.size = value ? parse_size(*value) : std::nullopt;
    if (!command.size) return wrong("takes a number of octets");
  } else if (is("BODY")) {
    bit = 1;
    if (value && iequals(*value, "7BIT"))
      command.body = Body::seven_bit;
    else if (value && iequals(*value, "8BITMIME"))
      command.body = Body::eight_bit;
    else if (value && iequals(*value, "BINARYMIME"))
      command.body = Body::binary;
    else
      return wrong("takes 7BIT, 8BITMIME or BINARYMIME");
  } else if (is("SMTPUTF8")) {
    bit = 2;
    if (value) return wrong("takes no value");
    command.smtputf8 = true;
  } else if (is("RET")) {
    bit = 3;
    if (value && iequals(*value, "FULL"))
      command.ret = Ret::full;
    else if (value && iequals(*value, "HDRS"))
      command.ret = Ret::headers;
    else
      return wrong("takes FULL or HDRS");
  } else if (is("ENVID")) {
    bit = 4;
    command.envid = value && value->size() <= kMaxEnvid ? xtext_decode(*value) : std::nullopt;
    if (!command.envid || !is_printable(*command.envid)) return wrong("takes at most 100 characters of xtext");
  } else if (is("REQUIRETLS")) {
    bit = 6;
    if (value) return wrong("takes no value");
    command.require_tls = true;
  } else if (is("AUTH") && auth_offered) {
    bit = 5;
    command.auth = value ? xtext_decode(*value) : std::nullopt;
    if (command.auth && *command.auth != "<>" && !parse_mailbox(*command.auth, Utf8::allowed)) command.auth.reset();
    if (!command.auth) return wrong("takes an address as xtext, or <>");
  } else {
    return Reply(555, status::kBadArguments, fmt::format("the parameter {} is not known here", keyword));
  }
  if (seen.again(bit)) return wrong("was given twice");
  return std::nullopt;
}

std::optional<Reply> apply(RcptCommand& command, const Parameter& parameter, Seen& seen, bool smtputf8) {
  const auto [keyword, value] = parameter;
  unsigned bit = 0;
  if (iequals(keyword, "NOTIFY")) {
    command.notify = value ? parse_notify(*value) : uint8_t{0};
    if (command.notify == 0)
      return bad_parameter(keyword, "takes NEVER, or a list of SUCCESS, FAILURE and DELAY").value();
  } else if (iequals(keyword, "ORCPT")) {
    bit = 1;
    if (!value || !is_orcpt(*value, smtputf8))
      return bad_parameter(keyword, "takes a type, a semicolon and xtext").value();
    command.orcpt = std::string(*value);
  } else {
    return Reply(555, status::kBadArguments, fmt::format("the parameter {} is not known here", keyword));
  }
  if (seen.again(bit)) return bad_parameter(keyword, "was given twice").value();
  return std::nullopt;
}

/// "FROM:" or "TO:" off the front, with the blanks behind the colon that many clients send.
bool take_word(std::string_view& text, std::string_view word) {
  if (!istarts_with(text, word)) return false;
  text.remove_prefix(word.size());
  while (!text.empty() && is_wsp(text.front())) text.remove_prefix(1);
  return true;
}

/// All parameters after a path.
template <class Command>
std::optional<Reply> take_parameters(Command& command, std::string_view rest, bool flag) {
  if (!rest.empty() && !is_wsp(rest.front())) {
    return Reply(501, status::kSyntax, "a space belongs between the path and its parameters");
  }
  Seen seen;
  for (;;) {
    auto parameter = take_parameter(rest);
    if (!parameter) return parameter.error();
    if (!*parameter) return std::nullopt;
    if (auto wrong = apply(command, **parameter, seen, flag)) return wrong;
  }
}

}  // namespace

Parsed<MailCommand> parse_mail(std::string_view argument, bool auth_offered) {
  if (!take_word(argument, "FROM:"))
    return refuse(501, status::kSyntax, "the syntax is MAIL FROM:<address> [parameters]");
  auto path = parse_reverse_path(argument, Utf8::allowed);
  if (!path) return refuse(501, status::kBadSenderSyntax, path.error().message);
  MailCommand command;
  command.reverse_path = std::move(path->address);
  if (auto wrong = take_parameters(command, argument.substr(path->size), auth_offered)) return tl::unexpected(*wrong);
  if (command.reverse_path && command.reverse_path->needs_utf8() && !command.smtputf8) {
    return refuse(553, status::kNeedsUtf8, "an address that is not ASCII needs the parameter SMTPUTF8");
  }
  return command;
}

Parsed<RcptCommand> parse_rcpt(std::string_view argument, bool smtputf8) {
  if (!take_word(argument, "TO:")) return refuse(501, status::kSyntax, "the syntax is RCPT TO:<address> [parameters]");
  auto path = parse_forward_path(argument, Utf8::allowed);
  if (!path) return refuse(501, status::kBadRecipientSyntax, path.error().message);
  RcptCommand command;
  command.forward_path = std::move(*path->address);
  if (auto wrong = take_parameters(command, argument.substr(path->size), smtputf8)) return tl::unexpected(*wrong);
  if (command.forward_path.needs_utf8() && !smtputf8) {
    return refuse(553, status::kNeedsUtf8, "an address that is not ASCII needs SMTPUTF8 in MAIL");
  }
  return command;
}

}  // namespace postrider::smtp
