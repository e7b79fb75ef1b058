// Five days of the queue in seconds: the real queue, its owner, the relay's queue and what settles outcomes, against
// destinations that are dead, come and go, greylist, change their mind or take their time, under a clock that jumps to
// the next moment at which something is due.
//
// What chance decides here comes from one seed, which every failure prints; POSTRIDER_SEED tries another.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <list>
#include <set>
#include <thread>
#include <tuple>

#include "common/base/number.h"
#include "common/config/config.h"
#include "common/mail/date.h"
#include "mta/relay_queue.h"
#include "tests/mta/queue_pipeline.h"

namespace postrider {
namespace {

constexpr UnixTime kHour = 3'600, kDay = 24 * kHour;
constexpr UnixTime kStep = 20;  // seconds that the clock goes on at least
constexpr UnixTime kSlowAttempt = 600;
constexpr size_t kConnections = 8;  // to one destination

uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
template <class... More>
uint64_t mix(uint64_t first, uint64_t second, More... more) {
  return mix(mix(first) ^ second, more...);
}

uint64_t chosen_seed() {
  const char* text = std::getenv("POSTRIDER_SEED");
  return text != nullptr ? parse_number(text).value_or(1) : 1;
}

using Kind = Outcome::Kind;

/// What one recipient went through.
struct Life {
  uint64_t number = 0;
  std::string domain;
  UnixTime accepted = 0;
  struct Attempt {
    UnixTime time = 0;
    Kind kind = Kind::temporary;
    bool operator==(const Attempt&) const = default;
  };
  std::vector<Attempt> attempts;

  long count(Kind kind) const {
    return std::count_if(attempts.begin(), attempts.end(), [&](const Attempt& one) { return one.kind == kind; });
  }
};

/// The other servers. Of the relay's loop while that runs.
class World {
 public:
  World(uint64_t seed, const Clock& clock) : seed_(seed), begin_(clock.unix_time()), clock_(clock) {}

  Life& life(const std::string& address) { return lives_.at(address); }
  void born(const std::string& address) {
    Life& life = lives_[address];
    life.number = lives_.size();
    life.domain = address.substr(address.find('@') + 1);
    life.accepted = clock_.unix_time();
  }
  const std::map<std::string, Life>& lives() const { return lives_; }

  bool is_up(const std::string& domain) const {
    const UnixTime now = clock_.unix_time() - begin_;
    if (domain == "dead.test") return false;
    if (domain == "crowd.test") return now > kDay;
    if (domain == "flapping.test") return mix(seed_, 1, static_cast<uint64_t>(now / (3 * kHour))) % 4 == 0;
    return true;
  }
  /// A server that can be reached and that recipient.
  Kind answer(Life& life) const {
    const UnixTime now = clock_.unix_time();
    if (life.domain == "greylisting.test")
      return life.attempts.empty() || now - life.attempts.front().time < 300 ? Kind::temporary : Kind::relayed;
    if (life.domain == "closing.test") return now - begin_ < 2 * kDay ? Kind::temporary : Kind::permanent;
    if (life.domain == "busy.test") return Kind::temporary;
    if (life.domain == "moody.test") {
      const uint64_t mood = mix(seed_, 2, life.number, life.attempts.size()) % 100;
      return mood < 80 ? Kind::temporary : mood < 95 ? Kind::relayed : Kind::permanent;
    }
    return Kind::relayed;
  }
  Outcome attempt(const std::string& address) {
    Life& life = lives_.at(address);
    Outcome outcome = Outcome::temporary("4.0.0", "450 4.0.0 later");
    outcome.kind = is_up(life.domain) ? answer(life) : Kind::unreachable;
    if (outcome.kind == Kind::relayed) outcome.status = "2.0.0", outcome.reply = "250 2.0.0 mine now";
    if (outcome.kind == Kind::permanent) outcome.status = "5.1.1", outcome.reply = "550 5.1.1 not here";
    if (outcome.kind == Kind::unreachable) outcome.status = "4.4.1", outcome.reply = "connection refused";
    outcome.remote = life.domain;
    life.attempts.push_back({clock_.unix_time(), outcome.kind});
    return outcome;
  }
  /// What goes by DNS: nothing to be had of it for six hours.
  std::optional<Outcome> no_route(const std::string& domain) const {
    if (domain == "nowhere.test") return Outcome::permanent("5.1.2", "There is no such domain");
    if (domain == "lost.test" && clock_.unix_time() - begin_ < 6 * kHour)
      return Outcome::temporary("4.4.3", "DNS does not answer");
    return std::nullopt;
  }

