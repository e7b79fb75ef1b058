// Where mail for a domain goes: a configured route, the smart host, an address literal, or what DNS says (RFC
// 5321 5.1).
#pragma once

#include <asio.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config/route.h"
#include "common/http/http.h"
#include "common/mailauth/tls_policy.h"
#include "common/net/tls.h"
#include "mta/outcome.h"
#include "mta/relay_dns.h"
#include "mta/sts_policies.h"
#include "mta/transport.h"

namespace postrider {

constexpr size_t kMaxMxHosts = 10;         // that are looked up, those of the best preference first
constexpr size_t kMaxRelayAddresses = 16;  // of all hosts together, that are dialled
// Once some address is known, how long the other hosts' are waited for.
constexpr std::chrono::milliseconds kAddressGrace{500};

/// What a smart host wants to be told. Never logged.
struct RelayLogin {
  std::string user, password;
};

struct SmtpRoute final : Route {
  std::string domain;  // that it was found for; others may share its key
  config::RouteTarget::Protocol protocol = config::RouteTarget::Protocol::smtp;
  TlsLevel tls = TlsLevel::opportunistic;   // that the administrator asks for
  StsPolicies::Found sts;                   // the domain's MTA-STS policy, if it has one
  std::shared_ptr<const RelayLogin> login;  // null: none is needed
  std::vector<MxRecord> hosts;              // best first; names, or addresses as text
  uint16_t port = 25;
  std::string path;          // of a Unix socket, in place of hosts
  bool any_address = false;  // the administrator named the hosts, private addresses are meant
  bool secure = false;       // DNSSEC, or the administrator, vouches for the names of the hosts
};
using SmtpRoutePtr = std::shared_ptr<const SmtpRoute>;

struct RelayAddress {
  std::string host;  // for the log and for TLS
  asio::ip::tcp::endpoint endpoint;
  uint16_t preference = 0;
  std::shared_ptr<const TlsRequirement> tls;  // of the host; null: TLS if it is offered
  std::string tls_name;                       // what its certificate has to say, for SNI too
};

struct RelayAddresses {
  std::vector<RelayAddress> list;  // in the order in which they are tried; empty where failure is set
  std::optional<Outcome> failure;
  std::optional<TlsRequirement> forbidden;  // why a host was left out
};

struct RouterSettings {
  std::string hostname;                               // ours, to see mail that would come back to us
  std::vector<asio::ip::tcp::endpoint> ours;          // where we take mail ourselves
  std::map<std::string, config::RouteTarget> routes;  // by domain; "*" for all others
  std::map<std::string, RouteLimits> limits;          // by domain, or by mail host or a domain it lies in
  std::optional<config::RouteTarget> smart_host;
  config::TlsLevel smart_host_tls = config::TlsLevel::opportunistic;
  std::shared_ptr<const RelayLogin> smart_host_login;
  uint16_t port = 25;
  uint16_t https_port = 443;       // of MTA-STS policies and reports
  bool private_addresses = false;  // DNS is an internal network's: what it names may be dialled
  DnsSettings dns;
};

class Router {
 public:
  /// Throws std::runtime_error where DNS cannot be set up.
  Router(asio::io_context& loop, RouterSettings settings);
  /// For what is asked from now on. DNS stays as it was set up.
  void configure(RouterSettings settings);
  /// Domains' MTA-STS policies are looked up from now on; it outlives this.
  void use_policies(StsPolicies* policies) { policies_ = policies; }
  Resolver& resolver() { return resolver_; }

  /// domain: as A-label, or an address literal. Never throws.
  asio::awaitable<SmtpRoutePtr> find(std::string domain);
  /// The addresses of a route's hosts, in the order of the hosts; looked up side by side. Hosts that must not be used
  /// by their domain's TLS policy are left out.
  asio::awaitable<RelayAddresses> addresses(SmtpRoutePtr route, TlsNeed need = TlsNeed::as_policy);
  /// The text of a domain's MTA-STS policy (RFC 8461 3.3), from its web server, whose certificate must be good.
  asio::awaitable<FetchedPolicy> fetch_policy(std::string domain, std::shared_ptr<net::TlsClientContext> tls);
  /// Sends a report (RFC 8460 3: whatever the certificate, since it may be about that). The error says why not.
  asio::awaitable<Result<void>> post(std::string url, std::string type, std::string octets,
                                     std::shared_ptr<net::TlsClientContext> tls);

 private:
  struct Lookup;
  struct HttpsRequest {
    std::string host;
    uint16_t port = 0;
    std::string octets;
    bool verified = true;  // only where the certificate is good
  };
  using HttpsAnswer = tl::expected<http::Response, StsTrouble>;
  asio::awaitable<HttpsAnswer> exchange(HttpsRequest request, std::shared_ptr<net::TlsClientContext> tls);
  SmtpRoutePtr find_configured(const config::RouteTarget& target, bool smart_host, const std::string& domain) const;
  SmtpRoutePtr find_literal(const std::string& domain) const;
  asio::awaitable<SmtpRoutePtr> find_mx(std::string domain);
  void set_limits(SmtpRoute& route, const std::string& domain) const;
  const RouteLimits* limits_for(const std::string& name) const;
  asio::awaitable<void> look_up(std::shared_ptr<Lookup> lookup, size_t host);
  asio::awaitable<void> protect(std::shared_ptr<Lookup> lookup, size_t host, bool secure, std::string canonical);
  bool may_dial(const asio::ip::address& address, bool any_address) const;
  bool is_us(const RelayAddress& address) const;

  asio::io_context& loop_;
  RouterSettings settings_;
  Resolver resolver_;
  StsPolicies* policies_ = nullptr;
};

/// Sorts by preference, hosts of the same preference in random order; drops the hosts that come after us (RFC 5321 5.1:
/// mail would come back) and repetitions. random: any number.
std::vector<MxRecord> order_hosts(std::vector<MxRecord> records, const std::string& ourselves, uint64_t random);

/// The addresses of this machine at which a listener on this address and port is reached.
std::vector<asio::ip::tcp::endpoint> listening_endpoints(const std::string& address, uint16_t port);

}  // namespace postrider
