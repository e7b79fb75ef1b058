#include "mta/queue_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/log.h"
#include "common/base/priority.h"
#include "mta/metrics.h"

namespace postrider {
namespace {

// A system clock that is set while we sleep is noticed after this time.
constexpr std::chrono::minutes kMaxSleep{10};
// How long updates wait after the disk refused them.
constexpr std::chrono::seconds kTroublePause{1};
// How long updates wait for others, and for a message to be committed with.
constexpr std::chrono::milliseconds kGatherUpdates{5};
// A transaction that takes longer is trouble; one that failed is so for a while.
constexpr std::chrono::seconds kSlowCommit{30};
constexpr std::chrono::seconds kFailureRemembered{60};

Settler::Options settler_options(const QueueRunner::Options& options) {
  Settler::Options made;
  made.system = options.system;
  made.spool_directory = options.state + "/spool";
  made.schedule = options.schedule;
  made.signer = options.signer;
  made.spread = options.spread;
  return made;
}

NotAccepted not_accepted(const store::SqliteError& error) {
  return {error.is_full() ? NotAccepted::Reason::disk_full : NotAccepted::Reason::failed, error.what()};
}

}  // namespace

QueueRunner::QueueRunner(Options options, store::Accounts& accounts, store::DirectoryService& directory,
                         LocalDelivery::SendHint send_hint, const Clock& clock)
    : clock_(clock),
      deliverers_(options.deliverers),
      history_(options.history),
      marks_(options.state + "/run/attempts"),
      queue_(options.state, clock),
      local_budget_(kMaxReadyOctets, [this] { wake(); }),
      remote_budget_(kMaxRemoteOctets, [this] { wake(); }),
      settler_(settler_options(options), directory, clock, [this] { return queue_.next_id(); }),
      delivery_(accounts, directory, settler_, clock, std::move(send_hint),
                [this](Settlement settlement) { settled(std::move(settlement)); }) {}

QueueRunner::~QueueRunner() {
  stop();
}

void QueueRunner::start() {
  store::Queue::Recovered recovered = queue_.recover(marks_.left());
  for (const store::InAttempt& at : recovered.set_aside) {
    log_error("set_aside",
              {{"msg", store::queue_id_text(at.message)},
               {"account", at.account},
               {"reason", "two processes ended while they had it in hand; `mailctl queue release` tries it again"}});
  }
  size_t swept = queue_.sweep_spool();
  store::Queue::Counts counts = queue_.counts();
  log_info("queue_open", {{"messages", counts.messages},
                          {"recipients", counts.recipients},
                          {"recovered", recovered.recipients},
                          {"swept_files", swept}});
  {
    std::lock_guard lock(mutex_);
    closed_ = stopping_ = false;
  }
  delivery_.start(deliverers_);
  if (remote_ != nullptr) remote_->start();
  committer_ = std::thread([this] { run(); });
}

void QueueRunner::stop() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (!committer_.joinable()) return;
  if (remote_ != nullptr) remote_->stop();
  delivery_.stop();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  committer_.join();
}

void QueueRunner::configure(const Options& options) {
  settler_.configure(settler_options(options));
  std::lock_guard lock(mutex_);
  history_ = options.history;
}

bool QueueRunner::idle() {
  std::lock_guard lock(mutex_);
  return busy_since_ == Time() && !poked_ && pending_.empty() && updates_.empty() && reported_.empty();
}

std::string QueueRunner::trouble() {
  std::lock_guard lock(mutex_);
  const Time now = std::chrono::steady_clock::now();
  if (busy_since_ != Time() && now - busy_since_ > kSlowCommit) {
    return fmt::format("The owner of the queue has been at one transaction for {} s; look at the disk.",
                       std::chrono::duration_cast<std::chrono::seconds>(now - busy_since_).count());
  }
  if (failed_at_ != Time() && now - failed_at_ < kFailureRemembered)
    return fmt::format("The queue could not be written: {}. Look at the disk.", failure_);
  return {};
}

void QueueRunner::note_trouble(const store::SqliteError& error) {
  log_error("queue_trouble", {{"reason", error.what()}});
  std::lock_guard lock(mutex_);
  failed_at_ = std::chrono::steady_clock::now();
  failure_ = error.what();
}

void QueueRunner::note_success() {
  std::lock_guard lock(mutex_);
  failed_at_ = Time();
}

void QueueRunner::wake() {
  {
    std::lock_guard lock(mutex_);
    poked_ = true;
  }
  wake_.notify_one();
}

// --- what others hand in

