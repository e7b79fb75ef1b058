#include "mta/delivery_queue.h"

#include <utility>

namespace postrider {

void DeliveryQueue::enqueue_turn(store::AccountId account) {
  turns_.push_back(account);
  if (idle_threads_ > 0) wake_.notify_one();
}

void DeliveryQueue::push(std::span<Delivery> deliveries) {
  std::lock_guard lock(mutex_);
  for (Delivery& delivery : deliveries) {
    store::AccountId account = delivery.to().account;
    Lane& lane = lanes_[account];
    lane.waiting.push_back(std::move(delivery));
    if (!lane.busy && lane.waiting.size() == 1) enqueue_turn(account);
  }
}

std::optional<AccountBatch> DeliveryQueue::take() {
  std::unique_lock lock(mutex_);
  ++idle_threads_;
  wake_.wait(lock, [this] { return stopped_ || !turns_.empty(); });
  --idle_threads_;
  if (stopped_) return std::nullopt;
  AccountBatch batch;
  batch.account = turns_.front();
  turns_.pop_front();
  last_taken_ = std::chrono::steady_clock::now();
  Lane& lane = lanes_[batch.account];
  lane.busy = true;
  uint64_t octets = 0;
  while (!lane.waiting.empty() && batch.deliveries.size() < kMaxBatchMessages && octets < kMaxBatchOctets) {
    const auto& body = lane.waiting.front().message->message().body;
    octets += body != nullptr ? body->size() : 0;
    batch.deliveries.push_back(std::move(lane.waiting.front()));
    lane.waiting.pop_front();
  }
  return batch;
}

void DeliveryQueue::done(store::AccountId account) {
  std::lock_guard lock(mutex_);
  auto found = lanes_.find(account);
  found->second.busy = false;
  if (found->second.waiting.empty()) {
    lanes_.erase(found);
  } else {
    enqueue_turn(account);
  }
}

void DeliveryQueue::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  wake_.notify_all();
}

bool DeliveryQueue::is_stuck(std::chrono::steady_clock::duration wait) const {
  std::lock_guard lock(mutex_);
  return idle_threads_ == 0 && !turns_.empty() && std::chrono::steady_clock::now() - last_taken_ > wait;
}

bool DeliveryQueue::is_idle() const {
  std::lock_guard lock(mutex_);
  return lanes_.empty();
}

}  // namespace postrider
