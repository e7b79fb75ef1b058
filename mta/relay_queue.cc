#include "mta/relay_queue.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/log.h"

namespace postrider {
namespace {

constexpr std::chrono::seconds kCrowdedWait{60};  // until what did not fit into memory is looked at again, if not before

}  // namespace

struct RelayQueue::Destination {
  Destination(std::string destination_name, asio::io_context& loop) : name(std::move(destination_name)), wake(loop) {
    wake.expires_at(asio::steady_timer::time_point::max());
  }

  const std::string name;
  std::deque<Work> waiting;
  asio::steady_timer wake;  // cancelled when there is work for an idle worker
  size_t workers = 0;
  size_t idle = 0;          // of them, waiting with an open connection
  size_t allowed = 1;       // workers at once
  int failures = 0;         // in a row, of reaching it
  UnixTime dead_until = 0;
  Outcome reason;           // why it is dead
  bool crowded = false;     // some of its work was sent back to the disk
  bool starved = false;     // stands in starved_
};

RelayQueue::RelayQueue(const MakeTransport& make_transport, RelayLimits limits, Settler& settler, const Clock& clock,
                       Settled settled, Release release)
    : limits_(limits),
      settler_(settler),
      clock_(clock),
      settled_(std::move(settled)),
      release_(std::move(release)),
      transport_(make_transport(loop_)) {}

RelayQueue::~RelayQueue() { stop(); }

void RelayQueue::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void RelayQueue::stop() {
  if (!thread_.joinable()) return;
  asio::post(loop_, [this] {
    stopping_ = true;
    for (auto& [name, destination] : destinations_) destination->wake.cancel();
    auto grace = std::make_shared<asio::steady_timer>(loop_, kRelayStopGrace);
    grace->async_wait([this, grace](std::error_code) { loop_.stop(); });
    end_if_done();
  });
  thread_.join();
}

void RelayQueue::push(std::vector<std::shared_ptr<MessageInHand>> messages) {
  asio::post(loop_, [this, messages = std::move(messages)]() mutable {
    for (auto& message : messages) sort(std::move(message));
  });
}

void RelayQueue::sort(std::shared_ptr<MessageInHand> message) {
  std::map<std::string, std::vector<size_t>> by_destination;
  const auto& recipients = message->message().recipients;
  for (size_t i = 0; i < recipients.size(); ++i) by_destination[transport_->destination(recipients[i])].push_back(i);
  for (auto& [name, indices] : by_destination) add(name, {message, std::move(indices)});
}

void RelayQueue::add(const std::string& name, Work work) {
  if (name.empty()) {
    put_off(work, Outcome::permanent("5.1.2", "The part after the @ is no domain name"));
    return;
  }
  DestinationPtr& destination = destinations_[name];
  if (destination == nullptr) destination = std::make_shared<Destination>(name, loop_);
  const auto& recipients = work.message->message().recipients;
  if (std::any_of(work.recipients.begin(), work.recipients.end(),
                  [&](size_t i) { return recipients[i].wish == store::Wish::attempt; })) {
    destination->dead_until = 0;  // somebody knows better
  }
  if (clock_.unix_time() < destination->dead_until) {
    put_off_dead(*destination, work);
    return;
  }
  if (destination->waiting.size() >= kMaxWaitingWork) {
    destination->crowded = true;
    Outcome later = Outcome::temporary("4.4.5", "Many messages wait for that server");
    later.attempted = false;
    later.not_before = clock_.unix_time() + kCrowdedWait.count();
    put_off(work, later);
    return;
  }
  destination->waiting.push_back(std::move(work));
  staff(DestinationPtr(destination));
}

/// Wakes an idle worker, or makes one where that is allowed.
void RelayQueue::staff(const DestinationPtr& destination) {
  if (stopping_ || destination->waiting.empty()) return;
  if (destination->idle > 0) {
    destination->wake.cancel_one();
    return;
  }
  if (destination->workers >= std::min(destination->allowed, limits_.connections_per_destination)) return;
  if (workers_ >= limits_.connections) {
    if (!std::exchange(destination->starved, true)) starved_.push_back(destination);
    return;
  }
  ++workers_;
  ++destination->workers;
  asio::co_spawn(loop_, work_for(destination), [this, destination](std::exception_ptr error) {
    if (error) log_error("relay_worker_failed", {{"destination", destination->name}});
    worker_ended(destination);
  });
}

void RelayQueue::worker_ended(const DestinationPtr& destination) {
  --workers_;
  --destination->workers;
  while (!starved_.empty() && workers_ < limits_.connections) {
    DestinationPtr next = std::move(starved_.front());
    starved_.pop_front();
    next->starved = false;
    staff(next);
  }
  staff(destination);
  bool forget = destination->workers == 0 && destination->waiting.empty() && destination->failures == 0 && !destination->starved;
  if (forget) destinations_.erase(destination->name);
  end_if_done();
}

void RelayQueue::end_if_done() {
  if (stopping_ && workers_ == 0) loop_.stop();
}

asio::awaitable<void> RelayQueue::work_for(DestinationPtr destination) {
  std::unique_ptr<Link> link = transport_->link(destination->name);
  for (;;) {
    bool more = co_await wait_for_work(destination, link->is_open());
    if (!more) break;
    Work work = std::move(destination->waiting.front());
    destination->waiting.pop_front();
    AttemptMark mark = work.message->begin_attempt(0);
    std::vector<Outcome> outcomes = co_await link->attempt(work.message->message(), work.recipients);
    attempted(*destination, work, outcomes);
    staff(destination);
    if (destination->workers > destination->allowed) break;
  }
  co_await link->close();
}

/// False when this worker is to go. keep: it has a connection that is worth waiting with.
asio::awaitable<bool> RelayQueue::wait_for_work(DestinationPtr destination, bool keep) {
  if (stopping_) co_return false;
  if (!destination->waiting.empty()) co_return true;
  if (!keep || !starved_.empty()) co_return false;
  ++destination->idle;
  // One timer for all who wait here: whoever is woken by the clock goes, and the next one begins to wait anew.
  destination->wake.expires_after(limits_.idle_timeout);
  std::error_code error;
  co_await destination->wake.async_wait(asio::redirect_error(asio::use_awaitable, error));
  --destination->idle;
  co_return !stopping_ && !destination->waiting.empty();
}

void RelayQueue::attempted(Destination& destination, const Work& work, std::vector<Outcome> outcomes) {
  bool unreachable = std::any_of(outcomes.begin(), outcomes.end(),
                                 [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::unreachable; });
  if (unreachable) declare_dead(destination, outcomes);
  settle(work, outcomes);
  if (unreachable) return;
  destination.allowed = std::min(destination.allowed + 1, limits_.connections_per_destination);
  bool was_dead = std::exchange(destination.failures, 0) > 0;
  bool room = destination.crowded && destination.waiting.size() < kMaxWaitingWork / 2;
  if (room) destination.crowded = false;
  if (was_dead || room) release_(destination.name);
}

void RelayQueue::declare_dead(Destination& destination, std::vector<Outcome>& outcomes) {
  destination.allowed = std::max<size_t>(destination.allowed / 2, 1);
  // Others are still talking to it: one lost connection says little.
  if (destination.workers > 1 && destination.failures == 0) return;
  Seconds wait = std::min<Seconds>(retry_interval(settler_.schedule(), destination.failures), kMaxDeadTime);
  ++destination.failures;
  destination.allowed = 1;
  destination.dead_until = clock_.unix_time() + wait.count();
  for (Outcome& outcome : outcomes) {
    if (outcome.kind != Outcome::Kind::unreachable) continue;
    destination.reason = outcome;
    outcome.not_before = destination.dead_until;  // this message is the next probe
  }
  destination.reason.attempted = false;
  log_info("destination_dead", {{"destination", destination.name},
                                {"failures", destination.failures},
                                {"until", destination.dead_until},
                                {"waiting", destination.waiting.size()},
                                {"reason", destination.reason.reply}});
  for (const Work& work : std::exchange(destination.waiting, {})) put_off_dead(destination, work);
}

void RelayQueue::put_off_dead(const Destination& destination, const Work& work) {
  Outcome outcome = destination.reason;
  UnixTime by_schedule = clock_.unix_time() + retry_interval(settler_.schedule(), destination.failures).count();
  outcome.not_before = std::max(destination.dead_until, by_schedule);
  put_off(work, outcome);
}

void RelayQueue::put_off(const Work& work, const Outcome& outcome) {
  settle(work, std::vector<Outcome>(work.recipients.size(), outcome));
}

void RelayQueue::settle(const Work& work, const std::vector<Outcome>& outcomes) {
  const store::QueuedMessage& message = work.message->message();
  std::vector<Attempted> attempts;
  for (size_t i = 0; i < work.recipients.size(); ++i) {
    attempts.push_back({&message.recipients[work.recipients[i]], outcomes[i]});
  }
  Settlement settlement;
  settler_.settle(message, attempts, settlement);
  settled_(std::move(settlement));
}

}  // namespace postrider
