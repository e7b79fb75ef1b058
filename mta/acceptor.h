// How an SMTP session hands over a message: the one place where responsibility passes (RFC 5321 4.2.5).
#pragma once

#include <asio.hpp>
#include <string>

#include "common/base/result.h"
#include "store/queue.h"

namespace postrider {

/// Why a message was not taken; nothing of it is kept.
struct NotAccepted {
  enum class Reason {
    disk_full,      // 452 4.3.1
    failed,         // 451 4.3.0
    shutting_down,  // 421 4.3.2
  };
  Reason reason = Reason::failed;
  std::string detail;  // for the log, not for the peer
};

/// Only what was flushed gives a Flushed: no 250 without one.
using Acceptance = tl::expected<store::Flushed, NotAccepted>;

class Acceptor {
 public:
  virtual ~Acceptor() = default;

  /// The id that the message will have, for its Received field and for log lines. From any thread.
  virtual store::QueueId next_id() = 0;
  /// Where the session's store::Spool makes its file.
  virtual const std::string& spool_directory() const = 0;
  /// Commits and flushes the message, together with what other sessions hand in meanwhile, and comes back on the
  /// caller's executor. The caller waits, and that is the back-pressure: a session has at most one message under way.
  /// message has an id, at least one recipient, numbers from 1 on, and a body that was synced; accepted is the time of
  /// the call.
  virtual asio::awaitable<Acceptance> accept(store::QueuedMessage message) = 0;
};

}  // namespace postrider