  struct Sleeper {
    UnixTime until = 0;
    asio::steady_timer* timer = nullptr;
  };
  std::list<Sleeper> sleepers;  // attempts that take their time

 private:
  const uint64_t seed_;
  const UnixTime begin_;
  const Clock& clock_;
  std::map<std::string, Life> lives_;
};

class ScriptedLink final : public Link {
 public:
  ScriptedLink(asio::io_context& loop, World& world, const Clock& clock) : loop_(loop), world_(world), clock_(clock) {}

  asio::awaitable<std::vector<Outcome>> attempt(RoutePtr route, const store::QueuedMessage& message,
                                                std::span<const size_t> recipients) override {
    if (route->key == "slow.test") {
      asio::steady_timer timer(loop_, std::chrono::hours(1));
      const auto place = world_.sleepers.insert(world_.sleepers.end(), {clock_.unix_time() + kSlowAttempt, &timer});
      std::error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      world_.sleepers.erase(place);
    }
    std::vector<Outcome> outcomes;
    for (size_t i : recipients) {
      if (route->failure) {
        outcomes.push_back(*route->failure);
        world_.life(message.recipients[i].address).attempts.push_back({clock_.unix_time(), route->failure->kind});
      } else {
        outcomes.push_back(world_.attempt(message.recipients[i].address));
      }
    }
    open_ = outcomes.empty() || outcomes.front().kind != Kind::unreachable;
    co_return outcomes;
  }
  bool is_open() const override { return open_; }
  asio::awaitable<void> close() override { co_return; }

 private:
  asio::io_context& loop_;
  World& world_;
  const Clock& clock_;
  bool open_ = false;
};

class ScriptedTransport final : public Transport {
 public:
  ScriptedTransport(asio::io_context& loop, World& world, const Clock& clock)
      : loop_(loop), world_(world), clock_(clock) {}
  std::string domain(const store::QueuedRecipient& recipient) const override {
    return store::destination_of(recipient.address);
  }
  asio::awaitable<RoutePtr> find(std::string domain) override {
    auto route = std::make_shared<Route>();
    route->failure = world_.no_route(domain);
    route->key = route->failure ? "?" + domain : domain;
    co_return route;
  }
  std::unique_ptr<Link> link() override { return std::make_unique<ScriptedLink>(loop_, world_, clock_); }

 private:
  asio::io_context& loop_;
  World& world_;
  const Clock& clock_;
};

/// The relay's queue, with a look at what it has in hand.
class WatchedRelay final : public RemoteDelivery {
 public:
  WatchedRelay(World& world, QueueRunner& runner, const Clock& clock)
      : queue_(
            [&](asio::io_context& loop, net::WorkerPool&) -> std::unique_ptr<Transport> {
              loop_ = &loop;
              return std::make_unique<ScriptedTransport>(loop, world, clock);
            },
            limits(), runner.settler(), clock,
            [this, &runner](Settlement settlement) {
              std::vector<std::pair<store::QueueId, int64_t>> settled;
              for (const auto& update : settlement.updates) settled.emplace_back(update.message, update.number);
              runner.settled(std::move(settlement));
              std::lock_guard lock(mutex_);
              for (const auto& one : settled) in_hand_.erase(one);
            },
            [&runner](std::string domain) { runner.release(std::move(domain)); }) {}

