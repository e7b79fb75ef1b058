// RelayQueue: destinations, their connections and their pace.
#include "mta/relay_queue.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "mta/bounce.h"
#include "mta/metrics.h"
#include "mta/relay_destination.h"

namespace postrider {

namespace {

/// A host that is not safe enough for most may be so for a message that waives TLS, and the other way round: what is
/// dead for one is not for the other.
std::string key_of(const std::string& route, TlsNeed need) {
  if (need == TlsNeed::as_policy) return route;
  return route + (need == TlsNeed::required ? "|REQUIRETLS" : "|TLS waived");
}

bool any_success(const std::vector<Outcome>& outcomes) {
  return std::any_of(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) { return outcome.is_success(); });
}

}  // namespace

RelayQueue::RelayQueue(const MakeTransport& make_transport, RelayLimits limits, Settler& settler, const Clock& clock,
                       Settled settled, Release release)
    : settler_(settler),
      clock_(clock),
      settled_(std::move(settled)),
      release_(std::move(release)),
      workers_(std::make_unique<net::WorkerPool>(kRelayWorkers)),
      limits_(limits),
      transport_(make_transport(loop_, *workers_)) {}

RelayQueue::~RelayQueue() {
  stop();
}

void RelayQueue::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void RelayQueue::stop() {
  if (!thread_.joinable()) return;
  asio::post(loop_, [this] {
    stopping_ = true;
    for (Waiter* waiter : idle_) waiter->timer.cancel();
    for (Waiter* waiter : pacing_) waiter->timer.cancel();
    watch_.cancel();
    auto grace = std::make_shared<asio::steady_timer>(loop_, kRelayStopGrace);
    grace->async_wait([this, grace](std::error_code) { loop_.stop(); });
    end_if_done();
  });
  thread_.join();
  workers_ = nullptr;  // writes what was settled
}

void RelayQueue::push(std::vector<std::shared_ptr<MessageInHand>> messages) {
  asio::post(loop_, [this, messages = std::move(messages)]() mutable {
    for (auto& message : messages) sort(std::move(message));
  });
}

void RelayQueue::configure(RelayLimits limits, std::function<void(Transport&)> change) {
  asio::post(loop_, [this, limits, change = std::move(change)] {
    limits_ = limits;
    change(*transport_);
    std::erase_if(domains_, [](const auto& entry) { return !entry.second.asked; });
    for (auto& [key, destination] : destinations_) {
      for (const std::string& domain : std::exchange(destination->dead_domains, {})) release_(domain);
      destination->dead_until = 0;
    }
  });
}

void RelayQueue::add(Work work) {
  const std::string key = key_of(work.route->key, work.message->message().tls);
  DestinationPtr& entry = destinations_[key];
  if (entry == nullptr) {
    entry = std::make_shared<Destination>(key);
    // Those that are merely remembered make room when there are very many.
    if (destinations_.size() > kMaxDestinations) {
      std::erase_if(destinations_, [&](const auto& one) { return one.first != key && one.second->is_unused(); });
    }
  }
  DestinationPtr destination = destinations_.at(key);
  destination->limits = work.route->limits;
  const auto& recipients = work.message->message().recipients;
  if (std::any_of(work.recipients.begin(), work.recipients.end(),
                  [&](size_t i) { return recipients[i].wish == store::Wish::attempt; })) {
    destination->dead_until = 0;  // somebody knows better
  }
  if (clock_.unix_time() < destination->dead_until) {
    put_off_dead(*destination, work);
    return;
  }
  if (!destination->has_room()) {
    put_off_crowded(*destination, work);
    return;
  }
  // What belongs to one message and goes one way is one transaction.
  bool joins = !destination->waiting.empty() && destination->waiting.back().message == work.message;
  if (joins) {
    Work& last = destination->waiting.back();
    last.recipients.insert(last.recipients.end(), work.recipients.begin(), work.recipients.end());
    return;
  }
  if (destination->waiting.empty()) destination->last_end = std::chrono::steady_clock::now();
  destination->waiting_octets += work.octets();
  destination->waiting.push_back(std::move(work));
  if (destination->waiting_octets > kMaxUntriedOctets || destination->waiting.size() > kMaxUntriedWork) watch_stalls();
  staff(destination);
}

