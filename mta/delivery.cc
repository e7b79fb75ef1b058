#include "mta/delivery.h"

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/priority.h"
#include "common/mail/address.h"
#include "common/mail/trace.h"
#include "mta/metrics.h"

namespace postrider {
namespace {

constexpr size_t kMaxKnownAccounts = 100'000;

Outcome mailbox_gone() {
  return Outcome::permanent("5.1.1", "550 5.1.1 There is no such mailbox any more");
}
Outcome mailbox_disabled() {
  return Outcome::permanent("5.2.1", "550 5.2.1 The mailbox is switched off");
}
Outcome disk_full() {
  return Outcome::temporary("4.3.1", "452 4.3.1 The mail system's disk is full");
}
// What exactly is wrong is for the log: the sender has no use for it.
Outcome mailbox_broken() {
  return Outcome::temporary("4.2.0", "451 4.2.0 The mailbox cannot be written at the moment");
}
// An administrator brings it back, and mail waits for that: the sender can do nothing about it.
Outcome mailbox_damaged() {
  Outcome outcome =
      Outcome::temporary("4.3.0", "451 4.3.0 The mailbox's file is damaged; mail is kept until it is recovered");
  outcome.expires = false;
  return outcome;
}

Outcome outcome_of(const store::StoreFailure& failure) {
  if (failure.fault == store::StoreFault::over_quota) {
    return Outcome::temporary("4.2.2", "452 4.2.2 The mailbox is full");
  }
  return Outcome::temporary("4.2.0", "451 4.2.0 " + failure.message);
}

/// The fields that this recipient alone gets (RFC 5321 4.4).
std::string prefix_of(const Delivery& delivery) {
  const store::QueuedMessage& message = delivery.message->message();
  std::optional<Address> reverse_path;
  if (auto parsed = parse_mailbox(message.reverse_path, Utf8::allowed)) reverse_path = std::move(*parsed);
  std::string prefix = format_return_path(reverse_path);
  const store::QueuedRecipient& to = delivery.to();
  auto address = parse_mailbox(to.original, Utf8::allowed);
  if (!address) address = parse_mailbox(to.address, Utf8::allowed);  // <postmaster> has no domain
  if (address) prefix += format_delivered_to(*address);
  return prefix;
}

const store::PreparedMessage* prepare(const Delivery& delivery) {
  AttemptMark mark = delivery.message->begin_attempt(delivery.to().account);
  try {
    return &delivery.message->prepared();
  } catch (const std::exception& error) {
    log_error("message_unreadable",
              {{"msg", store::queue_id_text(delivery.message->message().id)}, {"reason", error.what()}});
    return nullptr;
  }
}

/// Where junk of this account goes: the mailbox that is marked for it, made where it is missing.
store::MailboxId junk_mailbox(store::Account& account, store::Edit& edit, store::MailboxId inbox) {
  constexpr std::string_view kName = "Junk", kUse = "\\Junk";
  store::MailboxId named = 0;
  for (const store::Mailbox& mailbox : account.mailboxes()) {
    if (iequals(mailbox.special_use, kUse)) return mailbox.id;
    if (mailbox.name == kName) named = mailbox.id;
  }
  if (named != 0) return named;
  const auto made = edit.create_mailbox(kName, kUse);
  return made ? *made : inbox;
}

bool concerns_whole_account(const store::SqliteError& error) {
  return error.is_full() || error.is_busy();
}

bool has_suspect(std::span<const Delivery> deliveries) {
  return std::any_of(deliveries.begin(), deliveries.end(), [](const Delivery& one) { return one.to().crashes > 0; });
}

bool wants_success_report(const Delivery& delivery) {
  return wants_report(ReportAction::delivered, delivery.message->message(), delivery.to());
}

}  // namespace

LocalDelivery::LocalDelivery(store::Accounts& accounts, store::DirectoryService& directory, Settler& settler,
                             const Clock& clock, SendHint send_hint, Settled settled)
    : accounts_(accounts),
      directory_(directory),
      settler_(settler),
      clock_(clock),
      send_hint_(std::move(send_hint)),
      settled_(std::move(settled)) {}

LocalDelivery::~LocalDelivery() {
  stop();
}

void LocalDelivery::start(size_t threads) {
  std::lock_guard lock(mutex_);
  no_more_threads_ = false;
  for (size_t i = 0; i < std::clamp<size_t>(threads, 1, kMaxDeliverers); ++i) {
    deliverers_.emplace_back([this] { run_deliverer(); });
  }
  flusher_ = std::thread([this] { run_flusher(); });
}

void LocalDelivery::stop() {
  queue_.stop();
  std::vector<std::thread> deliverers;
  {
    std::lock_guard lock(mutex_);
    no_more_threads_ = true;
    deliverers = std::exchange(deliverers_, {});
  }
  for (std::thread& thread : deliverers) thread.join();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  flusher_wake_.notify_one();
  if (flusher_.joinable()) flusher_.join();
}

void LocalDelivery::push(std::vector<Delivery> deliveries) {
  queue_.push(deliveries);
  bool sleeps = false;
  {
    std::lock_guard lock(mutex_);  // the flusher is before its look at the queue, or sleeps: it does not miss this
    sleeps = flusher_sleeps_;
  }
  if (sleeps) flusher_wake_.notify_one();
}

// --- deliverers

void LocalDelivery::run_deliverer() {
  set_thread_priority(Priority::delivery);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return unflushed_ < kMaxUnflushed; });
    }
    auto batch = queue_.take();
    if (!batch) return;
    store::AccountId account = batch->account;
    deliver(std::move(*batch));
    queue_.done(account);
  }
}

