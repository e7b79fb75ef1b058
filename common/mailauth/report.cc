#include "common/mailauth/report.h"

#include <fmt/format.h>

#include <optional>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/address.h"
#include "common/mailauth/dkim_crypto.h"

namespace postrider {
namespace {

constexpr std::string_view kMailto = "mailto:";
constexpr std::string_view kHttps = "https://";
constexpr size_t kMaxUrl = 500;
constexpr size_t kIdOctets = 10;  // of a hash

/// "10m": with k, m, g or t, each 1,024 times the one before (RFC 7489 6.4). Nothing: it is no size.
std::optional<uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kUnits = "kmgt";
  uint64_t factor = 1;
  if (!text.empty()) {
    const size_t unit = kUnits.find(to_lower(text.back()));
    if (unit != std::string_view::npos) {
      factor = uint64_t{1} << (10 * (unit + 1));
      text.remove_suffix(1);
    }
  }
  const auto number = parse_number(text);
  if (!number || *number == 0) return std::nullopt;
  return *number > UINT64_MAX / factor ? UINT64_MAX : *number * factor;
}

/// "%2c" stands for what would end the URI.
std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool coded =
        text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    out += coded ? static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])) : text[i];
    if (coded) i += 2;
  }
  return out;
}

std::optional<ReportUri> parse_report_uri(std::string_view text) {
  ReportUri uri;
  if (const size_t mark = text.rfind('!'); mark != std::string_view::npos) {
    const auto size = parse_size(text.substr(mark + 1));
    if (!size) return std::nullopt;  // sending more than somebody wants is worse than sending nothing
    uri.max_size = *size;
    text = text.substr(0, mark);
  }
  if (istarts_with(text, kMailto)) {
    text.remove_prefix(kMailto.size());
    const auto mailbox = parse_mailbox(percent_decode(text.substr(0, text.find('?'))), Utf8::refused);
    if (!mailbox) return std::nullopt;
    uri.mailbox = mailbox->to_string();
    return uri;
  }
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!istarts_with(text, kHttps) || text.size() > kMaxUrl || !plain) return std::nullopt;
  uri.url = text;
  return uri;
}

}  // namespace

std::vector<ReportUri> parse_report_uris(std::string_view rua) {
  std::vector<ReportUri> uris;
  for (size_t i = 0; i < kMaxReportUris && !rua.empty(); ++i) {
    const std::string_view text = rua.substr(0, rua.find(','));
    rua.remove_prefix(std::min(text.size() + 1, rua.size()));
    if (auto uri = parse_report_uri(trim(text))) uris.push_back(std::move(*uri));
  }
  return uris;
}

std::string report_id(const ReportDay& day, std::string_view kind, std::string_view hostname) {
  dkim::Sha256 hash;
  hash.update(fmt::format("{} {} {} {} {}", kind, day.day, day.domain, day.policy, hostname));
  std::string id = fmt::format("{}{}d", kind, day.day);
  for (char c : hash.finish().substr(0, kIdOctets)) id += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return id;
}

std::string printable_word(std::string_view text) {
  std::string word(text.substr(0, kMaxReportWord));
  for (char& c : word) {
    if (is_ctl(c) || is_8bit(c)) c = '?';
  }
  return word;
}

}  // namespace postrider
