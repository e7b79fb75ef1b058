#include <gmock/gmock.h>

#include <future>
#include <list>

#include "mta/relay_queue.h"
#include "tests/mta/queue_pipeline.h"

namespace postrider {
namespace {

Outcome taken() {
  Outcome outcome = Outcome::delivered();
  outcome.kind = Outcome::Kind::relayed;
  return outcome;
}
Outcome put_off() {
  return Outcome::temporary("4.7.1", "451 4.7.1 not so fast");
}

/// Another server, which answers when the test says so.
class Site {
 public:
  explicit Site(asio::io_context& loop) : loop_(loop) {}

  asio::awaitable<Outcome> attempt() {
    Attempt attempt(loop_);
    if (!arrives(attempt)) co_return taken();
    std::error_code ignored;
    co_await attempt.answered.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return attempt.outcome;
  }

  /// Whether that many attempts wait for their answer within 20 s.
  bool wait_for(size_t attempts) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return waiting_.size() == attempts; });
  }
  /// Answers the attempt that has waited longest, once there is one.
  void answer(const Outcome& outcome) {
    {
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return !waiting_.empty(); }));
    }
    on_loop([&] {
      waiting_.front()->outcome = outcome;
      waiting_.front()->answered.cancel();
      waiting_.pop_front();
    });
  }
  void take_everything() {
    on_loop([&] {
      silent_ = false;
      for (Attempt* attempt : waiting_) attempt->answered.cancel();
      waiting_.clear();
    });
  }
  /// The most attempts that waited at once since it was asked last.
  size_t most_at_once() {
    std::lock_guard lock(mutex_);
    return std::exchange(most_, waiting_.size());
  }

 private:
  struct Attempt {
    explicit Attempt(asio::io_context& loop) : answered(loop, std::chrono::steady_clock::time_point::max()) {}
    asio::steady_timer answered;
    Outcome outcome = taken();
  };

  bool arrives(Attempt& attempt) {
    std::lock_guard lock(mutex_);
    if (!silent_) return false;
    waiting_.push_back(&attempt);
    most_ = std::max(most_, waiting_.size());
    arrived_.notify_all();
    return true;
  }
  template <class Action>
  void on_loop(Action action) {
    std::promise<void> done;
    asio::post(loop_, [&] {
      {
        std::lock_guard lock(mutex_);
        action();
      }
      done.set_value();
    });
    done.get_future().wait();
  }

  asio::io_context& loop_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::list<Attempt*> waiting_;
  size_t most_ = 0;
  bool silent_ = true;
};

class SiteTransport final : public Transport {
 public:
  explicit SiteTransport(Site& site) : site_(site) {}

  std::string domain(const store::QueuedRecipient&) const override { return "example.net"; }
  asio::awaitable<RoutePtr> find(std::string domain) override {
    struct SiteRoute final : Route {};
    auto route = std::make_shared<SiteRoute>();
    route->key = std::move(domain);
    co_return route;
  }
  std::unique_ptr<Link> link() override { return std::make_unique<SiteLink>(site_); }

 private:
  class SiteLink final : public Link {
   public:
    explicit SiteLink(Site& site) : site_(site) {}
    asio::awaitable<std::vector<Outcome>> attempt(RoutePtr, const store::QueuedMessage&,
                                                  std::span<const size_t> recipients) override {
      Outcome outcome = co_await site_.attempt();
      co_return std::vector<Outcome>(recipients.size(), outcome);
    }
    bool is_open() const override { return true; }
    asio::awaitable<void> close() override { co_return; }

   private:
    Site& site_;
  };

  Site& site_;
};

/// Session, queue and RelayQueue before a server that the test plays.
class RelayPaceTest : public Pipeline {
 protected:
  void start_with(RelayLimits limits) {
    auto transport = [this](asio::io_context& loop, net::WorkerPool&) {
      site_ = std::make_unique<Site>(loop);
      return std::make_unique<SiteTransport>(*site_);
    };
    runner_->set_remote(std::make_unique<RelayQueue>(
        transport, limits, runner_->settler(), clock_,
        [this](Settlement settlement) { runner_->settled(std::move(settlement)); },
        [this](std::string domain) { runner_->release(std::move(domain)); }));
    start();
  }
  void TearDown() override {
    site_->take_everything();
    runner_->stop();
  }

  void send(size_t count) {
    std::vector<store::QueuedMessage> messages;
    for (size_t i = 0; i < count; ++i) messages.push_back(message({{0, "carol@example.net"}}));
    accept_all(std::move(messages));
  }
  size_t on_disk() {
    auto queue = queued();
    return static_cast<size_t>(std::count_if(queue.begin(), queue.end(), [](const auto& message) {
      return message.recipients.at(0).next_attempt != store::kInHand;
    }));
  }

  std::unique_ptr<Site> site_;
};

TEST_F(RelayPaceTest, EachMessageThatIsTakenAllowsOneConnectionMore) {
  start_with({.connections_per_destination = 5});
  send(60);
  for (size_t connections = 1; connections < 5; ++connections) {
    ASSERT_TRUE(site_->wait_for(connections));
    EXPECT_EQ(site_->most_at_once(), connections);
    site_->answer(taken());
  }
  for (int i = 0; i < 20; ++i) site_->answer(taken());
  ASSERT_TRUE(site_->wait_for(5));
  EXPECT_EQ(site_->most_at_once(), 5) << "and never more than the limit";
}

TEST_F(RelayPaceTest, AServerThatBeginsToPutOffGetsHalfAndHalfAgain) {
  start_with({.connections_per_destination = 8});
  send(100);
  for (int i = 0; i < 7; ++i) site_->answer(taken());
  ASSERT_TRUE(site_->wait_for(8));
  for (int i = 0; i < 7; ++i) site_->answer(put_off());
  ASSERT_TRUE(site_->wait_for(1));
  site_->most_at_once();
  for (int i = 0; i < 20; ++i) site_->answer(put_off());
  ASSERT_TRUE(site_->wait_for(1));
  EXPECT_EQ(site_->most_at_once(), 1);
  site_->answer(taken());
  EXPECT_TRUE(site_->wait_for(2)) << "it may grow again";
}

TEST_F(RelayPaceTest, WhatWaitsForADestinationThatHangsGoesBackToTheDisk) {
  start_with({.connections_per_destination = 2, .stall_time = std::chrono::milliseconds(50)});
  send(1);
  site_->answer(taken());
  send(kMaxUntriedWork + 50);
  ASSERT_TRUE(site_->wait_for(2));
  while (on_disk() < 40) std::this_thread::yield();
  for (const store::QueuedMessage& message : queued()) {
    if (message.recipients[0].next_attempt == store::kInHand) continue;
    EXPECT_EQ(message.recipients[0].attempts, 0) << "it was not its fault";
    EXPECT_GT(message.recipients[0].next_attempt, clock_.unix_time());
  }
  site_->take_everything();
  while (!queued().empty()) std::this_thread::yield();  // released as soon as the rest had gone
}

}  // namespace
}  // namespace postrider
