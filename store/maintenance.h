// What the account files need from time to time, on a thread of its own: checkpoints of those whose log has grown, and
// once a day a purge of what was expunged long ago and of old log rows. What is expunged takes at most as much as the
// account's quota beside it, and is kept for a day only while the disk is nearly full.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "store/accounts.h"
#include "store/directory.h"

namespace postrider::store {

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
  };

  Maintenance(Accounts& accounts, const Clock& clock, Options options);
  ~Maintenance();

 private:
  void run();
  void checkpoint_grown();
  void purge_all(Seconds kept);
  bool stopping();

  Accounts& accounts_;
  const Clock& clock_;
  Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postrider::store
