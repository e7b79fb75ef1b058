// Delivery to other servers, as the queue sees it and as a protocol (SMTP now, LMTP later) has to provide it.
#pragma once

#include <asio.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mta/delivery_message.h"
#include "mta/outcome.h"

namespace postrider {

/// What the queue hands remote recipients to. It decides when and over which connection they go, and settles each of them
/// sooner or later.
class RemoteDelivery {
 public:
  virtual ~RemoteDelivery() = default;
  virtual void start() = 0;
  /// Ends what is under way at the next reply; whatever is not settled stays in the queue. Nothing is settled afterwards.
  virtual void stop() = 0;
  /// Recipients of a message that all live elsewhere. From any thread; never waits.
  virtual void push(std::vector<std::shared_ptr<MessageInHand>> messages) = 0;
};

/// A way to one destination that is kept from message to message. Belongs to one coroutine.
class Link {
 public:
  virtual ~Link() = default;
  /// Tries these recipients (indices into the message's) in one transaction, connecting first where there is no connection.
  /// One outcome for each, in order. Never throws.
  virtual asio::awaitable<std::vector<Outcome>> attempt(const store::QueuedMessage& message,
                                                        std::span<const size_t> recipients) = 0;
  /// Whether there is a connection that the next message can use.
  virtual bool is_open() const = 0;
  /// Says goodbye and closes; never waits long.
  virtual asio::awaitable<void> close() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// What decides which recipients share a connection: for SMTP the domain, as A-label. Empty for an address that names none.
  virtual std::string destination(const store::QueuedRecipient& recipient) const = 0;
  virtual std::unique_ptr<Link> link(const std::string& destination) = 0;
};

}  // namespace postrider
