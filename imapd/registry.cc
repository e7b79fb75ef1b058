#include "imapd/registry.h"

#include <algorithm>
#include <numeric>

namespace postrider::imap {

Registry::Registry(const std::vector<asio::io_context*>& loops, Observer observer) : observer_(std::move(observer)) {
  for (asio::io_context* context : loops) loops_.push_back(Loop{context, {}});
}

bool Registry::enter(store::AccountId account, size_t loop, Listener& listener, size_t most_sessions) {
  {
    std::lock_guard lock(mutex_);
    auto found = counts_.find(account);
    size_t there = 0;
    if (found != counts_.end())
      there = std::accumulate(found->second.sessions.begin(), found->second.sessions.end(), size_t{0});
    if (there >= most_sessions) return false;
    count(account, &Counts::sessions, loop, 1);
  }
  listen(account, loop, listener);
  return true;
}

void Registry::leave(store::AccountId account, size_t loop, Listener& listener) {
  forget(account, loop, listener);
  std::lock_guard lock(mutex_);
  count(account, &Counts::sessions, loop, -1);
}

void Registry::watch(store::AccountId account, size_t loop, Listener& listener) {
  {
    std::lock_guard lock(mutex_);
    count(account, &Counts::watchers, loop, 1);
  }
  listen(account, loop, listener);
}

void Registry::unwatch(store::AccountId account, size_t loop, Listener& listener) {
  forget(account, loop, listener);
  std::lock_guard lock(mutex_);
  count(account, &Counts::watchers, loop, -1);
}

/// The lock is held.
void Registry::count(store::AccountId account, std::vector<uint32_t> Counts::*which, size_t loop, int by) {
  Counts& counts = counts_[account];
  counts.sessions.resize(loops_.size());
  counts.watchers.resize(loops_.size());
  (counts.*which)[loop] += static_cast<uint32_t>(by);
  auto nobody = [](const std::vector<uint32_t>& n) {
    return std::all_of(n.begin(), n.end(), [](auto i) { return i == 0; });
  };
  if (nobody(counts.sessions) && nobody(counts.watchers)) counts_.erase(account);
}

void Registry::listen(store::AccountId account, size_t loop, Listener& listener) {
  loops_[loop].listeners[account].push_back(&listener);
  observer_(account);
}

void Registry::forget(store::AccountId account, size_t loop, Listener& listener) {
  auto here = loops_[loop].listeners.find(account);
  // One may listen twice: it has a mailbox selected in an account that it watches besides.
  here->second.erase(std::find(here->second.begin(), here->second.end(), &listener));
  if (here->second.empty()) loops_[loop].listeners.erase(here);
}

void Registry::changed(store::AccountId account, size_t own_loop, const Listener* who) {
  std::vector<uint32_t> counts;
  {
    std::lock_guard lock(mutex_);
    auto found = counts_.find(account);
    if (found == counts_.end()) return;
    counts = found->second.sessions;
    for (size_t loop = 0; loop < counts.size(); ++loop) counts[loop] += found->second.watchers[loop];
  }
  observer_(account);
  for (size_t loop = 0; loop < loops_.size(); ++loop) {
    if (counts[loop] == 0) continue;
    if (loop == own_loop) {
      tell(loop, account, who);
    } else {
      asio::post(*loops_[loop].context, [this, loop, account] { tell(loop, account, nullptr); });
    }
  }
}

void Registry::tell(size_t loop, store::AccountId account, const Listener* but) {
  auto here = loops_[loop].listeners.find(account);
  if (here == loops_[loop].listeners.end()) return;
  for (Listener* listener : here->second) {
    if (listener != but) listener->account_changed(account);
  }
}

std::vector<store::AccountId> Registry::idling_accounts(size_t loop) const {
  std::vector<store::AccountId> accounts;
  for (const auto& [account, listeners] : loops_[loop].listeners) {
    if (std::any_of(listeners.begin(), listeners.end(), [](const Listener* l) { return l->idling(); })) {
      accounts.push_back(account);
    }
  }
  return accounts;
}

}  // namespace postrider::imap
