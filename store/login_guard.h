// Who guesses passwords. Failures are counted in STATE/logins.db by both daemons together; an address that fails too
// often is banned for a while, each time for longer, and an account that is guessed at from everywhere lets in only
// those who have been there before. Nothing is lost with the file.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/base/clock.h"
#include "store/sqlite.h"

namespace postrider::store {

struct GuardPolicy {
  uint64_t failures_per_address = 20;   // within window, until the address is banned; 0: never
  uint64_t failures_per_account = 100;  // within window, until an account is closed to strangers; 0: never
  Seconds window{600};
  Seconds ban{600};  // the first; each further one is twice as long, at most a day
};

enum class GuardedKind { address, account };

struct Ban {
  GuardedKind kind = GuardedKind::address;
  std::string key;  // an address or /64 network; the name of an account as it was tried, lower case
  UnixTime until = 0;
  uint64_t bans = 0;  // so far, this one too
};

class LoginGuard {
 public:
  static constexpr size_t kMaxRows = 200'000;   // addresses and names that are remembered
  static constexpr uint64_t kSweepEvery = 256;  // failures between two looks whether there are too many rows
  static constexpr size_t kMaxKey = 320;        // octets
  static constexpr Seconds kMaxBan{86'400};
  static constexpr Seconds kForgotten{7 * 86'400};  // after which an address begins anew
  static constexpr Seconds kAcquainted{
      60 * 86'400};  // since its last login, for which an address is no stranger to an account
  static constexpr std::chrono::seconds kFresh{1};  // how old the picture of the bans may be

  /// Throws SqliteError.
  LoginGuard(const std::string& state, const Clock& clock);
  /// From now on; from any thread.
  void set_policy(const GuardPolicy& policy);

  /// From any thread, a loop's too; asks nothing but memory. Until when this login is not even tried; nothing: it is.
  /// address: what is counted together, see net::network_of().
  std::optional<UnixTime> banned_until(const std::string& address, std::string_view user) const;
  /// The picture that banned_until() goes by is old: call refresh() before it.
  bool stale() const;
  /// This login is on record already: no need for succeeded().
  bool is_noted(const std::string& address, std::string_view user) const;

  // Read and write the disk: for worker threads, from any of them. Throw SqliteError.
  void refresh();
  /// What happened to a login.
  void failed(const std::string& address, std::string_view user);
  void succeeded(const std::string& address, std::string_view user);
  std::vector<Ban> bans();
  void ban(const std::string& address, UnixTime until);
  /// False: there is no ban on that address or account. Its failures are forgotten too.
  bool lift(std::string_view key);

 private:
  struct Picture {
    std::unordered_map<std::string, UnixTime> addresses, accounts;
    std::unordered_map<std::string, std::unordered_set<std::string>> acquainted;  // of the banned accounts
  };
  void count(GuardedKind kind, std::string_view key, uint64_t limit);
  void make_room();
  void take_picture();
  void write_ban(GuardedKind kind, std::string_view key, UnixTime until, uint64_t bans);

  const Clock& clock_;
  std::mutex database_mutex_;
  Database database_;
  GuardPolicy policy_;
  uint64_t failures_ = 0;             // noted by this process
  mutable std::mutex picture_mutex_;  // of what memory holds
  Picture picture_;
  std::unordered_set<std::string> noted_;  // logins of this day that are known to be in the file
  UnixTime noted_day_ = 0;
  std::atomic<std::chrono::steady_clock::rep> taken_{0};
};

/// "There were too many failed logins; try again in 9 minutes."
std::string ban_sentence(UnixTime until, UnixTime now);

}  // namespace postrider::store
