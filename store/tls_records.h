// What mta remembers of TLS with other servers, in STATE/tls.db: MTA-STS policies (RFC 8461), what hand-overs came to
// by domain and day until that is reported (TLS-RPT, RFC 8460), and the reports of others about us, DMARC's as well.
// Nothing that counts is lost with the file but a day's figures.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/tls_report.h"
#include "store/sqlite.h"

namespace postrider::store {

struct KeptPolicy {
  std::string domain;
  std::string id;    // of the record that it was fetched for
  std::string text;  // as it was fetched
  UnixTime fetched = 0, expires = 0;
  UnixTime used = 0;  // when it was last fetched for a message
};

class TlsRecords {
 public:
  static constexpr int64_t kMaxPolicies = 20'000;        // domains whose policy is kept
  static constexpr int64_t kMaxResults = 100'000;        // rows, over all days
  static constexpr int64_t kMaxResultsOfDomain = 200;    // different failures of a domain and day
  static constexpr int64_t kMaxReports = 20'000;         // received ones that are kept
  static constexpr size_t kMaxReportDetails = 32 << 10;  // octets
  static constexpr size_t kMaxDetail = 200;              // octets of TlsResult::detail
  static constexpr int64_t kDaysKept = 7;                // of results that nobody wanted to hear of

  /// Throws SqliteError, as all of it does. From any thread that may wait for the disk.
  explicit TlsRecords(const std::string& state);

  std::optional<KeptPolicy> policy(const std::string& domain);
  /// In place of what was kept of the domain; the ones fetched longest ago make room.
  void keep(const KeptPolicy& policy);

  /// Of those used since then, at most so many that are past half of their time and not at its end: the next to end
  /// first.
  std::vector<KeptPolicy> ageing(UnixTime now, UnixTime used_since, size_t most);

  /// day: since 1970. What is beyond the limits is not counted.
  void count(int64_t day, std::span<const TlsResult> results);
  /// Days before this one with results that were not reported; days long past are forgotten.
  std::vector<ReportDay> unreported(int64_t before, size_t most);
  std::vector<TlsResult> results(const ReportDay& day);
  void forget(const ReportDay& day);

  /// False: it was there already.
  bool add_report(const ReceivedReport& report);
  /// The newest first; domain empty: of all.
  std::vector<ReceivedReport> reports(const std::string& domain, size_t most);

 private:
  std::mutex mutex_;
  Database database_;
};

}  // namespace postrider::store
