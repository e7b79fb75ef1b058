// DMARC's aggregate reports (RFC 7489 7.2 and appendix C): what mail in the name of a domain came to, who wants to know
// it, and the reports, from both sides.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dmarc.h"
#include "common/mailauth/report.h"

namespace postrider {

/// Messages that came to the same thing.
struct DmarcResult {
  std::string domain;         // that has the record
  std::string policy;         // what it says: dmarc_report::policy_text()
  std::string source;         // IP address
  std::string disposition;    // what was done: "none", "quarantine" or "reject"
  std::string dkim, spf;      // "pass" or "fail", with alignment
  std::string reason;         // type of a reason to do something else than the policy asks for; empty: none
  std::string comment;        // on the reason
  std::string header_from;    // domains
  std::string envelope_from;  // empty: the null reverse-path
  std::string signatures;     // of DKIM, a line each: "domain selector result"
  std::string spf_result;     // "scope domain result"
  uint64_t messages = 1;

  /// The same for those that add up.
  std::string key() const;
  uint64_t& total() { return messages; }
};

struct DmarcReport {
  std::string organization, contact, id;
  ReportDay about;
  UnixTime begin = 0, end = 0;  // the last second is in it
  std::span<const DmarcResult> results;
};

namespace dmarc_report {

/// One line that a report's policy_published is made from.
std::string policy_text(const dmarc::Record& record);

/// What a message is counted as. disposition: what is done with it.
struct Message {
  std::string source;         // IP address
  std::string envelope_from;  // domain of MAIL FROM
  dmarc::Policy disposition = dmarc::Policy::none;
  std::string reason, comment;
};
/// author must have a record.
DmarcResult result_of(const Message& message, const dmarc::AuthorPolicy& author, const dmarc::Judgement& judgement,
                      const dmarc::Authenticated& authenticated);

/// Where the domain with the record wants reports: mailboxes of its own organization, and others that say in DNS that
/// they take them (7.1). Nothing: answers are missing.
std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups);

/// XML.
std::string format(const DmarcReport& report);
/// xml: of a report that was unpacked. received is left open. A document type, and so any entity of its own, is an
/// error.
Result<ReceivedReport> parse(std::string_view xml);

}  // namespace dmarc_report
}  // namespace postrider
