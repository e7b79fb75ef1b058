// The committer between two transactions: what goes to those who deliver, what an administrator wished, and what is
// forgotten.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/smtp/reply.h"
#include "mta/metrics.h"
#include "mta/queue_runner.h"

namespace postrider {
namespace {

// Between two steps of forgetting: others get their turn.
constexpr std::chrono::milliseconds kForgetPause{100};

/// What the sender of a message that is to bounce reads: the reason that was written down, where it is a reply.
Outcome wished_bounce(const store::QueuedRecipient& recipient) {
  smtp::ReplyParser parser;
  parser.feed(recipient.last_reply + "\r\n");
  bool is_reply = parser.state() == smtp::ReplyParser::State::complete;
  std::string status = is_reply ? parser.take().status : std::string();
  return Outcome::permanent(status.empty() ? "5.7.0" : status, recipient.last_reply);
}

/// The part of a message that this process goes on with, local or remote.
store::QueuedMessage part_in_hand(const store::QueuedMessage& message, bool local) {
  store::QueuedMessage part = message;
  std::erase_if(part.recipients, [&](const store::QueuedRecipient& recipient) {
    return recipient.next_attempt != store::kInHand || (recipient.account != 0) != local;
  });
  return part;
}

}  // namespace

void QueueRunner::go_on(store::QueuedMessage message) {
  bool local = false;
  bool remote = false;
  for (const store::QueuedRecipient& recipient : message.recipients) {
    if (recipient.next_attempt == store::kInHand) (recipient.account != 0 ? local : remote) = true;
  }
  if (remote)
    ready_remote_.push_back(std::make_shared<MessageInHand>(part_in_hand(message, false), remote_budget_, &marks_));
  if (!local) return;
  auto in_hand = std::make_shared<MessageInHand>(part_in_hand(message, true), local_budget_, &marks_);
  for (size_t i = 0; i < in_hand->message().recipients.size(); ++i) ready_local_.push_back({in_hand, i});
}

/// What the sendmail command left and was taken before is on the disk already.
void QueueRunner::complete_taken(Group& group) {
  std::erase_if(group.accepted, [this](Pending& pending) {
    if (pending.message.drop.empty()) return false;
    auto flushed = queue_.taken(pending.message.drop);
    if (flushed) pending.complete(*flushed);
    return flushed.has_value();
  });
}

/// A step of each: a large backlog must not keep those waiting who hand in mail.
void QueueRunner::release_destinations() {
  std::vector<std::string> released;
  {
    std::lock_guard lock(mutex_);
    released.swap(released_);
  }
  for (std::string& destination : released) {
    int64_t recipients = queue_.release(destination, kMaxReleaseStep);
    if (recipients > 0) log_info("released", {{"destination", destination}, {"recipients", recipients}});
    if (recipients >= static_cast<int64_t>(kMaxReleaseStep)) release(std::move(destination));
  }
}

void QueueRunner::refill() {
  UnixTime now = clock_.unix_time();
  auto is_due = [&](bool local) {
    auto next = queue_.next_due(local);
    return next && *next <= now;
  };
  local_backlog_ = is_due(true);
  if (local_backlog_ && local_budget_.has_much_room()) refill(true, now);
  remote_backlog_ = is_due(false);
  if (remote_ != nullptr && remote_backlog_ && remote_budget_.has_much_room()) refill(false, now);
  if (!ready_local_.empty()) delivery_.push(std::exchange(ready_local_, {}));
  if (!ready_remote_.empty()) remote_->push(std::exchange(ready_remote_, {}));
}

void QueueRunner::refill(bool local, UnixTime now) {
  for (store::QueuedMessage& message : queue_.take_due(now, local, kMaxRefill)) {
    grant_wishes(message);
    if (!message.recipients.empty()) go_on(std::move(message));
  }
}

/// Ends the recipients that the administrator wants ended.
void QueueRunner::grant_wishes(store::QueuedMessage& message) {
  auto is_wish = [](const store::QueuedRecipient& recipient) {
    return recipient.wish == store::Wish::remove || recipient.wish == store::Wish::bounce;
  };
  Settlement settlement;
  std::vector<Attempted> bounced;
  for (const store::QueuedRecipient& recipient : message.recipients) {
    if (recipient.wish == store::Wish::bounce) bounced.push_back({&recipient, wished_bounce(recipient)});
    if (recipient.wish != store::Wish::remove) continue;
    store::RecipientUpdate& update = settlement.updates.emplace_back();
    update.message = message.id;
    update.number = recipient.number;
    update.ended = true;
    update.attempted = false;
    update.time = clock_.unix_time();
    update.ending = store::Ending::removed;
    counted::recipients[counted::kRemoved].add();
    log_info("removed", {{"msg", store::queue_id_text(message.id)}, {"to", recipient.address}});
  }
  if (!bounced.empty()) settler_.settle(message, bounced, settlement);
  for (store::RecipientUpdate& update : settlement.updates) update.wished = true;
  if (settlement.empty()) return;
  settled(std::move(settlement));
  std::erase_if(message.recipients, is_wish);
}

void QueueRunner::forget_some() {
  auto now = std::chrono::steady_clock::now();
  if (now < next_forget_) return;
  Seconds history{};
  {
    std::lock_guard lock(mutex_);
    history = history_;
  }
  next_forget_ = now + kForgetInterval;
  size_t forgotten = queue_.forget(clock_.unix_time() - history.count(), kMaxForgetStep);
  if (forgotten == kMaxForgetStep) next_forget_ = now + kForgetPause;
}

}  // namespace postrider
