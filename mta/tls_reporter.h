// TLS-RPT (RFC 8460), our side: counts by domain and day how hand-overs were protected, and writes the reports.
#pragma once

#include <string>
#include <vector>

#include "mta/held_results.h"
#include "mta/reporter.h"
#include "store/tls_records.h"

namespace postrider {

class TlsReporter final : public ReportSource {
 public:
  /// Throws SqliteError. The clock must outlive it.
  TlsReporter(const std::string& state, const Clock& clock) : clock_(clock), records_(state) {}
  store::TlsRecords& records() { return records_; }

  /// From any thread; costs memory alone.
  void count(TlsResult result);

  std::string_view kind() const override { return "tls"; }
  void write() override;
  std::vector<ReportDay> unreported(int64_t before, size_t most) override { return records_.unreported(before, most); }
  void forget(const ReportDay& day) override { records_.forget(day); }
  std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups) override {
    return tls_report::destinations(domain, lookups);
  }
  OutgoingReport make(const ReportDay& day, const ReportIdentity& identity) override;

 private:
  const Clock& clock_;
  store::TlsRecords records_;
  HeldResults<TlsResult> held_;
};

}  // namespace postrider
