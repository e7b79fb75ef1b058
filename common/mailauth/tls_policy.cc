#include "common/mailauth/tls_policy.h"

#include <fmt/format.h>

#include <utility>

namespace postrider {
namespace {

constexpr size_t kSha256 = 32, kSha512 = 64;

TlsRequirement impossible(TlsAuthority authority, std::string reason) {
  return {TlsLevel::impossible, authority, {}, std::move(reason)};
}

/// What TLSA records ask for; nothing where there are none.
std::optional<TlsRequirement> decide_dane(const TlsFacts& facts) {
  if (!facts.name_secure || facts.tlsa == nullptr) return std::nullopt;
  // A failure here may be somebody who suppresses the records (RFC 7672 2.1.3).
  if (facts.tlsa->status == DnsAnswer::Status::failed) {
    return impossible(TlsAuthority::dane, fmt::format("DANE: DNS fails for the TLSA records of {}", facts.host));
  }
  if (!facts.tlsa->secure || facts.tlsa->records.empty()) return std::nullopt;
  TlsRequirement requirement{TlsLevel::dane, TlsAuthority::dane, {}, {}};
  for (const std::string& rdata : facts.tlsa->records) {
    if (is_usable_tlsa(rdata) && requirement.tlsa.size() < kMaxTlsaRecords) requirement.tlsa.push_back(rdata);
  }
  if (requirement.tlsa.empty()) {  // RFC 7672 2.2: encryption without authentication
    requirement.level = TlsLevel::encrypted;
    requirement.reason = fmt::format("DANE: {} has TLSA records, none of which can be used", facts.host);
  } else {
    requirement.reason = fmt::format("DANE: {} has TLSA records", facts.host);
  }
  return requirement;
}

/// Whoever may have invented the host's name has a certificate for it.
TlsRequirement decide_required(const TlsFacts& facts) {
  const bool vouched = facts.name_secure || (facts.sts != nullptr && sts::names_host(*facts.sts, facts.host));
  if (vouched) return {TlsLevel::verified, TlsAuthority::message, {}, "REQUIRETLS: the message asks for it"};
  return impossible(
      TlsAuthority::message,
      fmt::format("REQUIRETLS: neither DNSSEC nor MTA-STS vouches that {} takes that domain's mail", facts.host));
}

}  // namespace

bool is_usable_tlsa(std::string_view rdata) {
  if (rdata.size() < 4) return false;
  const int usage = rdata[0], selector = rdata[1], matching = rdata[2];
  const size_t size = rdata.size() - 3;
  if ((usage != 2 && usage != 3) || selector < 0 || selector > 1) return false;
  return matching == 0 || (matching == 1 && size == kSha256) || (matching == 2 && size == kSha512);
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
  if (facts.need == TlsNeed::waived) {
    const bool asked = facts.asked != TlsLevel::opportunistic;
    return {facts.asked, asked ? TlsAuthority::route : TlsAuthority::nobody, {}, "TLS-Required: No"};
  }
  auto dane = decide_dane(facts);
  if (dane && dane->level != TlsLevel::encrypted) return std::move(*dane);
  if (facts.sts != nullptr && facts.sts->mode == sts::Mode::enforce) {
    if (sts::names_host(*facts.sts, facts.host))
      return {TlsLevel::verified, TlsAuthority::sts, {}, fmt::format("MTA-STS: the policy names {}", facts.host)};
    return impossible(TlsAuthority::sts, fmt::format("MTA-STS: the policy does not name {}", facts.host));
  }
  if (facts.asked == TlsLevel::verified) return {TlsLevel::verified, TlsAuthority::route, {}, "the route asks for it"};
  if (facts.need == TlsNeed::required) return decide_required(facts);
  if (dane) return std::move(*dane);
  if (facts.asked == TlsLevel::encrypted)
    return {TlsLevel::encrypted, TlsAuthority::route, {}, "the route asks for it"};
  return {TlsLevel::opportunistic, TlsAuthority::nobody, {}, "TLS if it is offered"};
}

}  // namespace postrider
