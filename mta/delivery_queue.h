// What waits for local delivery: a lane for each account, in the order in which messages came, worked on by one thread
// at a time. While a lane is busy its next messages gather, so batches grow by themselves under load and are one
// message without.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "mta/delivery_message.h"

namespace postrider {

constexpr size_t kMaxBatchMessages = 200;  // of one account, in one transaction
constexpr uint64_t kMaxBatchOctets = 16 << 20;

/// One recipient of a message.
struct Delivery {
  std::shared_ptr<MessageInHand> message;
  size_t recipient = 0;  // index

  const store::QueuedRecipient& to() const { return message->message().recipients[recipient]; }
};

struct AccountBatch {
  store::AccountId account = 0;
  std::vector<Delivery> deliveries;
};

/// Safe to use from any thread. Bounded by the memory budget of the messages.
class DeliveryQueue {
 public:
  void push(std::span<Delivery> deliveries);
  /// Waits for an account whose turn it is; nobody else gets it until done(). Nothing after stop().
  std::optional<AccountBatch> take();
  void done(store::AccountId account);
  /// Those who wait in take() come back with nothing; what is still in the lanes stays there.
  void stop();
  /// Whether somebody waits and no thread has begun anything for that long: all of them are held by slow accounts.
  bool is_stuck(std::chrono::steady_clock::duration wait) const;
  /// Nothing waits and nobody is at work.
  bool is_idle() const;

 private:
  struct Lane {
    std::deque<Delivery> waiting;
    bool busy = false;
  };
  void enqueue_turn(store::AccountId account);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::unordered_map<store::AccountId, Lane> lanes_;
  std::deque<store::AccountId> turns_;
  std::chrono::steady_clock::time_point last_taken_;
  size_t idle_threads_ = 0;
  bool stopped_ = false;
};

}  // namespace postrider
