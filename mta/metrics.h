// What mta counts; docs/metrics.md has each by its name.
#pragma once

#include "common/base/metrics.h"

namespace postrider::counted {

/// Where a message came from; the first three are those of Role, in its order.
enum Source : size_t { kFromMachine = 3, kFromReports = 4 };
inline metrics::Counter messages_accepted("postrider_messages_accepted_total",
                                          "Messages that were taken into the queue, by where they came from.",
                                          {"from", {"smtp", "submission", "submissions", "machine", "reports"}});
inline metrics::Counter octets_accepted("postrider_accepted_bytes_total",
                                        "What these were together, as they came by SMTP.");

/// By the first two numbers of the enhanced status code (RFC 3463); see refusal().
inline metrics::Counter refusals("postrider_smtp_refusals_total",
                                 "Replies of 400 and above to SMTP clients, by the first two numbers of their status.",
                                 {"status",
                                  {"4.0", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "5.0", "5.1", "5.2", "5.3",
                                   "5.4", "5.5", "5.6", "5.7"}});
inline metrics::Counter::Cell& refusal(int code, std::string_view status) {
  const size_t subject = status.size() > 2 && status[2] >= '0' && status[2] <= '7' ? size_t(status[2] - '0') : 0;
  return refusals[(code >= 500 ? 8 : 0) + subject];
}

enum Ending : size_t { kDelivered, kRelayed, kReturned, kRemoved, kDeferred };
inline metrics::Counter recipients("postrider_recipients_total",
                                   "What attempts to deliver came to, and what administrators removed, by recipient.",
                                   {"outcome", {"delivered", "relayed", "returned", "removed", "deferred"}});

inline metrics::Histogram accept_seconds(
    "postrider_smtp_accept_seconds", "From the last octet of a message to its 250: checks, filters, commit and flush.",
    metrics::kDurations);
inline metrics::Histogram commit_seconds("postrider_queue_commit_seconds", "A transaction of the queue with its flush.",
                                         metrics::kDurations);
inline metrics::Histogram group_messages("postrider_queue_commit_messages",
                                         "Messages that were accepted by one flushed transaction of the queue.",
                                         metrics::kGroups);
inline metrics::Histogram delivery_seconds(
    "postrider_delivery_seconds",
    "From when a message was committed, or taken up again, until it could be seen in a mailbox here.",
    metrics::kDurations);
inline metrics::Histogram relay_seconds(
    "postrider_relay_seconds", "Attempts to hand a message over in which another server took it, with connecting.",
    metrics::kDurations);

inline metrics::Gauge relay_connections("postrider_relay_connections", "Connections to other servers now.");
inline metrics::Counter destinations_dead("postrider_relay_unreachable_total",
                                          "How often a destination was found unreachable.");

inline metrics::Gauge audit_findings(
    "postrider_audit_findings", "What did not add up in the last audit that came to its end; -1 before the first.");
inline metrics::Gauge audit_time("postrider_audit_time_seconds",
                                 "When the last audit came to its end, as unix time; 0 before the first.");
inline metrics::Gauge audit_messages("postrider_audit_messages", "Messages that this audit judged.");

}  // namespace postrider::counted