  void start() override { queue_.start(); }
  void stop() override { queue_.stop(); }
  void push(std::vector<std::shared_ptr<MessageInHand>> messages) override {
    {
      std::lock_guard lock(mutex_);
      for (const auto& one : messages) {
        for (const auto& recipient : one->message().recipients)
          in_hand_[{one->message().id, recipient.number}] = recipient.address.ends_with("@slow.test");
      }
      most_ = std::max(most_, in_hand_.size());
    }
    queue_.push(std::move(messages));
  }

  /// Whatever was on the loop has run.
  void sweep() {
    for (int i = 0; i < 3; ++i) {
      std::promise<void> done;
      asio::post(*loop_, [&] { done.set_value(); });
      done.get_future().wait();
    }
  }
  template <class Use>
  void on_loop(Use use) {
    std::promise<void> done;
    asio::post(*loop_, [&] {
      use();
      done.set_value();
    });
    done.get_future().wait();
  }
  /// Recipients that are neither settled nor with a server that takes its time.
  bool is_busy() {
    bool slow = false;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [recipient, is_slow] : in_hand_) {
        if (!is_slow) return true;
        slow = true;
      }
    }
    bool asleep = false;
    on_loop([&] { asleep = !sleepers_->empty(); });
    return slow && !asleep;
  }
  void watch(const std::list<World::Sleeper>& sleepers) { sleepers_ = &sleepers; }
  size_t most_in_hand() {
    std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  static RelayLimits limits() {
    RelayLimits limits;
    limits.connections_per_destination = kConnections;
    limits.idle_timeout = limits.stall_time = std::chrono::hours(1);  // how fast the test runs makes no difference
    return limits;
  }
  std::mutex mutex_;
  std::map<std::pair<store::QueueId, int64_t>, bool> in_hand_;
  size_t most_ = 0;
  asio::io_context* loop_ = nullptr;
  const std::list<World::Sleeper>* sleepers_ = nullptr;
  RelayQueue queue_;
};

class QueueLife : public Pipeline {
 protected:
  /// What is handed in at that time.
  struct Arrival {
    UnixTime time = 0;
    std::vector<std::string> to;
    size_t size = 100;  // octets of the body
  };

  void begin(uint64_t seed) {
    seed_ = seed;
    options_.schedule.retry = Config::Queue().retry;
    options_.schedule.lifetime = Config::Queue().lifetime;
    options_.schedule.delay_warning = Config::Queue().delay_warning;
    options_.spread = [this](const store::QueuedMessage& message, const store::QueuedRecipient& recipient) {
      return mix(seed_, static_cast<uint64_t>(message.id), static_cast<uint64_t>(recipient.number),
                 static_cast<uint64_t>(recipient.attempts));
    };
    make();
    world_ = std::make_unique<World>(seed, clock_);
    auto relay = std::make_unique<WatchedRelay>(*world_, *runner_, clock_);
    relay_ = relay.get();
    relay_->watch(world_->sleepers);
    runner_->set_remote(std::move(relay));
    start();
    view_ = std::make_unique<store::Queue>(state_.path(), clock_);
    begin_ = clock_.unix_time();
  }
  ~QueueLife() override {
    if (runner_) runner_->stop();
  }

  void arrives(UnixTime after, const std::string& domain, size_t messages, size_t recipients = 1, size_t size = 100) {
    for (size_t i = 0; i < messages; ++i) {
      Arrival arrival{begin_ + after, {}, size};
      for (size_t k = 0; k < recipients; ++k) arrival.to.push_back(fmt::format("r{}@{}", ++addresses_, domain));
      arrivals_.push_back(std::move(arrival));
    }
  }

