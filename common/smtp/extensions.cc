#include "common/smtp/extensions.h"

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::smtp {
namespace {

/// Takes the next word off the front of text; empty at the end.
std::string_view take_word(std::string_view& text) {
  while (!text.empty() && is_wsp(text.front())) text.remove_prefix(1);
  const auto word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

bool is_keyword(std::string_view word) {
  if (word.empty() || !is_alnum(word.front())) return false;
  for (char c : word) {
    if (!is_alnum(c) && c != '-') return false;
  }
  return true;
}

}  // namespace

void Extensions::add(std::string_view keyword, std::string_view parameters) {
  list_.push_back(Extension{std::string(keyword), std::string(parameters)});
}

const Extension* Extensions::find(std::string_view keyword) const {
  for (const auto& extension : list_) {
    if (iequals(extension.keyword, keyword)) return &extension;
  }
  return nullptr;
}

bool Extensions::has_parameter(std::string_view keyword, std::string_view word) const {
  const Extension* extension = find(keyword);
  if (extension == nullptr) return false;
  std::string_view rest = extension->parameters;
  for (auto next = take_word(rest); !next.empty(); next = take_word(rest)) {
    if (iequals(next, word)) return true;
  }
  return false;
}

uint64_t Extensions::size_limit() const {
  const Extension* size = find("SIZE");
  return size == nullptr ? 0 : parse_number(trim(size->parameters)).value_or(0);
}

Limits Extensions::limits() const {
  Limits limits;
  const Extension* extension = find("LIMITS");
  if (extension == nullptr) return limits;
  std::string_view rest = extension->parameters;
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const auto name = word.substr(0, equals);
    const auto value = parse_number(word.substr(equals + 1));
    if (!value || *value == 0) continue;  // RFC 9422 section 4: a value that cannot be is as none
    if (iequals(name, "MAILMAX")) limits.mail_max = value;
    if (iequals(name, "RCPTMAX")) limits.rcpt_max = value;
    if (iequals(name, "RCPTDOMAINMAX")) limits.rcpt_domain_max = value;
  }
  return limits;
}

std::string format_limits(const Limits& limits) {
  std::string out;
  const auto add = [&out](std::string_view name, const std::optional<uint64_t>& value) {
    if (value) out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, *value);
  };
  add("MAILMAX", limits.mail_max);
  add("RCPTMAX", limits.rcpt_max);
  add("RCPTDOMAINMAX", limits.rcpt_domain_max);
  return out;
}

Reply ehlo_reply(std::string_view first_line, const Extensions& extensions) {
  Reply reply(250, status::kNone, std::string(first_line));
  for (const auto& extension : extensions.all()) {
    reply.text += '\n';
    reply.text += extension.keyword;
    if (!extension.parameters.empty()) {
      reply.text += ' ';
      reply.text += extension.parameters;
    }
  }
  return reply;
}

Extensions parse_extensions(const ServerReply& reply) {
  Extensions extensions;
  for (size_t number = 1; number < reply.lines.size() && extensions.all().size() < kMaxExtensions; ++number) {
    std::string_view rest = reply.lines[number];
    auto keyword = take_word(rest);
    // "AUTH=PLAIN LOGIN" is what some servers still say to please a client of 1998.
    if (istarts_with(keyword, "AUTH=") && !extensions.has("AUTH")) {
      extensions.add("AUTH", std::string(keyword.substr(5)) + std::string(rest));
    } else if (is_keyword(keyword)) {
      extensions.add(keyword, trim(rest));
    }
  }
  return extensions;
}

}  // namespace postrider::smtp
