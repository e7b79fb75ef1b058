#include "common/mailauth/tls_policy.h"

#include <fmt/format.h>

namespace postrider {
namespace {

constexpr size_t kSha256 = 32, kSha512 = 64;

/// What TLSA records ask for; nothing where there are none.
std::optional<TlsRequirement> decide_dane(const TlsFacts& facts) {
  if (!facts.host_secure || facts.tlsa == nullptr) return std::nullopt;
  // A failure here may be somebody who suppresses the records (RFC 7672 2.1.3).
  if (facts.tlsa->status == DnsAnswer::Status::failed) {
    return TlsRequirement{TlsLevel::impossible, {}, fmt::format("DNS fails for the TLSA records of {}", facts.host)};
  }
  if (!facts.tlsa->secure || facts.tlsa->records.empty()) return std::nullopt;
  TlsRequirement requirement;
  for (const std::string& rdata : facts.tlsa->records) {
    auto record = parse_usable_tlsa(rdata);
    if (record && requirement.tlsa.size() < kMaxTlsaRecords) requirement.tlsa.push_back(std::move(*record));
  }
  if (requirement.tlsa.empty()) {  // RFC 7672 2.2: encryption without authentication
    requirement.level = TlsLevel::encrypted;
    requirement.reason = fmt::format("DANE: {} has TLSA records, none of which can be used", facts.host);
  } else {
    requirement.level = TlsLevel::dane;
    requirement.reason = fmt::format("DANE: {} has TLSA records", facts.host);
  }
  return requirement;
}

}  // namespace

std::optional<TlsaRecord> parse_usable_tlsa(std::string_view rdata) {
  if (rdata.size() < 4) return std::nullopt;
  TlsaRecord record{static_cast<uint8_t>(rdata[0]), static_cast<uint8_t>(rdata[1]), static_cast<uint8_t>(rdata[2]),
                    std::string(rdata.substr(3))};
  if ((record.usage != 2 && record.usage != 3) || record.selector > 1 || record.matching > 2) return std::nullopt;
  if (record.matching == 1 && record.data.size() != kSha256) return std::nullopt;
  if (record.matching == 2 && record.data.size() != kSha512) return std::nullopt;
  return record;
}

std::string tlsa_name(std::string_view host, uint16_t port) {
  return fmt::format("_{}._tcp.{}", port, host);
}

std::string_view to_string(TlsLevel level) {
  switch (level) {
    case TlsLevel::opportunistic:
      return "opportunistic";
    case TlsLevel::encrypted:
      return "encrypted";
    case TlsLevel::dane:
      return "dane";
    case TlsLevel::verified:
      return "verified";
    case TlsLevel::impossible:
      break;
  }
  return "impossible";
}

TlsRequirement decide_tls(const TlsFacts& facts) {
  auto dane = decide_dane(facts);
  if (dane && dane->level != TlsLevel::encrypted) return std::move(*dane);
  if (facts.sts != nullptr && facts.sts->mode == sts::Mode::enforce) {
    if (!sts::names_host(*facts.sts, facts.host)) {
      return {TlsLevel::impossible, {}, fmt::format("MTA-STS: the policy does not name {}", facts.host)};
    }
    return {TlsLevel::verified, {}, fmt::format("MTA-STS: the policy names {}", facts.host)};
  }
  if (dane) return std::move(*dane);
  if (facts.needs_tls) return {TlsLevel::verified, {}, "the message asks for TLS"};
  return {TlsLevel::opportunistic, {}, "TLS if it is offered"};
}

}  // namespace postrider