  void hand_in() {
    std::vector<store::QueuedMessage> messages;
    while (!arrivals_.empty() && arrivals_.front().time <= clock_.unix_time()) {
      std::vector<std::pair<store::AccountId, std::string>> to;
      for (const std::string& address : arrivals_.front().to) to.emplace_back(0, address);
      relay_->on_loop([&] {
        for (const std::string& address : arrivals_.front().to) world_->born(address);
      });
      auto one = message(to, "Subject: x\r\n\r\n" + std::string(arrivals_.front().size, 'x') + "\r\n");
      one.id = store::first_id_of(begin_) + static_cast<store::QueueId>(ids_.size()) + 1;  // chance has no part in it
      ids_.push_back(one.id);
      messages.push_back(std::move(one));
      arrivals_.pop_front();
    }
    for (const Acceptance& accepted : accept_all(std::move(messages))) ASSERT_TRUE(accepted);
  }

  bool is_quiet() {
    relay_->sweep();
    if (relay_->is_busy() || !runner_->idle()) return false;
    const auto due = view_->next_due(false);
    if (due && *due <= clock_.unix_time()) return false;
    relay_->sweep();
    return !relay_->is_busy() && runner_->idle();
  }
  void settle_down() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(200);
    while (!is_quiet()) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the queue does not come to rest");
      std::this_thread::yield();
    }
  }

  /// Until nothing is left.
  void live() {
    SCOPED_TRACE(fmt::format("POSTRIDER_SEED={}", seed_));
    std::stable_sort(arrivals_.begin(), arrivals_.end(),
                     [](const Arrival& a, const Arrival& b) { return a.time < b.time; });
    for (;;) {
      hand_in();
      settle_down();
      std::optional<UnixTime> next = view_->next_due(false);
      const auto consider = [&](UnixTime time) { next = std::min(next.value_or(time), time); };
      if (!arrivals_.empty()) consider(arrivals_.front().time);
      relay_->on_loop([&] {
        for (const auto& sleeper : world_->sleepers) consider(sleeper.until);
      });
      if (!next) break;
      const UnixTime now = clock_.unix_time();
      clock_.advance(std::chrono::seconds(std::max(*next - now, kStep)));
      ++steps_;
      relay_->on_loop([&] {
        for (const auto& sleeper : world_->sleepers) {
          if (sleeper.until <= clock_.unix_time()) sleeper.timer->cancel();
        }
      });
      runner_->wake();
    }
    while (view_->counts().messages > 0) std::this_thread::yield();  // reports on their way into the mailbox
    runner_->stop();
  }

  struct Ended {
    store::TracedRecipient recipient;
    UnixTime accepted = 0;
  };
  /// What the ledger says of every recipient.
  std::map<std::string, Ended> endings() {
    std::map<std::string, Ended> all;
    for (const store::QueueId id : ids_) {
      const auto traced = view_->trace(id);
      EXPECT_TRUE(traced);
      for (const auto& recipient : traced->recipients)
        EXPECT_TRUE(all.try_emplace(recipient.address, Ended{recipient, traced->accepted}).second);
    }
    return all;
  }
  /// Times of the reports that say this of each recipient ("delayed", "failed").
  std::map<std::string, std::vector<UnixTime>> reported(std::string_view action) {
    constexpr std::string_view kFinal = "Final-Recipient: rfc822; ", kDate = "\r\nDate: ", kAction = "Action: ";
    std::map<std::string, std::vector<UnixTime>> found;
    for (const std::string& text : inbox(alice_)) {
      const auto line_at = [&](size_t at) { return text.substr(at, text.find("\r\n", at) - at); };
      const auto date = parse_date_time(line_at(text.find(kDate) + kDate.size()));
      EXPECT_TRUE(date);
      for (size_t at = text.find(kFinal); at != std::string::npos; at = text.find(kFinal, at + 1)) {
        const std::string address = line_at(at + kFinal.size());
        const size_t said = text.find(kAction, at);
        if (text.compare(said + kAction.size(), action.size(), action) == 0) found[address].push_back(date->time);
      }
    }
    return found;
  }

  uint64_t seed_ = 0;
  std::unique_ptr<World> world_;
  WatchedRelay* relay_ = nullptr;  // the runner's
  std::unique_ptr<store::Queue> view_;
  UnixTime begin_ = 0;
  std::deque<Arrival> arrivals_;
  std::vector<store::QueueId> ids_;
  size_t addresses_ = 0, steps_ = 0;
};

