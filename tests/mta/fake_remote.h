// The pipeline with other servers that do what the test says.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "tests/mta/queue_pipeline.h"

namespace postrider {

/// Keeps what it gets; the test settles.
class FakeRemote : public RemoteDelivery {
 public:
  void start() override {}
  void stop() override {}
  void push(std::vector<std::shared_ptr<MessageInHand>> messages) override {
    std::lock_guard lock(mutex_);
    for (auto& message : messages) got_.push_back(std::move(message));
    wake_.notify_all();
  }
  std::shared_ptr<MessageInHand> take() {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_for(lock, std::chrono::seconds(20), [this] { return !got_.empty(); })) return nullptr;
    auto first = std::move(got_.front());
    got_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<MessageInHand>> got_;
};

class RemotePipeline : public Pipeline {
 protected:
  RemotePipeline() { start_with_remote(); }
  void start_with_remote() {
    auto remote = std::make_unique<FakeRemote>();
    remote_ = remote.get();
    runner_->set_remote(std::move(remote));
    start();
  }
  /// Stops the runner, lets something happen while there is none, and starts another one over the same state.
  template <class Between>
  void remake(Between between) {
    runner_.reset();
    between();
    make();
    start_with_remote();
  }
  void settle(MessageInHand& in_hand, const Outcome& outcome) {
    Settlement settlement;
    Attempted attempted{&in_hand.message().recipients.at(0), outcome};
    runner_->settler().settle(in_hand.message(), {&attempted, 1}, settlement);
    runner_->settled(std::move(settlement));
  }
  FakeRemote* remote_ = nullptr;
};

}  // namespace postrider