void LocalDelivery::deliver(AccountBatch batch) {
  std::vector<Outcome> outcomes = deliver_all(batch.account, batch.deliveries);
  finish(batch.account, batch.deliveries, outcomes);
}

std::vector<Outcome> LocalDelivery::deliver_all(store::AccountId account, std::span<const Delivery> deliveries) {
  auto all = [&](const Outcome& outcome) { return std::vector<Outcome>(deliveries.size(), outcome); };
  uint64_t quota = 0;
  try {
    auto info = account_info(account);
    if (!info) return all(mailbox_gone());
    if (!info->enabled) return all(mailbox_disabled());
    quota = info->quota;
    // What a process died on goes alone: should it do it again, nobody else is to blame.
    if (deliveries.size() > 1 && has_suspect(deliveries)) return deliver_each(account, deliveries, quota);
    return write(account, deliveries, quota);
  } catch (const store::SqliteError& error) {
    log_error("delivery_failed", {{"account", account}, {"messages", deliveries.size()}, {"reason", error.what()}});
    if (error.is_full()) return all(disk_full());
    if (error.is_corrupt()) return all(mailbox_damaged());
    if (concerns_whole_account(error) || deliveries.size() == 1) return all(mailbox_broken());
  } catch (const std::exception& error) {
    log_error("delivery_failed", {{"account", account}, {"messages", deliveries.size()}, {"reason", error.what()}});
    if (deliveries.size() == 1) return all(mailbox_broken());
  }
  return deliver_each(account, deliveries, quota);
}

/// One message that cannot be stored must not keep the others of its batch out.
std::vector<Outcome> LocalDelivery::deliver_each(store::AccountId account, std::span<const Delivery> deliveries,
                                                 uint64_t quota) {
  std::vector<Outcome> outcomes;
  for (size_t i = 0; i < deliveries.size(); ++i) {
    try {
      outcomes.push_back(write(account, deliveries.subspan(i, 1), quota).at(0));
    } catch (const std::exception& error) {
      log_error("delivery_failed", {{"account", account},
                                    {"msg", store::queue_id_text(deliveries[i].message->message().id)},
                                    {"reason", error.what()}});
      outcomes.push_back(mailbox_broken());
    }
  }
  return outcomes;
}

std::vector<Outcome> LocalDelivery::write(store::AccountId account, std::span<const Delivery> deliveries,
                                          uint64_t quota) {
  // Reading and compressing first: the account's lock is held for writing only.
  std::vector<const store::PreparedMessage*> prepared;
  for (const Delivery& delivery : deliveries) prepared.push_back(prepare(delivery));
  std::vector<Outcome> outcomes(deliveries.size(), mailbox_broken());
  store::Accounts::Lease lease = accounts_.open(account);
  store::Edit edit(*lease);
  auto inbox = lease->find_mailbox("INBOX");
  if (!inbox) return outcomes;
  store::MailboxId junk = 0;
  for (size_t i = 0; i < deliveries.size(); ++i) {
    if (prepared[i] == nullptr) continue;
    const store::QueuedMessage& message = deliveries[i].message->message();
    std::string prefix = prefix_of(deliveries[i]);
    AttemptMark mark = deliveries[i].message->begin_attempt(account);
    if (message.junk && junk == 0) junk = junk_mailbox(*lease, edit, inbox->id);
    const store::MailboxId mailbox = message.junk ? junk : inbox->id;
    auto uid = edit.append(mailbox, *prepared[i], prefix, store::Flags(), message.accepted, message.id, quota);
    outcomes[i] = uid ? Outcome::delivered() : outcome_of(uid.error());
    if (uid) outcomes[i].mailbox = mailbox, outcomes[i].uid = *uid;
  }
  edit.commit();
  for (store::MailboxId touched : edit.touched()) send_hint_({account, touched, edit.modseq()});
  return outcomes;
}

/// Read again whenever the directory has changed.
std::optional<store::AccountInfo> LocalDelivery::account_info(store::AccountId account) {
  uint64_t version = directory_.version();
  {
    std::lock_guard lock(info_mutex_);
    if (version != info_version_ || info_.size() >= kMaxKnownAccounts) info_.clear();
    info_version_ = version;
    if (auto found = info_.find(account); found != info_.end()) return found->second;
  }
  auto info = directory_.with([&](store::Directory& directory) { return directory.account(account); });
  std::lock_guard lock(info_mutex_);
  if (store::DirectoryVersion::stands_still(version) && version == info_version_) info_[account] = info;
  return info;
}

