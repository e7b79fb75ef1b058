// Delivery status notifications (RFC 3461, RFC 3464, RFC 6522; RFC 6533 for UTF-8 addresses): the mail that tells a
// sender what became of a message. Makes text; says nothing about where it goes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "mta/outcome.h"
#include "store/queue.h"

namespace postrider {

/// Octets of a message that a report gives back whole; of a larger one its header only.
constexpr size_t kMaxReturnedMessage = 48 << 10;
constexpr size_t kMaxReturnedHeader = 32 << 10;

enum class ReportAction { failed, delayed, delivered, relayed, expanded };

struct ReportedRecipient {
  store::QueuedRecipient recipient;
  Outcome outcome;
  bool expired = false;  // failed, because its lifetime is over
};

struct Report {
  ReportAction action = ReportAction::failed;
  std::string hostname;  // who reports
  std::string to;        // the reverse-path that it goes to, or the postmaster
  std::string id;        // queue id of the report, for its Message-ID and its boundary
  UnixTime now = 0;
  UnixTime retry_until = 0;    // delayed: when it will be given up
  bool double_bounce = false;  // it tells the postmaster of a report that could not be delivered
  std::vector<ReportedRecipient> recipients;
};

/// The whole message of a report about original, with CRLF line ends. original.body may be null: then only the report
/// proper is there. Nothing of the text is longer than original allows: 8-bit only where original is 8-bit.
std::string format_report(const Report& report, const store::QueuedMessage& original);

/// "<...>".
std::string report_message_id(const Report& report);

/// What a status code means for a person, and what to do; always a whole sentence or two.
std::string_view explain_status(std::string_view status);

/// Whether RFC 3461 wants or allows that report about that recipient of that message. A null reverse-path never does.
bool wants_report(ReportAction action, const store::QueuedMessage& message, const store::QueuedRecipient& recipient);

}  // namespace postrider
