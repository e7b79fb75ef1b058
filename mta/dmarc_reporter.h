// DMARC's aggregate reports (RFC 7489 7.2), our side: counts by domain and day what mail in its name came to, and
// writes the reports.
#pragma once

#include <string>
#include <vector>

#include "mta/held_results.h"
#include "mta/reporter.h"
#include "store/dmarc_records.h"

namespace postrider {

class DmarcReporter final : public ReportSource {
 public:
  /// Throws SqliteError. The clock must outlive it.
  DmarcReporter(const std::string& state, const Clock& clock) : clock_(clock), records_(state) {}

  /// From any thread; costs memory alone.
  void count(DmarcResult result);

  std::string_view kind() const override { return "dmarc"; }
  void write() override;
  std::vector<ReportDay> unreported(int64_t before, size_t most) override { return records_.unreported(before, most); }
  void forget(const ReportDay& day) override { records_.forget(day); }
  std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups) override {
    return dmarc_report::destinations(domain, lookups);
  }
  OutgoingReport make(const ReportDay& day, const ReportIdentity& identity) override;

 private:
  const Clock& clock_;
  store::DmarcRecords records_;
  HeldResults<DmarcResult> held_;
};

}  // namespace postrider
