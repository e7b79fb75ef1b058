// Which sessions look at which account, so that whoever changes an account can wake the others.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "store/types.h"

namespace postrider::imap {

/// A session that wants to hear of changes.
class Listener {
 public:
  virtual ~Listener() = default;
  /// On the listener's own loop; quick, and never calls back.
  virtual void account_changed(store::AccountId account) = 0;
  /// Waits in IDLE, and so would not find out by itself.
  virtual bool idling() const = 0;
};

class Registry {
 public:
  /// Somebody came to an account, or changed one that somebody is at. From any thread, quick.
  using Observer = std::function<void(store::AccountId)>;
  /// loops: in the order of their numbers; they outlive the registry's sessions.
  Registry(const std::vector<asio::io_context*>& loops, Observer observer);

  /// On that loop. False: the account has most_sessions already.
  bool enter(store::AccountId account, size_t loop, Listener& listener, size_t most_sessions);
  /// On that loop; the listener is not called after this.
  void leave(store::AccountId account, size_t loop, Listener& listener);
  /// Likewise for a session of somebody else's, which looks at a mailbox of the account and does not count.
  void watch(store::AccountId account, size_t loop, Listener& listener);
  void unwatch(store::AccountId account, size_t loop, Listener& listener);
  /// A session searches a mailbox of the account, and does not stay. From any thread.
  void visit(store::AccountId account) { observer_(account); }

  /// Something was committed: wakes the account's sessions on every loop, but not the one that did it. From any thread;
  /// the listeners of own_loop are called at once, so that must be the calling thread's loop, or kNoLoop.
  static constexpr size_t kNoLoop = SIZE_MAX;
  void changed(store::AccountId account, size_t own_loop = kNoLoop, const Listener* who = nullptr);

  /// Accounts with an idling session on that loop. On that loop.
  std::vector<store::AccountId> idling_accounts(size_t loop) const;

 private:
  using Listeners = std::unordered_map<store::AccountId, std::vector<Listener*>>;
  struct Loop {
    asio::io_context* context = nullptr;
    Listeners listeners;  // of its own thread alone
  };
  /// Sessions of an account on each loop, and others that watch it.
  struct Counts {
    std::vector<uint32_t> sessions, watchers;
  };
  void count(store::AccountId account, std::vector<uint32_t> Counts::*which, size_t loop, int by);
  void listen(store::AccountId account, size_t loop, Listener& listener);
  void forget(store::AccountId account, size_t loop, Listener& listener);
  void tell(size_t loop, store::AccountId account, const Listener* but);

  std::vector<Loop> loops_;
  const Observer observer_;
  std::mutex mutex_;
  std::unordered_map<store::AccountId, Counts> counts_;
};

}  // namespace postrider::imap
