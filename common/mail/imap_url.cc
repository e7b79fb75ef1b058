#include "common/mail/imap_url.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/base/utf8.h"
#include "common/mail/date.h"
#include "common/mail/imap_string.h"

namespace postrider {
namespace {

constexpr uint16_t kImapPort = 143;
constexpr size_t kMinToken = 32;        // hexadecimal digits (RFC 5092 11, enc-urlauth)
constexpr size_t kMaxUrlSection = 100;  // numbers

/// Nothing where "%" stands before no two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return std::nullopt;
    out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
    i += 2;
  }
  return out;
}

/// Decoded; not empty, and nothing but UTF-8 without control characters.
std::optional<std::string> name_in(std::string_view text) {
  auto name = percent_decoded(text);
  if (!name || name->empty() || !is_valid_utf8(*name)) return std::nullopt;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  return std::none_of(name->begin(), name->end(), control) ? name : std::nullopt;
}

/// Takes "name" from the front of text, in any case.
bool take(std::string_view& text, std::string_view name) {
  if (!istarts_with(text, name)) return false;
  text.remove_prefix(name.size());
  return true;
}

std::string_view up_to(std::string_view& text, std::string_view ends) {
  std::string_view taken = text.substr(0, text.find_first_of(ends));
  text.remove_prefix(taken.size());
  return taken;
}

bool take_number(std::string_view& text, uint32_t& out) {
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  auto value = parse_number<uint32_t>(text.substr(0, digits));
  text.remove_prefix(digits);
  out = value.value_or(0);
  return value.has_value();
}

// partial-range = number ["." nz-number]
bool take_partial(std::string_view text, Partial& out) {
  out.length = UINT32_MAX;
  if (!take_number(text, out.offset)) return false;
  if (take(text, ".") && (!take_number(text, out.length) || out.length == 0)) return false;
  return text.empty();
}

// section-spec without lists of fields
bool take_section(std::string_view text, Section& out) {
  const auto decoded = percent_decoded(text);
  if (!decoded || decoded->empty()) return false;
  std::string_view rest = *decoded;
  while (!rest.empty() && is_digit(rest.front())) {
    uint32_t number = 0;
    if (!take_number(rest, number) || number == 0 || out.part.size() == kMaxUrlSection) return false;
    out.part.push_back(number);
    if (rest.empty()) return true;
    if (!take(rest, ".")) return false;
  }
  if (iequals(rest, "HEADER")) out.text = Section::Text::header;
  if (iequals(rest, "TEXT")) out.text = Section::Text::text;
  if (iequals(rest, "MIME") && !out.part.empty()) out.text = Section::Text::mime;
  return out.text != Section::Text::whole;
}

/// What stands between "imap://" and the path: [user[;AUTH=type]@]host[:port].
bool take_authority(std::string_view text, ImapUrl& out) {
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    auto user = text.substr(0, at);
    user = user.substr(0, user.find(';'));
    if (!user.empty()) {
      auto name = name_in(user);
      if (!name) return false;
      out.user = std::move(*name);
    }
    text.remove_prefix(at + 1);
  }
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && !text.ends_with(']')) {
    const auto port = parse_number<uint16_t>(text.substr(colon + 1));
    if (!port || *port == 0) return false;
    out.port = *port;
    text = text.substr(0, colon);
  }
  out.host = lower(text);
  return !out.host.empty();
}

// access = ("submit+" enc-user) / ("user+" enc-user) / "authuser" / "anonymous"
bool take_access(std::string_view text, ImapUrl& out) {
  using Access = ImapUrl::Access;
  if (iequals(text, "authuser")) {
    out.access = Access::authuser;
  } else if (iequals(text, "anonymous")) {
    out.access = Access::anonymous;
  } else if (take(text, "submit+")) {
    out.access = Access::submit;
  } else if (take(text, "user+")) {
    out.access = Access::user;
  } else {
    return false;
  }
  if (out.access == Access::authuser || out.access == Access::anonymous) return true;
  auto name = name_in(text);
  if (!name) return false;
  out.access_user = std::move(*name);
  return true;
}

// [";EXPIRE=" date-time] ";URLAUTH=" access [":" mechanism ":" token]
bool take_authorization(std::string_view whole, std::string_view rest, ImapUrl& out) {
  if (take(rest, ";EXPIRE=")) {
    const auto time = parse_internet_date_time(up_to(rest, ";"));
    if (!time) return false;
    out.expires = time->time;
  }
  if (!take(rest, ";URLAUTH=") || !take_access(up_to(rest, ":"), out)) return false;
  out.rump = whole.substr(0, whole.size() - rest.size());
  if (rest.empty()) return true;
  if (!take(rest, ":") || !iequals(up_to(rest, ":"), kUrlAuthInternal) || !take(rest, ":")) return false;
  const auto is_hex = [](char c) { return hex_value(c) >= 0; };
  if (rest.size() < kMinToken || !std::all_of(rest.begin(), rest.end(), is_hex)) return false;
  out.token = lower(rest);
  return true;
}

}  // namespace

std::optional<ImapUrl> parse_imap_url(std::string_view url) {
  if (url.size() > kMaxImapUrl) return std::nullopt;
  ImapUrl out;
  std::string_view rest = url;
  const bool absolute = take(rest, "imap://");
  if (absolute && !take_authority(up_to(rest, "/"), out)) return std::nullopt;
  if (take(rest, "/")) {
    const size_t end = std::min(rest.find("/;"), rest.find(';'));
    if (end == std::string_view::npos) return std::nullopt;
    auto name = name_in(rest.substr(0, end));
    if (!name) return std::nullopt;
    out.mailbox = canonical_mailbox(std::move(*name));
    rest.remove_prefix(end);
    if (take(rest, ";UIDVALIDITY=") && !take_number(rest, out.uid_validity.emplace())) return std::nullopt;
    if (!take(rest, "/")) return std::nullopt;
  } else if (absolute) {
    return std::nullopt;
  }
  if (!take(rest, ";UID=") || !take_number(rest, out.uid) || out.uid == 0) return std::nullopt;
  if (take(rest, "/;SECTION=") && !take_section(up_to(rest, "/;"), out.section)) return std::nullopt;
  if (take(rest, "/;PARTIAL=") && !take_partial(up_to(rest, ";"), out.partial.emplace())) return std::nullopt;
  if (rest.empty()) return out;
  // Whose it is and where decides who may: a path leaves both open (RFC 4467 7, GENURLAUTH).
  if (!absolute || out.user.empty() || !take_authorization(url, rest, out)) return std::nullopt;
  return out;
}

bool UrlServer::is_named_by(const ImapUrl& url) const {
  if (url.port != 0 && url.port != port && url.port != kImapPort) return false;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return iequals(name, url.host); });
}

}  // namespace postrider
