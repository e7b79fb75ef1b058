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
constexpr size_t kNamedSealers = 5;  // the fields of the chain have all

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

void append_arc(std::string& out, const ArcResult& arc) {
  out += fmt::format(";\r\n\tarc={}{}", arc.passed ? "pass" : "fail", reason(arc.reason));
  for (size_t i = 0; i < std::min(arc.sealers.size(), kNamedSealers); ++i)
    out += fmt::format("{}{}", i == 0 ? " (sealed by " : ", ", arc.sealers[i]);
  if (!arc.sealers.empty()) out += ')';
}

std::string_view word_of(StructuredCursor& cursor) {
  return trim(cursor.until("=;(\" \t\r\n"));
}

/// "=" and what stands behind it, with blanks and comments around both.
std::optional<std::string> value_of(StructuredCursor& cursor) {
  cursor.skip_cfws();
  if (!cursor.take('=')) return std::nullopt;
  cursor.skip_cfws();
  return cursor.at('"') ? cursor.quoted_string() : std::string(cursor.until(";( \t\r\n"));
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
  if (results.arc) append_arc(out, *results.arc);
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

std::string_view RecordedResult::property(std::string_view name) const {
  for (const auto& [own_name, text] : properties) {
    if (iequals(own_name, name)) return text;
  }
  return {};
}

std::vector<RecordedResult> parse_results(std::string_view field_value) {
  std::vector<RecordedResult> results;
  StructuredCursor cursor(field_value);
  for (; !cursor.at_end() && results.size() < kMaxRecorded; cursor.skip_to(';'), cursor.take(';')) {
    cursor.skip_cfws();
    RecordedResult one;
    const std::string_view method = word_of(cursor);
    one.method = lower(method.substr(0, method.find('/')));  // without its version
    const auto result = value_of(cursor);
    if (one.method.empty() || !result) continue;
    one.result = lower(*result);
    for (;;) {
      cursor.skip_cfws();
      const std::string_view name = word_of(cursor);
      auto text = name.empty() ? std::nullopt : value_of(cursor);
      if (!text || one.properties.size() == kMaxRecorded) break;
      one.properties.emplace_back(name, std::move(*text));
    }
    results.push_back(std::move(one));
  }
  return results;
}

}  // namespace postrider