void LocalDelivery::finish(store::AccountId account, std::span<const Delivery> deliveries,
                           std::span<const Outcome> outcomes) {
  Settlement failures;
  std::vector<Unflushed> written;
  const auto now = std::chrono::steady_clock::now();
  for (size_t i = 0; i < deliveries.size(); ++i) {
    const Delivery& delivery = deliveries[i];
    if (!outcomes[i].is_success()) {
      AttemptMark mark = delivery.message->begin_attempt(account);
      Attempted attempted{&delivery.to(), outcomes[i]};
      settler_.settle(delivery.message->message(), {&attempted, 1}, failures);
      continue;
    }
    counted::delivery_seconds.observe(now - delivery.message->since());
    Unflushed& unflushed = written.emplace_back();
    unflushed.update.message = delivery.message->message().id;
    unflushed.update.number = delivery.to().number;
    unflushed.update.ended = true;
    unflushed.update.time = clock_.unix_time();
    unflushed.update.mailbox = outcomes[i].mailbox;
    unflushed.update.uid = outcomes[i].uid;
    if (wants_success_report(delivery)) {
      unflushed.reported = delivery;
    } else {
      counted::recipients[counted::kDelivered].add();
      log_info("delivered", {{"msg", store::queue_id_text(unflushed.update.message)}, {"to", delivery.to().address}});
    }
  }
  if (!failures.empty()) settled_(std::move(failures));
  if (written.empty()) return;
  std::lock_guard lock(mutex_);
  size_t before = unflushed_;
  unflushed_ += written.size();
  auto& dirty = dirty_[account];
  std::move(written.begin(), written.end(), std::back_inserter(dirty));
  if (flusher_sleeps_ || (before < kFlushCount && unflushed_ >= kFlushCount)) flusher_wake_.notify_one();
}

// --- the flusher

void LocalDelivery::run_flusher() {
  set_thread_priority(Priority::delivery);
  std::unique_lock lock(mutex_);
  for (;;) {
    flusher_sleeps_ = true;
    flusher_wake_.wait(lock, [this] { return stopping_ || unflushed_ > 0 || !queue_.is_idle(); });
    flusher_sleeps_ = false;
    auto end = std::chrono::steady_clock::now() + kFlushInterval;
    while (!stopping_ && unflushed_ < kFlushCount && std::chrono::steady_clock::now() < end) {
      flusher_wake_.wait_until(lock, std::min(end, std::chrono::steady_clock::now() + kStuckWait));
      add_deliverer_if_stuck();
    }
    Dirty dirty = std::exchange(dirty_, {});
    if (dirty.empty() && stopping_) return;
    size_t count = unflushed_;
    lock.unlock();
    flush(std::move(dirty));
    lock.lock();
    unflushed_ -= count;
    room_.notify_all();
  }
}

/// Under the mutex. A thread that waits for a slow account is not there for the others.
void LocalDelivery::add_deliverer_if_stuck() {
  if (no_more_threads_ || deliverers_.size() >= kMaxDeliverers || !queue_.is_stuck(kStuckWait)) return;
  log_warn("delivery_slow",
           {{"reason", "every deliverer waits for a slow account"}, {"deliverers", deliverers_.size() + 1}});
  try {
    deliverers_.emplace_back([this] { run_deliverer(); });
  } catch (const std::exception& error) {
    // Those that there are go on, slowly; asked again a moment later.
    log_error("no_thread", {{"for", "deliveries"}, {"reason", error.what()}});
  }
}

bool LocalDelivery::flush_account(store::AccountId account) {
  try {
    accounts_.open(account)->flush();
    return true;
  } catch (const std::exception& error) {
    log_error("flush_failed", {{"account", account}, {"reason", error.what()}});
    return false;
  }
}

void LocalDelivery::flush(Dirty dirty) {
  Settlement settlement;
  for (auto& [account, deliveries] : dirty) {
    bool flushed = flush_account(account);
    for (Unflushed& unflushed : deliveries) {
      if (!flushed) {
        // Delivered again later: the account knows it by its key, and it is flushed once more.
        unflushed.update.ended = false;
        unflushed.update.next_attempt = clock_.unix_time() + retry_interval(settler_.schedule(), 0).count();
        unflushed.update.last_reply = mailbox_broken().reply;
        settlement.updates.push_back(std::move(unflushed.update));
      } else if (unflushed.reported) {
        AttemptMark mark = unflushed.reported->message->begin_attempt(account);
        Attempted attempted{&unflushed.reported->to(), Outcome::delivered()};
        attempted.outcome.mailbox = unflushed.update.mailbox;
        attempted.outcome.uid = unflushed.update.uid;
        settler_.settle(unflushed.reported->message->message(), {&attempted, 1}, settlement);
      } else {
        settlement.updates.push_back(std::move(unflushed.update));
      }
    }
  }
  if (!settlement.empty()) settled_(std::move(settlement));
}

}  // namespace postrider
