// How much mail is taken from whom, and for whom. What was used comes back evenly: of "100 in an hour" a hundred may
// come at once, and then one every 36 seconds (a leaking bucket, one number for each rule). Counts live in a table of
// fixed size; those of accounts are kept in STATE/limits.db as well, where `mailctl limit` shows and lifts them.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "store/sqlite.h"

namespace postrider::store {

struct RateRule {
  uint64_t count = 0;
  Seconds per{0};
  bool operator==(const RateRule&) const = default;
};

/// What is counted together.
enum class RateLayer : uint8_t { address, network, account, recipient };
constexpr size_t kRateLayers = 4;
constexpr size_t kMaxRateRules = 4;  // of one layer

using RatePolicy = std::array<std::vector<RateRule>, kRateLayers>;

struct RateUse {
  std::string account;
  RateRule rule;
  uint64_t used = 0;
  UnixTime free = 0;  // when nothing of it counts any more
};

class RateLimits {
 public:
  static constexpr size_t kSets = 1 << 14;  // of the table; each has room for kWays keys
  static constexpr size_t kWays = 4;
  static constexpr size_t kMaxUnsaved = 50'000;  // accounts between two saves
  static constexpr size_t kMaxKey = 320;         // octets
  static constexpr std::chrono::seconds kFresh{1};

  /// Throws SqliteError.
  RateLimits(const std::string& state, const Clock& clock);
  ~RateLimits();
  RateLimits(const RateLimits&) = delete;
  RateLimits& operator=(const RateLimits&) = delete;
  /// From now on; from any thread. Reads the disk.
  void set_policy(const RatePolicy& policy);

  struct Refused {
    RateRule rule;
    UnixTime again = 0;  // when it would be taken
  };
  /// Counts one more, unless that is one too many: then nothing is counted. From any thread, a loop's too; asks nothing
  /// but memory. Where the table is full those that have used least are forgotten.
  std::optional<Refused> take(RateLayer layer, std::string_view key);
  /// Whether there is any rule for it.
  bool has_rules(RateLayer layer) const { return (layers_ >> static_cast<unsigned>(layer) & 1) != 0; }

  /// What accounts have used is not on the disk yet, or not known to be what mailctl made of it: call refresh().
  bool stale() const;

  // Read and write the disk: for worker threads, from any of them. Throw SqliteError.
  void refresh();
  /// Accounts that have used anything, as far as it is on the disk.
  std::vector<RateUse> uses();
  /// Forgets what an account has used, in the running mta too, within a second. False: nothing is known of it.
  bool lift(std::string_view account);

 private:
  using Times = std::array<int64_t, kMaxRateRules>;  // of each rule: when nothing of it counts any more; microseconds
  struct Entry {
    uint64_t key = 0;  // 0: free
    Times until{};
  };
  uint64_t hash(RateLayer layer, std::string_view key) const;
  Entry& entry(uint64_t hash);
  void load();
  void save(const std::unordered_map<std::string, Times>& used, const std::vector<RateRule>& rules);

  const Clock& clock_;
  const std::string seed_;
  std::mutex database_mutex_;
  Database database_;
  mutable std::mutex mutex_;  // of what memory holds; for a moment only
  RatePolicy policy_;
  std::vector<Entry> table_;  // kSets * kWays, once there is a rule
  std::unordered_map<std::string, Times> unsaved_;
  std::atomic<unsigned> layers_ = 0;  // those with rules, as bits
  std::atomic<std::chrono::steady_clock::rep> refreshed_{0};
};

/// "1000 in 1h" and when to come again, for a reply: "that is more than 1000 in 1h; try again in 5 minutes".
std::string rate_sentence(const RateLimits::Refused& refused, UnixTime now);

}  // namespace postrider::store
