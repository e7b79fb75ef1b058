// A message that is being delivered: shared by the recipients that have not ended, counted against a budget of memory.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "mta/attempt_marks.h"
#include "store/message_source.h"
#include "store/queue.h"

namespace postrider {

/// Octets of bodies in memory, and who wants to know when there is room again. Safe to use from any thread.
class MemoryBudget {
 public:
  /// room_again is called, from any thread, when use falls below half of the limit.
  MemoryBudget(uint64_t limit, std::function<void()> room_again) : limit_(limit), room_again_(std::move(room_again)) {}

  bool has_room() const { return used_.load() < limit_; }
  /// Less than half is used: worth reading more from the disk.
  bool has_much_room() const { return used_.load() < limit_ / 2; }
  void take(uint64_t octets) { used_.fetch_add(octets); }
  void give_back(uint64_t octets) {
    uint64_t before = used_.fetch_sub(octets);
    if (before >= limit_ / 2 && before - octets < limit_ / 2) room_again_();
  }

 private:
  const uint64_t limit_;
  const std::function<void()> room_again_;
  std::atomic<uint64_t> used_ = 0;
};

class MessageInHand {
 public:
  /// budget and marks, where there are any, must outlive it.
  MessageInHand(store::QueuedMessage message, MemoryBudget& budget, AttemptMarks* marks = nullptr)
      : message_(std::move(message)), budget_(budget), marks_(marks), octets_(octets_of(message_)) {
    budget_.take(octets_);
  }
  ~MessageInHand() { budget_.give_back(octets_); }
  MessageInHand(const MessageInHand&) = delete;
  MessageInHand& operator=(const MessageInHand&) = delete;

  const store::QueuedMessage& message() const { return message_; }
  /// When it came into hand.
  std::chrono::steady_clock::time_point since() const { return since_; }

  /// Says, as long as the mark lives, that this process is at the message: for that account, or for other servers (0).
  [[nodiscard]] AttemptMark begin_attempt(store::AccountId account) const {
    return marks_ != nullptr ? marks_->begin(message_.id, account) : AttemptMark();
  }

  /// Indexed and compressed, by the first thread that asks. Throws where the body cannot be read.
  const store::PreparedMessage& prepared() {
    std::call_once(once_, [this] {
      if (message_.body == nullptr) throw std::runtime_error("the message's body is missing in the queue");
      prepared_ = store::prepare_message(message_.body);
    });
    return prepared_;
  }

 private:
  static uint64_t octets_of(const store::QueuedMessage& message) {
    constexpr uint64_t kOverhead = 2'048;  // of the message and its recipients, roughly
    return kOverhead + (message.body != nullptr ? message.body->memory().size() : 0);
  }

  const store::QueuedMessage message_;
  MemoryBudget& budget_;
  AttemptMarks* const marks_;
  const uint64_t octets_;
  const std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::once_flag once_;
  store::PreparedMessage prepared_;
};

}  // namespace postrider
