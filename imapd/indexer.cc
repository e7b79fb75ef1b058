#include "imapd/indexer.h"

#include <algorithm>
#include <exception>

#include "common/base/log.h"
#include "common/base/priority.h"
#include "imapd/index_run.h"
#include "store/search_index.h"

namespace postrider::imap {

Indexer::Indexer(store::Accounts& accounts, std::function<bool()> wanted, Pace pace)
    : accounts_(accounts), wanted_(std::move(wanted)), pace_(pace), thread_([this] { run(); }) {}

Indexer::~Indexer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Indexer::changed(store::AccountId account) {
  const auto now = Clock::now();
  std::lock_guard lock(mutex_);
  if (auto waits = waiting_.find(account); waits != waiting_.end()) {
    waits->second.latest = now;
    return;
  }
  if (waiting_.size() >= kMaxWaiting) return;
  waiting_.emplace(account, Wait{now, now});
  if (waiting_.size() == 1) wake_.notify_all();
}

/// Waits for an account whose time has come. Nothing: it is to end.
std::optional<store::AccountId> Indexer::next_due(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    auto soonest = std::min_element(waiting_.begin(), waiting_.end(),
                                    [&](const auto& a, const auto& b) { return due(a.second) < due(b.second); });
    if (soonest == waiting_.end()) {
      wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      continue;
    }
    const auto when = due(soonest->second);
    if (when <= Clock::now()) {
      const store::AccountId account = soonest->first;
      waiting_.erase(soonest);
      return account;
    }
    wake_.wait_until(lock, when, [&] { return stopping_; });
  }
  return std::nullopt;
}

void Indexer::run() {
  set_thread_priority(Priority::delivery);
  std::unique_lock lock(mutex_);
  while (auto account = next_due(lock)) {
    lock.unlock();
    try {
      index(*account);
    } catch (const std::exception& error) {
      log_warn("not_indexed", {{"account", *account}, {"reason", error.what()}});
    }
    lock.lock();
  }
}

/// False: it is to end.
bool Indexer::rest(Clock::duration time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [&] { return stopping_; });
}

void Indexer::index(store::AccountId id) {
  if (!wanted_()) {
    auto account = accounts_.open(id);
    store::SearchIndex(*account).drop();
    return;
  }
  bool more = true, first = true;
  while (more) {
    const auto began = Clock::now();
    {
      // A lease for each step: checkpoints and the cache of handles go on between them.
      auto account = accounts_.open(id);
      if (std::exchange(first, false)) store::SearchIndex(*account).drop_if_worn();
      more = index_more(*account, trigrams_);
    }
    if (more && !rest(Clock::now() - began)) return;
  }
}

}  // namespace postrider::imap
