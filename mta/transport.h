// Delivery to other servers, as the queue sees it and as a protocol has to provide it.
#pragma once

#include <asio.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mta/delivery_message.h"
#include "mta/outcome.h"

namespace postrider {

/// What the queue hands remote recipients to. It decides when and over which connection they go, and settles each of
/// them sooner or later.
class RemoteDelivery {
 public:
  virtual ~RemoteDelivery() = default;
  virtual void start() = 0;
  /// Ends what is under way at the next reply; whatever is not settled stays in the queue. Nothing is settled
  /// afterwards.
  virtual void stop() = 0;
  /// Recipients of a message that all live elsewhere. From any thread; never waits.
  virtual void push(std::vector<std::shared_ptr<MessageInHand>> messages) = 0;
};

/// How fast mail may go to one destination. 0: no limit of its own.
struct RouteLimits {
  size_t connections = 0;  // at a time
  uint64_t messages_per_connection = 0;
  uint64_t messages_per_minute = 0;
  bool operator==(const RouteLimits&) const = default;
};

/// Where the mail of a domain goes. What it holds beside this is the transport's.
class Route {
 public:
  virtual ~Route() = default;
  /// Domains of the same key are one destination: they share connections and pace, and one transaction may serve
  /// several.
  std::string key;
  RouteLimits limits;
  std::optional<Outcome> failure;  // there is no way: what becomes of the recipients
};
using RoutePtr = std::shared_ptr<const Route>;

/// A way to one destination that is kept from message to message. Belongs to one coroutine.
class Link {
 public:
  virtual ~Link() = default;
  /// Tries these recipients (indices into the message's), connecting first where there is no connection. route: as
  /// found last; its key is the same each time. One outcome for each recipient, in order. Never throws.
  virtual asio::awaitable<std::vector<Outcome>> attempt(RoutePtr route, const store::QueuedMessage& message,
                                                        std::span<const size_t> recipients) = 0;
  /// Whether there is a connection that the next message can use.
  virtual bool is_open() const = 0;
  /// Says goodbye and closes; never waits long.
  virtual asio::awaitable<void> close() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// The domain that decides where a recipient's mail goes, as A-label. Empty for an address that names none.
  virtual std::string domain(const store::QueuedRecipient& recipient) const = 0;
  /// Never null; where there is no way, the route says so (failure), under a key of that domain alone. Never throws.
  virtual asio::awaitable<RoutePtr> find(std::string domain) = 0;
  virtual std::unique_ptr<Link> link() = 0;
};

}  // namespace postrider
