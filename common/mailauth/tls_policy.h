// How well a hand-over to another server must be protected: DANE (RFC 7672) where its DNS is signed and holds TLSA
// records, MTA-STS (RFC 8461) where the domain has a policy, what the route or the message (RFC 8689) asks for, TLS if
// it is offered otherwise. DANE wins; nothing ever falls back below what is asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mailauth/dns.h"
#include "common/mailauth/mta_sts.h"

namespace postrider {

constexpr size_t kMaxTlsaRecords = 50;  // of one host that are looked at

/// Whether a TLSA record (RFC 6698 2.1) can be used for SMTP: usages 0 and 1 cannot (RFC 7672 3.1.3), nor can what is
/// malformed or unknown.
bool is_usable_tlsa(std::string_view rdata);
/// "_25._tcp.mx.example.org".
std::string tlsa_name(std::string_view host, uint16_t port);

enum class TlsLevel {
  opportunistic,  // as it comes; in clear where TLS is not offered
  encrypted,      // TLS, with any certificate
  dane,           // TLS, and the certificate fits a TLSA record
  verified,       // TLS, and the certificate is valid for the host's name
  impossible,     // this host must not be used; another one, or later
};
std::string_view to_string(TlsLevel level);

/// What a message says about it (RFC 8689).
enum class TlsNeed {
  as_policy,
  required,  // REQUIRETLS: protected on its whole way, or not at all
  waived,    // "TLS-Required: No": rather in clear than not at all
};

/// Who asks for what is required; TLS-RPT has words for the first three (RFC 8460 4.2).
enum class TlsAuthority { nobody, sts, dane, route, message };

struct TlsRequirement {
  TlsLevel level = TlsLevel::opportunistic;
  TlsAuthority authority = TlsAuthority::nobody;
  std::vector<std::string> tlsa;  // for dane: RDATA of the usable records
  std::string reason;             // for the log and `mailctl trace`
};

/// What is known of one host of a domain. Answers that were not asked for are null.
struct TlsFacts {
  std::string host;
  bool name_secure = false;          // DNSSEC, or the administrator, vouches that mail is to go to this host
  const DnsAnswer* tlsa = nullptr;   // asked for where name_secure, and DNSSEC vouches for the host's addresses too
  const sts::Policy* sts = nullptr;  // the domain's, as far as it is not too old
  TlsLevel asked = TlsLevel::opportunistic;  // by the route: opportunistic, encrypted or verified
  TlsNeed need = TlsNeed::as_policy;
};
TlsRequirement decide_tls(const TlsFacts& facts);

}  // namespace postrider