/// As long as some destination holds much, looks whether it hangs.
void RelayQueue::watch_stalls() {
  if (std::exchange(watching_, true)) return;
  watch_.expires_after(limits_.stall_time / 2);
  watch_.async_wait([this](std::error_code error) {
    watching_ = false;
    if (error || stopping_) return;
    bool again = false;
    auto now = std::chrono::steady_clock::now();
    for (auto& [key, destination] : destinations_) {
      for (const Work& work : destination->take_stalled(now, limits_.stall_time)) put_off_crowded(*destination, work);
      again = again || destination->waiting.size() > kMaxUntriedWork || destination->waiting_octets > kMaxUntriedOctets;
    }
    if (again) watch_stalls();
  });
}

// --- connections

size_t RelayQueue::allowed(const Destination& destination) const {
  size_t most =
      destination.limits.connections != 0 ? destination.limits.connections : limits_.connections_per_destination;
  return std::min(destination.pace, most);
}

/// Wakes an idle worker, or makes one where that is allowed.
void RelayQueue::staff(const DestinationPtr& destination) {
  if (stopping_ || destination->waiting.empty()) return;
  for (Waiter* waiter : destination->idle) {
    if (waiter->called) continue;
    waiter->called = true;
    waiter->timer.cancel();
    return;
  }
  if (destination->workers >= allowed(*destination)) return;
  if (connections_ >= limits_.connections) {
    if (!std::exchange(destination->starved, true)) starved_.push_back(destination);
    send_idle_away();
    return;
  }
  ++connections_;
  counted::relay_connections.add(1);
  ++destination->workers;
  asio::co_spawn(loop_, work_for(destination), [this, destination](const std::exception_ptr& error) {
    if (error) log_error("relay_worker_failed", {{"destination", destination->key}});
    worker_ended(destination);
  });
}

/// A connection that is merely kept makes room for one that is needed.
void RelayQueue::send_idle_away() {
  for (Waiter* waiter : idle_) {
    if (waiter->called) continue;
    waiter->called = waiter->dismissed = true;
    waiter->timer.cancel();
    return;
  }
}

void RelayQueue::worker_ended(const DestinationPtr& destination) {
  --connections_;
  counted::relay_connections.add(-1);
  --destination->workers;
  while (!starved_.empty() && connections_ < limits_.connections) {
    DestinationPtr next = std::move(starved_.front());
    starved_.pop_front();
    next->starved = false;
    staff(next);
  }
  staff(destination);
  auto entry = destinations_.find(destination->key);
  bool forget = destination->is_unused() && destination->failures == 0 && destination->crowded_domains.empty();
  if (forget && entry != destinations_.end() && entry->second == destination) destinations_.erase(entry);
  end_if_done();
}

void RelayQueue::end_if_done() {
  if (stopping_ && connections_ == 0) loop_.stop();
}

asio::awaitable<void> RelayQueue::work_for(DestinationPtr destination) {
  std::unique_ptr<Link> link = transport_->link();
  co_await asio::post(loop_, asio::use_awaitable);  // what comes with the same message joins first
  for (;;) {
    bool more = co_await wait_for_work(destination, link->is_open());
    if (!more) break;
    co_await keep_pace(destination);
    if (stopping_ || destination->waiting.empty()) continue;
    Work work = destination->take();
    AttemptMark mark = work.message->begin_attempt(0);
    std::vector<Outcome> outcomes;
    const auto began = std::chrono::steady_clock::now();
    try {
      outcomes = co_await link->attempt(work.route, work.message->message(), work.recipients);
    } catch (const std::exception& error) {
      log_error("relay_attempt_failed", {{"destination", destination->key}, {"reason", error.what()}});
      outcomes.assign(work.recipients.size(), Outcome::temporary("4.3.0", "This server was short of something"));
    }
    if (any_success(outcomes)) counted::relay_seconds.observe(std::chrono::steady_clock::now() - began);
    attempted(*destination, work, std::move(outcomes));
    if (destination->waiting.size() > 1) staff(destination);  // one of them is this worker's
    if (destination->workers > allowed(*destination)) break;
  }
  co_await link->close();
}

