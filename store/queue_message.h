// What waits in the queue, and what became of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/tls_policy.h"
#include "store/message_source.h"
#include "store/types.h"

namespace postrider::store {

/// RFC 3461 NOTIFY, as bits; 0 is "not given".
enum Notify : uint8_t {
  kNotifyDefault = 0,
  kNotifyNever = 1,
  kNotifySuccess = 2,
  kNotifyFailure = 4,
  kNotifyDelay = 8
};

/// QueuedRecipient::next_attempt of a recipient that the caller goes on with at once: due() does not give it.
constexpr UnixTime kInHand = -1;

/// No report about a report: what became of one goes to the postmaster, and what became of that to the log.
enum class MailKind : uint8_t { mail = 0, report = 1, double_bounce = 2 };

/// Why a recipient is not tried although its time has come.
enum class Hold : uint8_t {
  none = 0,
  administrator = 1,
  crashes = 2,  // kCrashesToHold processes ended while they were at it
};

/// What the administrator wants of a recipient at the next opportunity.
enum class Wish : uint8_t {
  none = 0,
  attempt = 1,  // even where its destination is thought to be dead
  remove = 2,   // told to nobody
  bounce = 3,   // goes back to its sender; last_reply says why
};

struct QueuedRecipient {
  int64_t number = 0;     // within the message, from 1
  AccountId account = 0;  // 0: another server's
  std::string address;    // where it goes
  std::string original;   // the forward-path that was given at RCPT, for Delivered-To and reports
  std::string orcpt;      // RFC 3461 ORCPT, as given ("rfc822;..."), or empty
  uint8_t notify = kNotifyDefault;
  int32_t attempts = 0;
  int32_t crashes = 0;  // processes that ended while they were at it, since the last answer
  bool warned = false;  // its sender was told that it is delayed
  Hold hold = Hold::none;
  Wish wish = Wish::none;
  UnixTime next_attempt = 0;  // or kInHand
  std::string last_reply;     // what was said last, for people
};

struct QueuedMessage {
  QueueId id = 0;
  std::string reverse_path;      // empty: the null reverse-path
  std::string authenticated_as;  // account address, or empty
  std::string client;            // "name [address]" for traces
  std::string envid;             // RFC 3461, decoded; empty: none
  std::string ret;               // "FULL", "HDRS" or empty
  std::string message_id;        // of its header, for the ledger alone: load() leaves it empty
  std::string drop;              // the name under which the sendmail command left it: taken once; for commit() alone
  bool eight_bit = false;        // BODY=8BITMIME or BINARYMIME
  bool binary = false;
  bool smtputf8 = false;
  TlsNeed tls = TlsNeed::as_policy;  // what it wants of every server on its way
  bool junk = false;                 // goes to the mailbox for it where it stays here
  MailKind kind = MailKind::mail;
  std::string checks;  // what was found out about it, in short, for the ledger alone
  UnixTime accepted = 0;
  std::vector<QueuedRecipient> recipients;
  std::vector<QueuedRecipient>
      expanded;  // aliases that became several of these, whose sender wants to hear of it; not kept
  std::shared_ptr<const Spool> body;  // trace fields that every recipient gets (Received) included
};

/// How a recipient ended.
enum class Ending : uint8_t {
  mailbox = 1,  // it lies in a mailbox here
  relayed = 2,  // another server has it
  failed = 3,   // returned to its sender, as far as that one wants to hear of it
  removed = 4,  // by the administrator
};

/// What became of one recipient.
struct RecipientUpdate {
  QueueId message = 0;
  int64_t number = 0;
  bool ended = false;         // remove the row
  UnixTime next_attempt = 0;  // otherwise: when to try again, and what was said
  std::string last_reply;
  bool attempted = true;  // counts as an attempt; not where its destination was known to be dead
  bool warned = false;    // from now on its sender knows that it is delayed
  bool wished = false;    // it was to be removed or to bounce, and that failed: it waits for its time like others

  // For the ledger.
  UnixTime time = 0;  // when it ended, or was attempted
  Ending ending = Ending::mailbox;
  MailboxId mailbox = 0;  // where it lies; UID 0 where an earlier process put it there
  Uid uid = 0;
  std::string remote;  // who said it: "mx.example.net [192.0.2.1]"; empty: this server
  std::string tls;     // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none
  QueueId report = 0;  // that tells its sender; 0: none
};

}  // namespace postrider::store
