// The ledger of queue.db: every accepted message, every recipient with how it ended, and the attempts that did not end
// it. Written in the transactions that accept and end; forgotten after queue.history.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/queue_message.h"

namespace postrider::store {

constexpr int kMaxKeptAttempts = 50;            // of one recipient; the last ones
constexpr size_t kMaxTracedRecipients = 1'000;  // of one message

struct TracedAttempt {
  UnixTime time = 0;
  std::string remote, tls, reply;
};

struct TracedRecipient {
  int64_t number = 0;
  AccountId account = 0;  // 0: another server's
  std::string address;
  std::string original;  // where the sender meant it to go; empty: the same
  int32_t attempts = 0;
  std::vector<TracedAttempt> tries;  // those that did not end it, oldest first

  bool ended = false;
  // Ended: how.
  Ending ending = Ending::mailbox;
  UnixTime time = 0;
  MailboxId mailbox = 0;
  Uid uid = 0;
  std::string remote, tls;
  std::string reply;  // waiting: the last one
  QueueId report = 0;
  // Waiting.
  UnixTime next_attempt = 0;  // or kInHand
  Hold hold = Hold::none;
};

struct TracedMessage {
  QueueId id = 0;
  UnixTime accepted = 0;
  uint64_t size = 0;
  std::string reverse_path, client, authenticated_as, message_id, checks;
  int64_t recipient_count = 0;
  std::vector<TracedRecipient> recipients;  // by number, at most kMaxTracedRecipients
};

}  // namespace postrider::store
