// How well a hand-over to another server must be protected: DANE (RFC 7672) where its DNS is signed and holds TLSA
// records, MTA-STS (RFC 8461) where the domain has a policy, TLS if it is offered otherwise. DANE wins; nothing ever
// falls back below what is asked for.
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

/// RFC 6698 2.1, with the meaning of RFC 7672 3.1.
struct TlsaRecord {
  uint8_t usage = 0;     // 2: the authority's certificate; 3: the host's own
  uint8_t selector = 0;  // 0: the certificate; 1: its key
  uint8_t matching = 0;  // 0: all of it; 1: SHA-256; 2: SHA-512
  std::string data;
};
/// Nothing where the record cannot be used for SMTP: usages 0 and 1 cannot, and what is malformed or unknown.
std::optional<TlsaRecord> parse_usable_tlsa(std::string_view rdata);
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

struct TlsRequirement {
  TlsLevel level = TlsLevel::opportunistic;
  std::vector<TlsaRecord> tlsa;  // for dane
  std::string reason;            // for the log and `mailctl trace`
};

/// What is known of one host of a domain. Answers that were not asked for are null.
struct TlsFacts {
  std::string host;
  bool host_secure = false;         // the answer for the MX records and for the host's addresses is validated by DNSSEC
  const DnsAnswer* tlsa = nullptr;  // asked for where host_secure
  const sts::Policy* sts = nullptr;  // the domain's, as far as it is not too old
  bool needs_tls = false;            // the message asks for it (REQUIRETLS, RFC 8689), or the route does
};
TlsRequirement decide_tls(const TlsFacts& facts);

}  // namespace postrider
