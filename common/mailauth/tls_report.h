// TLS-RPT (RFC 8460): what hand-overs to a domain came to, who wants to know it, and the reports, from both sides.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dns.h"
#include "common/mailauth/report.h"

namespace postrider {

/// Hand-overs that came to the same thing.
struct TlsResult {
  std::string domain;       // of the recipients
  std::string policy_type;  // "sts", "tlsa" or "no-policy-found" (4.2)
  std::string policy;       // its lines
  std::string failure;      // result type (4.3); empty: they were protected as they have to be
  std::string host;         // mail host, where it failed
  std::string address;      // of that host
  std::string detail;       // why, for people
  uint64_t sessions = 1;

  /// The same for those that add up.
  std::string key() const;
  uint64_t& total() { return sessions; }
};

struct TlsReport {
  std::string organization, contact, id;
  std::string domain;
  UnixTime begin = 0, end = 0;         // the last second is in it
  std::span<const TlsResult> results;  // those of one policy in a row
};

namespace tls_report {

constexpr size_t kMaxPolicies = 100;

/// Where reports are wanted, from the answer for "_smtp._tls.DOMAIN" (3).
std::vector<ReportUri> uris(const DnsAnswer& answer);
/// The same; nothing: the answer is missing.
std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups);
std::string format(const TlsReport& report);
/// json: of a report that was inflated. received is left open.
Result<ReceivedReport> parse(std::string_view json);

}  // namespace tls_report
}  // namespace postrider
