// One envelope and, from DATA or the first BDAT on, its message (RFC 5321 3.3).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/smtp/command.h"
#include "common/smtp/dot_codec.h"
#include "mta/incoming_message.h"
#include "store/queue.h"

namespace postrider {

/// What may still come to an account with a quota; octets.
struct Room {
  uint64_t limit = 0, used = 0;
};

struct Transaction {
  smtp::MailCommand mail;
  std::string reverse_path;  // empty: null
  std::vector<store::QueuedRecipient>
      recipients;                         // what the queue gets: aliases are expanded, an account is there once
  std::unordered_set<std::string> known;  // of these recipients: account number or address
  std::vector<Room> rooms;                // of recipients with a quota
  bool all_have_quota = true;
  size_t accepted = 0;  // RCPT commands
  size_t refused = 0;
  std::vector<store::QueuedRecipient> expanded;  // see store::QueuedMessage
  std::string message_id;                        // of the header; empty: none, or too long to be one
  bool is_report = false;                        // of another server about our domains
  bool waives_tls = false;                       // "TLS-Required: No"
  std::optional<Address> first_path;             // for the Received field of a message to one recipient

  store::QueueId id = 0;
  std::shared_ptr<IncomingMessage> message;  // shared with the worker that writes it
  std::string head;                          // as it came, for checks and signatures
  bool head_whole = false;                   // not cut off
  std::string added_fields;                  // by us, of what the client left out
  std::string checks;                        // for the log and the ledger
  bool junk = false;                         // goes to Junk
  bool discarded = false;                    // by a filter: taken, and removed
  bool filters_know_data = false;            // that DATA was said
  std::string held;                          // by a filter, and why; empty: not held
  size_t stored_head = 0;                    // octets of the head in the spool, where forged fields are gone
  smtp::LineEndScanner scanner;              // of BDAT's and BURL's octets
};

}  // namespace postrider