TEST_F(QueueLife, EveryRecipientEndsOnceAndInTime) {
  begin(chosen_seed());
  SCOPED_TRACE(fmt::format("POSTRIDER_SEED={}", seed_));
  for (const char* domain : {"dead.test", "flapping.test", "greylisting.test", "closing.test", "busy.test",
                             "moody.test", "slow.test", "lost.test", "nowhere.test", "good.test"})
    arrives(0, domain, 12, 2);
  arrivals_.push_back({begin_, {"x1@dead.test", "x2@good.test", "x3@busy.test", "x4@moody.test", "x5@flapping.test"}});
  for (UnixTime at = kHour; at < 2 * kDay; at += 5 * kHour) {
    arrives(at, "good.test", 1);
    arrives(at, "dead.test", 1);
    arrives(at, "moody.test", 1);
  }
  live();

  const Schedule& schedule = options_.schedule;
  const auto ended = endings();
  ASSERT_EQ(ended.size(), world_->lives().size());
  auto warned = reported("delayed");
  auto failed = reported("failed");
  std::map<store::Ending, size_t> kinds;
  for (const auto& [address, life] : world_->lives()) {
    SCOPED_TRACE(address);
    const auto& [recipient, accepted] = ended.at(address);
    const UnixTime expiry = accepted + schedule.lifetime.count(), warning = accepted + schedule.delay_warning.count();
    ASSERT_TRUE(recipient.ended);
    ++kinds[recipient.ending];
    // Once, and told as it was.
    EXPECT_EQ(life.count(Kind::relayed), recipient.ending == store::Ending::relayed ? 1 : 0);
    EXPECT_EQ(failed[address].size(), recipient.ending == store::Ending::failed ? 1u : 0u);
    EXPECT_EQ(recipient.report != 0, recipient.ending == store::Ending::failed);
    EXPECT_TRUE(recipient.ending == store::Ending::relayed || recipient.ending == store::Ending::failed);
    EXPECT_LE(recipient.time, expiry + kStep);
    if (recipient.ending == store::Ending::failed && life.count(Kind::permanent) == 0)
      EXPECT_GE(recipient.time, expiry) << "given up before its time";
    // A warning when it was promised.
    if (recipient.time <= warning + kStep) {  // the attempt that is made for the warning may end it
      EXPECT_EQ(warned[address].size(), 0u);
    } else {
      ASSERT_EQ(warned[address].size(), 1u);
      EXPECT_GE(warned[address][0], warning);
      EXPECT_LE(warned[address][0], warning + kStep);
    }
    // Attempts further and further apart.
    for (const Life::Attempt& attempt : life.attempts) EXPECT_LE(attempt.time, expiry + kStep);
    const bool answers = life.domain == "greylisting.test" || life.domain == "closing.test" ||
                         life.domain == "busy.test" || life.domain == "moody.test";
    for (size_t i = 1; answers && i < life.attempts.size(); ++i) {
      const UnixTime before = life.attempts[i - 1].time, gap = life.attempts[i].time - before;
      const UnixTime wait = retry_interval(schedule, static_cast<int>(i) - 1).count();
      const bool brought_forward =
          (before < warning && before + wait * 11 / 10 + kStep >= warning) || before + wait * 11 / 10 + kStep >= expiry;
      if (!brought_forward) EXPECT_GE(gap, wait);
      EXPECT_LE(gap, wait * 11 / 10 + kStep + 1);
    }
    if (life.domain == "good.test") {
      EXPECT_EQ(recipient.time, accepted) << "it waited behind others";
      EXPECT_EQ(life.attempts.size(), 1u);
    }
    if (life.domain == "slow.test") EXPECT_EQ(recipient.ending, store::Ending::relayed);
    if (life.domain == "lost.test") EXPECT_LE(recipient.time, begin_ + 6 * kHour + 5 * kHour);
  }
  EXPECT_GT(kinds[store::Ending::relayed], 100u);
  EXPECT_GT(kinds[store::Ending::failed], 80u);
  // One probe now and then is all that a dead destination costs.
  size_t probes = 0;
  for (const auto& [address, life] : world_->lives()) probes += life.domain == "dead.test" ? life.attempts.size() : 0;
  EXPECT_LE(probes, static_cast<size_t>(2 * 7 * kDay / kMaxDeadTime.count()) + 100);
  EXPECT_GE(probes, 100u);
}

