// TLS-RPT (RFC 8460): what hand-overs to a domain came to, who wants to know it, and the reports, from both sides.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dns.h"

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
};

/// A report of somebody else about the mail that he sent us.
struct ReceivedReport {
  std::string kind;          // "tls" or "dmarc"
  std::string organization;  // who reports
  std::string report_id;
  std::string domain;  // of ours
  UnixTime begin = 0, end = 0, received = 0;
  uint64_t good = 0, bad = 0;
  std::string details;  // what failed, one line each
};

struct TlsReport {
  std::string organization, contact, id;
  std::string domain;
  UnixTime begin = 0, end = 0;         // the last second is in it
  std::span<const TlsResult> results;  // those of one policy in a row
};

namespace tls_report {

constexpr size_t kMaxUris = 10;             // of a record
constexpr size_t kMaxCompressed = 1 << 20;  // octets of a report that came
constexpr size_t kMaxText = 8 << 20;        // when it is inflated
constexpr size_t kMaxPolicies = 100;
constexpr size_t kMaxDetails = 200;  // lines that are kept of one
constexpr size_t kMaxWord = 255;     // octets of a name in it

/// Who wants reports by mail, from the answer for "_smtp._tls.DOMAIN" (3).
std::vector<std::string> mailboxes(const DnsAnswer& answer);
std::string format(const TlsReport& report);
/// json: of a report that was inflated. received is left open.
Result<ReceivedReport> parse(std::string_view json);

}  // namespace tls_report
}  // namespace postrider