/// False when this worker is to go. keep: it has a connection that is worth waiting with.
asio::awaitable<bool> RelayQueue::wait_for_work(DestinationPtr destination, bool keep) {
  if (stopping_) co_return false;
  if (!destination->waiting.empty()) co_return true;
  if (!keep || !starved_.empty()) co_return false;
  Waiter waiter(loop_);
  waiter.timer.expires_after(limits_.idle_timeout);
  bool expired = false;
  while (!expired && !stopping_ && !waiter.dismissed && destination->waiting.empty()) {
    waiter.called = false;
    // The one that came last is called first, so that those too many fall silent and go.
    destination->idle.push_front(&waiter);
    auto place = idle_.insert(idle_.end(), &waiter);
    std::error_code error;
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    idle_.erase(place);
    std::erase(destination->idle, &waiter);
    expired = !error;
  }
  co_return !stopping_ && !waiter.dismissed && !destination->waiting.empty();
}

/// Waits until a message may go where there is a limit on messages per minute.
asio::awaitable<void> RelayQueue::keep_pace(DestinationPtr destination) {
  if (destination->limits.messages_per_minute == 0) co_return;
  auto now = std::chrono::steady_clock::now();
  auto turn = std::max(now, destination->next_turn);
  destination->next_turn =
      turn + std::chrono::nanoseconds(std::chrono::minutes(1)) / destination->limits.messages_per_minute;
  if (turn <= now) co_return;
  Waiter waiter(loop_);
  waiter.timer.expires_at(turn);
  auto place = pacing_.insert(pacing_.end(), &waiter);
  std::error_code ignored;
  co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  pacing_.erase(place);
}

// --- outcomes

void RelayQueue::attempted(Destination& destination, const Work& work, std::vector<Outcome> outcomes) {
  bool unreachable = std::any_of(outcomes.begin(), outcomes.end(),
                                 [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::unreachable; });
  bool taken = any_success(outcomes);
  bool deferred = std::any_of(outcomes.begin(), outcomes.end(),
                              [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::temporary; });
  if (unreachable) declare_dead(destination, outcomes);
  settle(work, std::move(outcomes));
  if (unreachable) return;
  // A server that merely puts off, because it greylists or has too much to do, is no reason to come with more.
  if (taken) {
    destination.pace = std::min(destination.pace + 1, kMaxPace);
  } else if (deferred) {
    destination.pace = std::max<size_t>(destination.pace / 2, 1);
  }
  destination.count_attempt();
  destination.failures = 0;
  for (const std::string& domain : std::exchange(destination.dead_domains, {})) release_(domain);
  if (!destination.waiting.empty() || destination.crowded_domains.empty()) return;
  for (const std::string& domain : std::exchange(destination.crowded_domains, {})) release_(domain);
  destination.crowded = 0;
}