TEST_F(QueueLife, TenThousandsThatWaitForOneDestinationStayOnTheDisk) {
  constexpr size_t kMessages = 1'000, kRecipients = 20, kSize = 100 << 10;
  begin(chosen_seed());
  SCOPED_TRACE(fmt::format("POSTRIDER_SEED={}", seed_));
  for (size_t i = 0; i < 5; ++i)
    arrives(static_cast<UnixTime>(i) * 60, "crowd.test", kMessages / 5, kRecipients, kSize);
  for (UnixTime at = 60; at < 2 * kDay; at += 2 * kHour) arrives(at, "good.test", 1);
  live();
  const auto ended = endings();
  ASSERT_EQ(ended.size(), world_->lives().size());
  for (const auto& [address, life] : world_->lives()) {
    const auto& [recipient, accepted] = ended.at(address);
    ASSERT_EQ(recipient.ending, store::Ending::relayed) << address;
    ASSERT_EQ(life.count(Kind::relayed), 1) << address;
    if (life.domain == "good.test") EXPECT_EQ(recipient.time, accepted) << "it waited behind the others";
    // It is back after a day; a probe finds that out within minutes, and all go.
    if (life.domain == "crowd.test")
      EXPECT_LE(recipient.time, begin_ + kDay + 2 * kMaxDeadTime.count() + kHour) << address;
  }
  constexpr size_t kMost = (kMaxRemoteOctets + kMaxGroupOctets) / kSize * kRecipients + kMaxRefill;
  static_assert(kMost < kMessages * kRecipients);
  EXPECT_LE(relay_->most_in_hand(), kMost) << "what is beyond the budget stays on the disk";
}

TEST_F(QueueLife, TheSameSeedIsTheSameLife) {
  std::vector<std::map<std::string, Life>> lives;
  for (int round = 0; round < 2; ++round) {
    if (round > 0) {
      // A world of its own, which begins at the same time.
      runner_.reset();
      view_.reset();
      std::filesystem::remove_all(state_.file("spool"));
      for (const char* file : {"queue.db", "queue.db-wal", "queue.db-shm"}) std::filesystem::remove(state_.file(file));
      std::filesystem::create_directories(state_.file("spool"));
      clock_.advance(std::chrono::seconds(begin_ - clock_.unix_time()));
      ids_.clear();
      addresses_ = 0;
    }
    begin(chosen_seed());
    for (const char* domain : {"dead.test", "flapping.test", "greylisting.test", "moody.test"})
      arrives(0, domain, 5, 2);
    live();
    lives.push_back(world_->lives());
  }
  ASSERT_EQ(lives[0].size(), 40u);
  for (const auto& [address, life] : lives[0])
    EXPECT_EQ(life.attempts, lives[1].at(address).attempts) << address << " POSTRIDER_SEED=" << seed_;
}

}  // namespace
}  // namespace postrider
