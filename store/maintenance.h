// What the account files need from time to time, on a thread of its own: checkpoints of those whose log has grown, and
// once a day a purge of what was expunged long ago and of old log rows.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "store/accounts.h"

namespace postrider::store {

class Maintenance {
 public:
  struct Options {
    Seconds undelete = std::chrono::hours(24 * 14);  // how long expunged mail is kept
    /// All accounts, asked once a day; empty: this process does no purging (the other daemon does).
    std::function<std::vector<AccountId>()> purge_accounts;
  };

  Maintenance(Accounts& accounts, const Clock& clock, Options options);
  ~Maintenance();

 private:
  void run();
  void checkpoint_grown();
  void purge_all();
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
