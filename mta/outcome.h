// What came of an attempt to deliver to one recipient, and what follows from it. Pure: the time is handed in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "store/queue.h"

namespace postrider {

struct Outcome {
  enum class Kind {
    delivered,    // in a mailbox here
    relayed,      // another server took it
    temporary,    // try again
    unreachable,  // temporary, and it says something of the destination: no other message will fare better
    permanent,    // never will
  };
  Kind kind = Kind::temporary;
  std::string status;            // RFC 3463: "4.2.2"
  std::string reply;             // "452 4.2.2 The mailbox is full": what was said, on one line
  std::string remote;            // host that said it: "mx.example.net [192.0.2.1]"; empty: this server
  std::string tls;               // how it was talked to: "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: without TLS
  store::MailboxId mailbox = 0;  // delivered: where it lies
  store::Uid uid = 0;            // 0: it was there already
  bool reports_itself = false;   // relayed to a host that took over NOTIFY (RFC 3461 5.2.1)
  bool attempted = true;         // false: waits for a destination that is known to be dead
  UnixTime not_before = 0;       // where something better than the schedule is known
  bool expires = true;           // false: this server has to be mended first; it is kept however long that takes

  bool is_success() const { return kind == Kind::delivered || kind == Kind::relayed; }
  static Outcome delivered() { return make(Kind::delivered, "2.0.0", "250 2.0.0 In the mailbox"); }
  static Outcome temporary(std::string status, std::string reply) {
    return make(Kind::temporary, std::move(status), std::move(reply));
  }
  static Outcome permanent(std::string status, std::string reply) {
    return make(Kind::permanent, std::move(status), std::move(reply));
  }

 private:
  static Outcome make(Kind kind, std::string status, std::string reply) {
    Outcome outcome;
    outcome.kind = kind;
    outcome.status = std::move(status);
    outcome.reply = std::move(reply);
    return outcome;
  }
};

struct Schedule {
  std::vector<Seconds> retry{
      Seconds(60)};  // after the first attempt, the second, ...; the last one repeats; never empty
  Seconds lifetime{5 * 86'400};
  Seconds delay_warning{4 * 3'600};  // 0: none
};

struct Decision {
  enum class Next { end, retry, bounce };
  Next next = Next::end;
  UnixTime at = 0;       // retry: when
  bool expired = false;  // bounce: it might have gone yet, but its time is over
  bool warn = false;     // retry: its sender is to be told now; an attempt is made when that is due
};

/// attempts and warned are read from recipient, as they were before this attempt. The last attempt is made when the
/// lifetime ends. random spreads retries over a tenth of their interval, so that what failed together does not come
/// back together; 0: no spread.
Decision decide(const Outcome& outcome, const store::QueuedMessage& message, const store::QueuedRecipient& recipient,
                const Schedule& schedule, UnixTime now, uint64_t random);

/// The wait after that many attempts.
Seconds retry_interval(const Schedule& schedule, int attempts);

}  // namespace postrider
