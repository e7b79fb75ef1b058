// Keeps the search indexes of accounts that somebody is logged in to: a thread that waits until an account has been
// quiet for a moment, and then works at most half of the time. Nobody waits for it, and what it has not done yet,
// searches do without.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "store/accounts.h"
#include "store/trigrams.h"

namespace postrider::imap {

class Indexer {
 public:
  using Clock = std::chrono::steady_clock;
  struct Pace {
    std::chrono::milliseconds quiet{2'000};     // without a change, before an account is looked at
    std::chrono::milliseconds longest{30'000};  // that an account which never is quiet waits
  };

  /// wanted: asked each time; where there are to be no indexes, those that are found are emptied.
  Indexer(store::Accounts& accounts, std::function<bool()> wanted, Pace pace);
  ~Indexer();

  /// Somebody logged in, or something changed. From any thread, quick.
  void changed(store::AccountId account);

 private:
  static constexpr size_t kMaxWaiting = 10'000;  // accounts; more are taken in after their next change

  struct Wait {
    Clock::time_point first, latest;
  };
  void run();
  Clock::time_point due(const Wait& wait) const {
    return std::min(wait.latest + pace_.quiet, wait.first + pace_.longest);
  }
  std::optional<store::AccountId> next_due(std::unique_lock<std::mutex>& lock);
  void index(store::AccountId account);
  bool rest(Clock::duration time);

  store::Accounts& accounts_;
  const std::function<bool()> wanted_;
  const Pace pace_;
  store::TrigramSet trigrams_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::map<store::AccountId, Wait> waiting_;
  std::thread thread_;
};

}  // namespace postrider::imap
