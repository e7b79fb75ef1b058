#include "mta/relay.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/base/ascii.h"
#include "common/mail/address.h"
#include "mta/queue_runner.h"
#include "mta/relay_client.h"
#include "mta/relay_route.h"
#include "mta/tls_reporter.h"

namespace postrider {
namespace {

constexpr size_t kMaxPasswordFile = 4'096;

/// The first line of a file.
Result<std::string> read_password(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) {
    return failure(
        fmt::format("relay.smart_host_password_file: {} cannot be opened ({}). Put the password there, readable for "
                    "the user of mta.",
                    path, std::strerror(errno)));
  }
  std::string text(kMaxPasswordFile, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  if (text.empty())
    return failure(fmt::format("relay.smart_host_password_file: {} holds no password in its first line.", path));
  return text;
}

/// Domains are compared in the spelling that find() is asked with.
std::string normalized(const std::string& domain) {
  auto name = normalize_domain(domain);
  return name ? *name : lower(domain);
}

Result<void> set_smart_host(const Config::Relay& relay, RouterSettings& router) {
  if (relay.smart_host.empty()) return {};
  auto target = config::parse_route(relay.smart_host);
  if (!target) return failure("relay.smart_host: " + target.error().message);
  router.smart_host = *target;
  // Whoever listens in, or claims to be the smart host, must not get the password.
  router.smart_host_tls = relay.smart_host_user.empty() ? config::TlsLevel::opportunistic : config::TlsLevel::verified;
  if (!relay.smart_host_tls.empty()) {
    auto level = config::parse_tls_level(relay.smart_host_tls);
    if (!level) return failure("relay.smart_host_tls " + level.error().message);
    router.smart_host_tls = *level;
  }
  if (relay.smart_host_user.empty()) return {};
  auto password = read_password(relay.smart_host_password_file);
  if (!password) return tl::unexpected(password.error());
  RelayLogin login{relay.smart_host_user, std::move(*password)};
  router.smart_host_login = std::make_shared<const RelayLogin>(std::move(login));
  return {};
}

}  // namespace

Result<RouterSettings> router_settings(const Config& config) {
  RouterSettings router;
  router.hostname = config.server.hostname;
  router.ours = listening_endpoints(config.smtp.address, config.smtp.port);
  router.port = config.relay.port;
  router.https_port = config.relay.https_port;
  router.dns = dns_settings(config.dns.server, config.dns.trust_anchor);
  router.private_addresses = !config.dns.server.empty();
  for (const auto& [domain, text] : config.routes) {
    auto target = config::parse_route(text);
    if (!target) return failure(fmt::format("routes, {}: {}", domain, target.error().message));
    router.routes[domain == "*" ? domain : normalized(domain)] = *target;
  }
  for (const auto& [domain, text] : config.limits) {
    auto limits = config::parse_limits(text);
    if (!limits) return failure(fmt::format("limits, {}: {}", domain, limits.error().message));
    router.limits[normalized(domain)] = {limits->connections, limits->messages_per_connection,
                                         limits->messages_per_minute};
  }
  if (auto done = set_smart_host(config.relay, router); !done) return tl::unexpected(done.error());
  return router;
}

struct Relay::Setup {
  RouterSettings router;
  RelaySettings links;
  RelayLimits limits;
};

Result<Relay::Setup> Relay::setup_of(const Config& config) {
  Setup setup;
  auto router = router_settings(config);
  if (!router) return tl::unexpected(router.error());
  setup.router = std::move(*router);
  setup.links.hostname = config.server.hostname;
  setup.links.spool_directory = config.in_state("spool");
  setup.links.connect_timeout = config.relay.connect_timeout;
  setup.links.command_timeout = config.relay.command_timeout;
  setup.links.max_messages_per_connection = config.relay.max_messages_per_connection;
  setup.limits.connections = config.relay.max_connections;
  setup.limits.connections_per_destination = config.relay.max_connections_per_destination;
  setup.limits.idle_timeout = config.relay.idle_timeout;
  return setup;
}

class Relay::SmtpTransport final : public Transport {
 public:
  SmtpTransport(asio::io_context& loop, net::WorkerPool& workers, Setup setup, TlsReporter& reporter,
                Forwarding& forwarding, const Clock& clock)
      : router_(loop, std::move(setup.router)),
        settings_(std::move(setup.links)),
        parts_{router_, settings_, workers, net::TlsClientContext::make(), &reporter, &forwarding},
        policies_(
            reporter.records(), workers, clock,
            [this](std::string name, DnsType type) { return router_.resolver().ask(std::move(name), type); },
            [this](std::string of) { return router_.fetch_policy(std::move(of), parts_.tls); }) {
    router_.use_policies(&policies_);
  }

  void configure(const Setup& setup) {
    router_.configure(setup.router);
    settings_ = setup.links;
  }
  std::string domain(const store::QueuedRecipient& recipient) const override {
    auto name = normalize_domain(store::destination_of(recipient.address));
    return name ? *name : std::string();
  }
  asio::awaitable<RoutePtr> find(std::string domain) override { co_return co_await router_.find(std::move(domain)); }
  std::unique_ptr<Link> link() override { return std::make_unique<SmtpLink>(parts_); }

 private:
  Router router_;
  RelaySettings settings_;
  RelayParts parts_;
  StsPolicies policies_;
};

Relay::Relay(Setup setup, QueueRunner& runner, TlsReporter& reporter, Forwarding& forwarding, const Clock& clock)
    : queue_(
          [&](asio::io_context& loop, net::WorkerPool& workers) -> std::unique_ptr<Transport> {
            return std::make_unique<SmtpTransport>(loop, workers, setup, reporter, forwarding, clock);
          },
          setup.limits, runner.settler(), clock,
          [&runner](Settlement settlement) { runner.settled(std::move(settlement)); },
          [&runner](std::string domain) { runner.release(std::move(domain)); }) {}

Result<std::unique_ptr<Relay>> Relay::make(const Config& config, QueueRunner& runner, TlsReporter& reporter,
                                           Forwarding& forwarding, const Clock& clock) {
  auto setup = setup_of(config);
  if (!setup) return tl::unexpected(setup.error());
  return std::unique_ptr<Relay>(new Relay(std::move(*setup), runner, reporter, forwarding, clock));
}

Result<void> Relay::configure(const Config& config) {
  auto setup = setup_of(config);
  if (!setup) return tl::unexpected(setup.error());
  RelayLimits limits = setup->limits;
  queue_.configure(limits, [setup = std::move(*setup)](Transport& transport) {
    static_cast<SmtpTransport&>(transport).configure(setup);
  });
  return {};
}

}  // namespace postrider
