#include "mta/outcome.h"

#include <algorithm>

namespace postrider {
namespace {

/// RFC 3461 4.1: without NOTIFY we may tell of a delay. A report's delay is told to nobody.
bool wants_delay_report(const store::QueuedMessage& message, const store::QueuedRecipient& recipient) {
  if (message.reverse_path.empty() || recipient.warned) return false;
  return recipient.notify == store::kNotifyDefault || (recipient.notify & store::kNotifyDelay) != 0;
}

}  // namespace

Seconds retry_interval(const Schedule& schedule, int attempts) {
  size_t last = schedule.retry.size() - 1;
  return schedule.retry[std::min(static_cast<size_t>(std::max(attempts, 0)), last)];
}

Decision decide(const Outcome& outcome, const store::QueuedMessage& message, const store::QueuedRecipient& recipient,
                const Schedule& schedule, UnixTime now, uint64_t random) {
  Decision decision;
  if (outcome.is_success()) return decision;
  decision.next = Decision::Next::bounce;
  if (outcome.kind == Outcome::Kind::permanent) return decision;
  UnixTime end = message.accepted + schedule.lifetime.count();
  if (now >= end && outcome.expires) {
    decision.expired = true;
    return decision;
  }
  decision.next = Decision::Next::retry;
  int64_t interval = retry_interval(schedule, recipient.attempts).count();
  int64_t spread = random == 0 ? 0 : static_cast<int64_t>(random % static_cast<uint64_t>(interval / 10 + 1));
  UnixTime at = outcome.not_before != 0 ? outcome.not_before : now + interval + spread;
  decision.at = now >= end ? std::max(at, now) : std::min(std::max(at, now), end);
  if (schedule.delay_warning.count() == 0 || !wants_delay_report(message, recipient)) return decision;
  const UnixTime warn_at = message.accepted + schedule.delay_warning.count();
  decision.warn = now >= warn_at;
  // A long interval must not make the warning come late.
  if (!decision.warn) decision.at = std::min(decision.at, warn_at);
  return decision;
}

}  // namespace postrider
