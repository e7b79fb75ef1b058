// What an administrator asks of the queue, and does to it.
#pragma once

#include <optional>
#include <string>

#include "store/queue_message.h"

namespace postrider::store {

/// Recipients that one transaction of a change touches: whoever hands in mail meanwhile waits no longer than that
/// takes.
constexpr size_t kMaxChangeStep = 2'000;

/// In the state folder: the socket where the owner of the queue waits to hear that somebody else has changed it.
constexpr const char* kQueueSocket = "run/mta.sock";

enum class QueueState : uint8_t { any, waiting, held, in_hand };

/// Which recipients are meant; what is empty does not count.
struct QueueFilter {
  QueueId id = 0;
  std::string destination;            // domain of the recipient's address, in lower case
  std::optional<std::string> sender;  // reverse-path; "" is the null one
  AccountId account = 0;              // a mailbox's
  UnixTime accepted_before = 0;
  QueueState state = QueueState::any;
};

enum class QueueChange : uint8_t { retry, hold, release, remove, bounce };

struct Changed {
  int64_t now = 0;    // recipients
  int64_t later = 0;  // are in hand: it counts when they come back
};

/// A message of a listing, with those of its recipients that the filter means.
struct QueueRow {
  QueueId id = 0;
  UnixTime accepted = 0;
  std::string reverse_path;
  uint64_t size = 0;
  int64_t recipients = 0, held = 0, in_hand = 0;
  UnixTime next_attempt = 0;  // the earliest; 0: none waits for a time
  int32_t attempts = 0;       // of the one that was tried most often; its address and last reply
  std::string address;
  std::string last_reply;
};

struct DestinationRow {
  std::string destination;  // empty: mailboxes here
  int64_t waiting = 0;      // recipients
  int64_t due = 0;          // of them
  UnixTime next_attempt = 0;
  UnixTime oldest = 0;     // when the oldest message was accepted
  std::string last_reply;  // of that one
};

struct QueueSummary {
  int64_t messages = 0;
  int64_t recipients = 0;
  int64_t held = 0;        // recipients, by an administrator
  int64_t set_aside = 0;   // recipients, Hold::crashes
  int64_t here = 0;        // recipients that wait for a mailbox here
  int64_t elsewhere = 0;   // recipients that wait for another server
  int64_t in_hand = 0;     // recipients
  UnixTime oldest = 0;     // when the oldest message was accepted; 0: none
  UnixTime first_due = 0;  // the earliest next attempt; 0: none
};

}  // namespace postrider::store
