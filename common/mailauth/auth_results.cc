#include "common/mailauth/auth_results.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/header.h"
#include "common/mail/structured.h"

namespace postrider {
namespace {

constexpr size_t kMaxValue = 320;  // octets of a value that came from outside
constexpr size_t kMaxReason = 160;

/// A value (RFC 2045 5.1): a token, or a quoted string; UTF-8 may stand in either (RFC 8601 2.2 with EAI).
std::string value(std::string_view text) {
  constexpr std::string_view kPlain = ".-_+@=/:!#$%&'*^`{|}~";
  text = text.substr(0, kMaxValue);
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alnum(c) || (kPlain.find(c) != std::string_view::npos && c != '=' && c != '/' && c != ':');
  });
  if (plain) return std::string(text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += is_ctl(c) ? '?' : c;
  }
  return out + '"';
}

std::string reason(std::string_view text) {
  return text.empty() ? std::string() : fmt::format(" reason={}", value(text.substr(0, kMaxReason)));
}

void append_spf(std::string& out, const spf::Judgement& judgement, std::string_view property,
                std::string_view identity) {
  out += fmt::format(";\r\n\tspf={}{} {}={}", spf::to_string(judgement.verdict), reason(judgement.reason), property,
                     value(identity));
}

void append_dkim(std::string& out, const dkim::SignatureResult& signature) {
  out += fmt::format(";\r\n\tdkim={}{}", dkim::to_string(signature.verdict), reason(signature.reason));
  if (signature.testing) out += " (testing)";
  if (!signature.domain.empty()) out += fmt::format(" header.d={}", value(signature.domain));
  if (!signature.selector.empty()) out += fmt::format(" header.s={}", value(signature.selector));
  if (!signature.algorithm.empty()) out += fmt::format(" header.a={}", signature.algorithm);
  if (!signature.mark.empty()) out += fmt::format(" header.b={}", value(signature.mark));
}

void append_dmarc(std::string& out, const dmarc::Judgement& judgement) {
  out += fmt::format(";\r\n\tdmarc={}", dmarc::to_string(judgement.verdict));
  if (judgement.verdict == dmarc::Verdict::pass || judgement.verdict == dmarc::Verdict::fail) {
    out += fmt::format(" (p={})", dmarc::to_string(judgement.policy));
  }
  out += reason(judgement.reason);
  if (!judgement.domain.empty()) out += fmt::format(" header.from={}", value(judgement.domain));
}

/// The authserv-id at the beginning of a field.
std::string server_of(std::string_view field_value) {
  StructuredCursor cursor(field_value);
  cursor.skip_cfws();
  if (cursor.at('"')) return cursor.quoted_string();
  return std::string(cursor.until(" \t\r\n;("));
}

}  // namespace

std::string format_authentication_results(const AuthenticationResults& results) {
  std::string out = fmt::format("Authentication-Results: {}", value(results.server));
  const size_t begin = out.size();
  if (results.mail_from && !results.sender.empty())
    append_spf(out, *results.mail_from, "smtp.mailfrom", results.sender);
  if (results.helo_spf) append_spf(out, *results.helo_spf, "smtp.helo", results.helo);
  if (results.dkim) {
    if (results.dkim->empty()) out += ";\r\n\tdkim=none";
    for (const dkim::SignatureResult& signature : *results.dkim) append_dkim(out, signature);
  }
  for (const dmarc::Judgement& judgement : results.dmarc) append_dmarc(out, judgement);
  for (const std::string& clause : results.more) out += ";\r\n\t" + clause;
  if (out.size() == begin) out += "; none";
  return out + "\r\n";
}

bool claims_to_be_ours(std::string_view name, std::string_view field_value, std::string_view server) {
  return iequals(name, "Authentication-Results") && iequals(server_of(field_value), server);
}

std::optional<std::string> without_forged_results(std::string_view head, std::string_view server) {
  std::string kept;
  bool found = false;
  size_t read = 0;
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    read += field->raw.size();
    if (claims_to_be_ours(field->name, field->value, server)) {
      found = true;
    } else {
      kept += field->raw;
    }
  }
  if (!found) return std::nullopt;
  kept += head.substr(read);
  return kept;
}

}  // namespace postrider
