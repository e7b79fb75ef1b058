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
    auto& counts = counts_[account];
    counts.resize(loops_.size());
    if (std::accumulate(counts.begin(), counts.end(), size_t{0}) >= most_sessions) return false;
    ++counts[loop];
  }
  loops_[loop].listeners[account].push_back(&listener);
  observer_(account);
  return true;
}

void Registry::leave(store::AccountId account, size_t loop, Listener& listener) {
  auto here = loops_[loop].listeners.find(account);
  std::erase(here->second, &listener);
  if (here->second.empty()) loops_[loop].listeners.erase(here);
  std::lock_guard lock(mutex_);
  auto counts = counts_.find(account);
  --counts->second[loop];
  if (std::all_of(counts->second.begin(), counts->second.end(), [](uint32_t n) { return n == 0; }))
    counts_.erase(counts);
}

void Registry::changed(store::AccountId account, size_t own_loop, const Listener* who) {
  std::vector<uint32_t> counts;
  {
    std::lock_guard lock(mutex_);
    auto found = counts_.find(account);
    if (found == counts_.end()) return;
    counts = found->second;
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
    if (listener != but) listener->account_changed();
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
