// Delivery to other servers, by SMTP and LMTP, as the configuration says.
#pragma once

#include <memory>

#include "common/base/result.h"
#include "common/config/config.h"
#include "mta/relay_queue.h"
#include "mta/relay_route.h"

namespace postrider {

/// What the configuration says of where mail goes. The error is a sentence: a file that cannot be read.
Result<RouterSettings> router_settings(const Config& config);

class Forwarding;
class QueueRunner;
class TlsReporter;

class Relay final : public RemoteDelivery {
 public:
  /// What QueueRunner::set_remote() takes. Whom it is given must outlive it. The error is a sentence: a file
  /// of the configuration cannot be read. Throws std::runtime_error where DNS cannot be set up.
  static Result<std::unique_ptr<Relay>> make(const Config& config, QueueRunner& runner, TlsReporter& reporter,
                                             Forwarding& forwarding, const Clock& clock);

  /// Other routes, limits and timeouts, for what is tried from now on; DNS stays as it is. From any thread. The error
  /// as above.
  Result<void> configure(const Config& config);

  void start() override { queue_.start(); }
  void stop() override { queue_.stop(); }
  void push(std::vector<std::shared_ptr<MessageInHand>> messages) override { queue_.push(std::move(messages)); }

 private:
  struct Setup;
  class SmtpTransport;
  static Result<Setup> setup_of(const Config& config);
  Relay(Setup setup, QueueRunner& runner, TlsReporter& reporter, Forwarding& forwarding, const Clock& clock);

  RelayQueue queue_;
};

}  // namespace postrider
