#include "mta/relay.h"

#include "common/mail/address.h"
#include "mta/queue_runner.h"
#include "mta/relay_client.h"
#include "mta/relay_route.h"

namespace postrider {
namespace {

class SmtpTransport final : public Transport {
 public:
  SmtpTransport(asio::io_context& loop, RouterSettings router, RelaySettings settings)
      : router_(loop, std::move(router)), settings_(std::move(settings)), tls_(net::TlsClientContext::make()) {}

  std::string destination(const store::QueuedRecipient& recipient) const override {
    std::string domain = store::destination_of(recipient.address);
    auto normalized = normalize_domain(domain);
    return normalized ? *normalized : std::string();
  }
  std::unique_ptr<Link> link(const std::string& destination) override {
    return std::make_unique<SmtpLink>(destination, router_, settings_, tls_);
  }

 private:
  Router router_;
  RelaySettings settings_;
  std::shared_ptr<net::TlsClientContext> tls_;
};

}  // namespace

std::unique_ptr<RemoteDelivery> make_relay(const Config& config, QueueRunner& runner, const Clock& clock) {
  RouterSettings router;
  router.hostname = config.server.hostname;
  router.routes = config.routes;
  router.port = config.relay.port;
  router.dns_server = config.dns.server;
  RelaySettings settings;
  settings.hostname = config.server.hostname;
  settings.connect_timeout = config.relay.connect_timeout;
  settings.command_timeout = config.relay.command_timeout;
  settings.max_messages_per_connection = config.relay.max_messages_per_connection;
  RelayLimits limits;
  limits.connections = config.relay.max_connections;
  limits.connections_per_destination = config.relay.max_connections_per_destination;
  limits.idle_timeout = config.relay.idle_timeout;
  auto make_transport = [&](asio::io_context& loop) -> std::unique_ptr<Transport> {
    return std::make_unique<SmtpTransport>(loop, std::move(router), std::move(settings));
  };
  return std::make_unique<RelayQueue>(
      make_transport, limits, runner.settler(), clock, [&runner](Settlement settlement) { runner.settled(std::move(settlement)); },
      [&runner](std::string destination) { runner.release(std::move(destination)); });
}

}  // namespace postrider
