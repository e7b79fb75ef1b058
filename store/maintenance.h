// What the account files need from time to time, on a thread of its own: checkpoints of those whose log has grown, and
// once a day a purge of what was expunged long ago and of old log rows. What is expunged takes at most as much as the
// account's quota beside it, and is kept for a day only while the disk is nearly full. And the audit, a step a second.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "store/accounts.h"
#include "store/audit.h"
#include "store/directory.h"

namespace postrider::store {

// Clients that were away for longer than this synchronise in full. Deliveries are remembered as long: longer than any
// queue lifetime, so that a replay always finds them.
constexpr UnixTime kLogKept = UnixTime{90} * 24 * 3600;

/// Less than a twentieth of the disk that holds this folder is free.
bool disk_is_low(const std::string& folder);

class Maintenance {
 public:
  struct Options {
    Seconds undelete = std::chrono::hours(24 * 14);  // how long expunged mail is kept
    /// All accounts, asked once a day; empty: this process does no purging (the other daemon does).
    std::function<std::vector<AccountInfo>()> purge_accounts;
    /// Whether the disk is nearly full; then expunged mail is kept for a day only.
    std::function<bool()> disk_is_low;
    Seconds audit_interval{0};  // 0: no audit
    std::string state;          // the state folder, for the audit
    Audit::Options audit;
    std::function<void(const AuditCounts&)> audited;  // an audit came to its end; may be empty
  };

  Maintenance(Accounts& accounts, const Clock& clock, Options options);
  ~Maintenance();

 private:
  void run();
  void checkpoint_grown();
  void purge(UnixTime now);
  void purge_all(Seconds kept);
  void audit(UnixTime now);
  void begin_audit();
  void end_audit();
  bool stopping();

  Accounts& accounts_;
  const Clock& clock_;
  Options options_;
  UnixTime next_purge_ = 0, next_look_ = 0, next_audit_ = 0;
  std::unique_ptr<Audit> audit_;  // while one goes on
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postrider::store