asio::awaitable<Acceptance> QueueRunner::accept(store::QueuedMessage message) {
  auto initiate = [this](auto handler, store::QueuedMessage handed_in) {
    auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    accept(std::move(handed_in), [shared, executor](Acceptance acceptance) {
      asio::post(executor, [last = std::move(*shared), acceptance]() mutable { last(std::move(acceptance)); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Acceptance)>(
      initiate, asio::use_awaitable, std::move(message));
}

void QueueRunner::accept(store::QueuedMessage message, std::function<void(Acceptance)> complete) {
  hand_in({std::move(message), std::move(complete)});
}

void QueueRunner::hand_in(Pending pending) {
  {
    std::lock_guard lock(mutex_);
    if (!closed_) {
      pending_.push_back(std::move(pending));
      if (pending_.size() == 1) wake_.notify_one();
      return;
    }
  }
  pending.complete(tl::unexpected(NotAccepted{NotAccepted::Reason::shutting_down, "the queue is being closed"}));
}

void QueueRunner::settled(Settlement settlement) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = !has_updates();
    if (first) updates_gathered_ = std::chrono::steady_clock::now() + kGatherUpdates;
    if (settlement.reports.empty()) {
      std::move(settlement.updates.begin(), settlement.updates.end(), std::back_inserter(updates_));
    } else {
      reported_.push_back(std::move(settlement));
    }
  }
  if (first) wake_.notify_one();
}

void QueueRunner::release(std::string destination) {
  {
    std::lock_guard lock(mutex_);
    released_.push_back(std::move(destination));
    poked_ = true;
  }
  wake_.notify_one();
}

// --- the committer

void QueueRunner::run() {
  set_thread_priority(Priority::commit);
  Group group;
  do {
    if (!group.empty()) commit(std::exchange(group, {}));
    try {
      release_destinations();
      refill();
      forget_some();
      queue_.checkpoint_if_grown();
    } catch (const store::SqliteError& error) {
      note_trouble(error);  // next_wake() looks again after a pause
    }
  } while (wait_for_work(group));
  try {
    queue_.hand_back();
  } catch (const store::SqliteError& error) {
    note_trouble(error);
  }
}

/// Under the mutex: when updates are committed by themselves, if there are any.
std::optional<QueueRunner::Time> QueueRunner::updates_due() const {
  if (!has_updates()) return std::nullopt;
  return stopping_ ? Time() : std::max(updates_gathered_, updates_not_before_);
}

/// False when all is done and it is time to end.
bool QueueRunner::wait_for_work(Group& group) {
  std::unique_lock lock(mutex_);
  auto ready = [&] {
    const auto due = updates_due();
    return stopping_ || poked_ || !pending_.empty() || (due && *due <= std::chrono::steady_clock::now());
  };
  if (!ready()) {
    lock.unlock();
    const Time next = next_wake();
    lock.lock();
    busy_since_ = Time();
    while (!ready() && std::chrono::steady_clock::now() < next) {
      wake_.wait_until(lock, std::min(next, updates_due().value_or(next)));
    }
  }
  busy_since_ = std::chrono::steady_clock::now();
  poked_ = false;
  const bool with_updates = has_updates() && (stopping_ || busy_since_ >= updates_not_before_);
  take_group(group);
  if (!with_updates) return !stopping_ || !group.empty();
  size_t limit = pending_.empty() && group.accepted.empty() ? kMaxGroupUpdates * 4 : kMaxGroupUpdates;
  size_t count = std::min(limit, updates_.size());
  std::move(updates_.begin(), updates_.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(group.updates));
  updates_.erase(updates_.begin(), updates_.begin() + static_cast<std::ptrdiff_t>(count));
  while (!reported_.empty() && group.reported.size() < kMaxGroup) {
    group.reported.push_back(std::move(reported_.front()));
    reported_.pop_front();
  }
  return true;
}

void QueueRunner::take_group(Group& group) {
  uint64_t octets = 0;
  while (!pending_.empty() && group.accepted.size() < kMaxGroup && octets < kMaxGroupOctets) {
    octets += pending_.front().message.body->memory().size();
    group.accepted.push_back(std::move(pending_.front()));
    pending_.pop_front();
  }
}

/// When the next recipient is due that there is room for.
QueueRunner::Time QueueRunner::next_wake() {
  std::optional<UnixTime> due;
  try {
    if (local_budget_.has_much_room()) due = queue_.next_due(true);
    if (remote_ != nullptr && remote_budget_.has_much_room()) {
      auto remote = queue_.next_due(false);
      if (remote && (!due || *remote < *due)) due = remote;
    }
  } catch (const store::SqliteError& error) {
    note_trouble(error);
    return std::chrono::steady_clock::now() + kTroublePause;
  }
  if (!due) return next_forget_;
  auto wait = std::chrono::system_clock::from_time_t(*due) - clock_.now();
  auto at = std::chrono::steady_clock::now() + std::clamp<std::chrono::system_clock::duration>(wait, {}, kMaxSleep);
  return std::min(at, next_forget_);
}

/// Sets which recipients go on in memory and which wait for their turn on the disk.
void QueueRunner::plan(store::QueuedMessage& message) {
  for (store::QueuedRecipient& recipient : message.recipients) {
    if (recipient.wish != store::Wish::none || recipient.hold != store::Hold::none) {
      recipient.next_attempt = clock_.unix_time();  // not to be delivered now: see grant_wishes()
      continue;
    }
    bool& backlog = recipient.account != 0 ? local_backlog_ : remote_backlog_;
    MemoryBudget& budget = recipient.account != 0 ? local_budget_ : remote_budget_;
    if (recipient.account == 0 && remote_ == nullptr) backlog = true;
    if (!budget.has_room()) backlog = true;
    recipient.next_attempt = backlog ? clock_.unix_time() : store::kInHand;
  }
}

void QueueRunner::commit(Group group) {
  if (group.accepted.empty() && group.reported.empty()) {
    try {
      queue_.update(group.updates);
      note_success();
    } catch (const store::SqliteError& error) {
      note_trouble(error);
      put_back(std::move(group));
    }
    return;
  }
  try {
    complete_taken(group);
    if (group.accepted.empty() && group.reported.empty() && group.updates.empty()) return;
    store::Flushed flushed = commit_group(group);
    note_success();
    for (Pending& pending : group.accepted) pending.complete(flushed);
  } catch (const store::SqliteError& error) {
    note_trouble(error);
    if (!error.is_full() && group.accepted.size() > 1) {
      commit_one_by_one(std::move(group));
      return;
    }
    for (Pending& pending : group.accepted) pending.complete(tl::unexpected(not_accepted(error)));
    put_back(std::move(group));
    return;
  }
  for (Pending& pending : group.accepted) go_on(std::move(pending.message));
  for (store::QueuedMessage& report : group.told) go_on(std::move(report));
  for (Settlement& settlement : group.reported) {
    for (store::QueuedMessage& report : settlement.reports) go_on(std::move(report));
  }
  if (!ready_local_.empty()) delivery_.push(std::exchange(ready_local_, {}));
  if (!ready_remote_.empty()) remote_->push(std::exchange(ready_remote_, {}));
}

store::Flushed QueueRunner::commit_group(Group& group) {
  commits_.fetch_add(1, std::memory_order_relaxed);
  std::vector<const store::QueuedMessage*> accepted;
  for (Pending& pending : group.accepted) {
    plan(pending.message);
    accepted.push_back(&pending.message);
    if (pending.message.expanded.empty()) continue;
    auto told = settler_.tell_expanded(pending.message);
    std::move(told.begin(), told.end(), std::back_inserter(group.told));
  }
  for (store::QueuedMessage& report : group.told) {
    plan(report);
    accepted.push_back(&report);
  }
  std::vector<store::RecipientUpdate> with_reports;
  for (Settlement& settlement : group.reported) {
    for (store::QueuedMessage& report : settlement.reports) {
      plan(report);
      accepted.push_back(&report);
    }
    with_reports.insert(with_reports.end(), settlement.updates.begin(), settlement.updates.end());
  }
  counted::group_messages.observe(accepted.size());
  const metrics::Timing timing(counted::commit_seconds[0]);
  if (with_reports.empty()) return queue_.commit(accepted, group.updates);
  with_reports.insert(with_reports.end(), group.updates.begin(), group.updates.end());
  return queue_.commit(accepted, with_reports);
}

/// One message that cannot be written must not take the others of its group with it.
void QueueRunner::commit_one_by_one(Group group) {
  for (Pending& pending : group.accepted) {
    Group alone;
    alone.accepted.push_back(std::move(pending));
    commit(std::move(alone));
  }
  group.accepted.clear();
  group.told.clear();
  if (!group.empty()) commit(std::move(group));
}

void QueueRunner::put_back(Group group) {
  std::lock_guard lock(mutex_);
  // Ending with what cannot be written would be in vain: the queue still has it all, and a start repeats it.
  if (stopping_) return;
  updates_.insert(updates_.begin(), std::make_move_iterator(group.updates.begin()),
                  std::make_move_iterator(group.updates.end()));
  reported_.insert(reported_.begin(), std::make_move_iterator(group.reported.begin()),
                   std::make_move_iterator(group.reported.end()));
  updates_not_before_ = std::chrono::steady_clock::now() + kTroublePause;
}

}  // namespace postrider