void RelayQueue::declare_dead(Destination& destination, std::vector<Outcome>& outcomes) {
  destination.pace = std::max<size_t>(std::min(destination.pace, destination.workers) / 2, 1);
  // Others are still talking to it: one lost connection says little.
  if (destination.workers > 1 && destination.failures == 0) return;
  Seconds wait = std::min<Seconds>(retry_interval(settler_.schedule(), destination.failures), kMaxDeadTime);
  ++destination.failures;
  destination.pace = 1;
  destination.tried = false;
  destination.dead_until = clock_.unix_time() + wait.count();
  for (Outcome& outcome : outcomes) {
    if (outcome.kind != Outcome::Kind::unreachable) continue;
    destination.reason = outcome;
    outcome.not_before = destination.dead_until;  // this message is the next probe
  }
  destination.reason.attempted = false;
  counted::destinations_dead.add();
  log_info("destination_dead", {{"destination", destination.key},
                                {"failures", destination.failures},
                                {"until", destination.dead_until},
                                {"waiting", destination.waiting.size()},
                                {"reason", destination.reason.reply}});
  destination.waiting_octets = 0;
  for (const Work& work : std::exchange(destination.waiting, {})) put_off_dead(destination, work);
}

void RelayQueue::put_off_dead(Destination& destination, const Work& work) {
  Outcome outcome = destination.reason;
  UnixTime by_schedule = clock_.unix_time() + retry_interval(settler_.schedule(), destination.failures).count();
  outcome.not_before = std::max(destination.dead_until, by_schedule);
  remember_domains(work, destination.dead_domains);
  put_off(work, outcome);
}

/// Comes back when what was put off before it will have gone, as far as can be told; or when nothing is left in memory.
void RelayQueue::put_off_crowded(Destination& destination, const Work& work) {
  Outcome later = Outcome::temporary("4.4.5", "Many messages wait for that server");
  later.attempted = false;
  later.not_before = clock_.unix_time() + destination.crowded_wait().count();
  remember_domains(work, destination.crowded_domains);
  put_off(work, later);
}

void RelayQueue::remember_domains(const Work& work, std::unordered_set<std::string>& domains) {
  for (size_t recipient : work.recipients) {
    if (domains.size() >= kMaxReleased) return;  // those that are left come in their own time
    domains.insert(store::destination_of(work.message->message().recipients[recipient].address));
  }
}

void RelayQueue::put_off(const Work& work, const Outcome& outcome) {
  settle(work, std::vector<Outcome>(work.recipients.size(), outcome));
}

/// Whether somebody may have to be told what came of it.
bool RelayQueue::may_be_reported(const Work& work, const std::vector<Outcome>& outcomes) {
  const store::QueuedMessage& message = work.message->message();
  auto wants = [&](size_t i) { return wants_report(ReportAction::relayed, message, message.recipients[i]); };
  return !std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) { return outcome.is_success(); }) ||
         std::any_of(work.recipients.begin(), work.recipients.end(), wants);
}

void RelayQueue::settle_one(const Work& work, std::vector<Outcome>& outcomes, Settlement& settlement) {
  const store::QueuedMessage& message = work.message->message();
  std::vector<Attempted> attempts;
  for (size_t i = 0; i < work.recipients.size(); ++i) {
    attempts.push_back({&message.recipients[work.recipients[i]], std::move(outcomes[i])});
  }
  settler_.settle(message, attempts, settlement);
}

/// A report reads the directory, so a worker thread makes it; the others of its kind that came meanwhile go with it.
void RelayQueue::settle(Work work, std::vector<Outcome> outcomes) {
  if (!may_be_reported(work, outcomes)) {
    Settlement settlement;
    settle_one(work, outcomes, settlement);
    settled_(std::move(settlement));
    return;
  }
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = unsettled_.empty();
    unsettled_.emplace_back(std::move(work), std::move(outcomes));
  }
  if (first) workers_->post([this] { settle_all(); });
}

void RelayQueue::settle_all() {
  std::vector<std::pair<Work, std::vector<Outcome>>> ended;
  {
    std::lock_guard lock(mutex_);
    ended.swap(unsettled_);
  }
  Settlement together;
  for (auto& [work, outcomes] : ended) {
    Settlement settlement;
    settle_one(work, outcomes, settlement);
    if (settlement.reports.empty()) {
      together.append(std::move(settlement));
    } else {
      settled_(std::move(settlement));
    }
  }
  if (!together.empty()) settled_(std::move(together));
}

}  // namespace postrider
