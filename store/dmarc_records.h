// What mail in the name of other domains came to, by domain and day, until that is reported (RFC 7489 7.2), in
// STATE/dmarc.db. Nothing that counts is lost with the file but a day's figures.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "common/mailauth/dmarc_report.h"
#include "store/sqlite.h"

namespace postrider::store {

class DmarcRecords {
 public:
  static constexpr int64_t kMaxResults = 200'000;        // rows, over all days
  static constexpr int64_t kMaxResultsOfDomain = 5'000;  // of a domain and day
  static constexpr int64_t kDaysKept = 3;                // of results that nobody could be told of

  /// Throws SqliteError, as all of it does. From any thread that may wait for the disk.
  explicit DmarcRecords(const std::string& state);

  /// day: since 1970. What is beyond the limits is not counted.
  void count(int64_t day, std::span<const DmarcResult> results);
  /// Days before this one with results that were not reported; days long past are forgotten.
  std::vector<ReportDay> unreported(int64_t before, size_t most);
  std::vector<DmarcResult> results(const ReportDay& day);
  void forget(const ReportDay& day);

 private:
  std::mutex mutex_;
  Database database_;
};

}  // namespace postrider::store
