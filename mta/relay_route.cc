#include "mta/relay_route.h"

#include <fmt/format.h>
#include <ifaddrs.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/address.h"

namespace postrider {
namespace {

using config::RouteTarget;

Outcome outcome_of(Outcome::Kind kind, std::string status, std::string text) {
  Outcome outcome = kind == Outcome::Kind::permanent ? Outcome::permanent(std::move(status), std::move(text))
                                                     : Outcome::temporary(std::move(status), std::move(text));
  outcome.kind = kind;
  return outcome;
}

/// Under a key of the domain's own: what fails for one says nothing of others.
SmtpRoutePtr failed(const std::string& domain, Outcome outcome) {
  auto route = std::make_shared<SmtpRoute>();
  route->key = "?" + domain;
  route->failure = std::move(outcome);
  return route;
}

Outcome dns_failed(const std::string& name, const std::string& reason) {
  return outcome_of(Outcome::Kind::unreachable, "4.4.3", fmt::format("DNS does not answer for {}: {}", name, reason));
}

Outcome comes_back() {
  return outcome_of(Outcome::Kind::permanent, "5.4.6",
                    "By DNS this server itself is to take mail for that domain, but it does not know it");
}

bool is_private(const asio::ip::address& address) {
  if (address.is_v6()) {
    auto bytes = address.to_v6().to_bytes();
    return address.to_v6().is_v4_mapped() || address.to_v6().is_link_local() || (bytes[0] & 0xfe) == 0xfc;
  }
  uint32_t value = address.to_v4().to_uint();
  auto in = [value](uint32_t network, int bits) { return value >> (32 - bits) == network >> (32 - bits); };
  return in(0x0a000000, 8) || in(0xac100000, 12) || in(0xc0a80000, 16) || in(0x64400000, 10) || in(0, 8) ||
         in(0xa9fe0000, 16);
}

bool lies_in(std::string_view name, std::string_view domain) {
  if (!name.ends_with(domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

}  // namespace

std::vector<MxRecord> order_hosts(std::vector<MxRecord> records, const std::string& ourselves, uint64_t random) {
  for (size_t i = records.size(); i > 1; --i) {
    // No secret (Knuth's MMIX): it is enough that not everybody takes the same host.
    random = random * 6364136223846793005 + 1442695040888963407;
    std::swap(records[i - 1], records[(random >> 33) % i]);
  }
  std::stable_sort(records.begin(), records.end(),
                   [](const MxRecord& a, const MxRecord& b) { return a.preference < b.preference; });
  auto us =
      std::find_if(records.begin(), records.end(), [&](const MxRecord& record) { return record.host == ourselves; });
  uint32_t below = us == records.end() ? UINT32_MAX : us->preference;
  std::vector<MxRecord> hosts;
  for (MxRecord& record : records) {
    if (record.preference >= below || record.host.empty()) continue;
    auto same = [&](const MxRecord& host) { return host.host == record.host; };
    if (std::find_if(hosts.begin(), hosts.end(), same) == hosts.end()) hosts.push_back(std::move(record));
  }
  return hosts;
}

std::vector<asio::ip::tcp::endpoint> listening_endpoints(const std::string& address, uint16_t port) {
  std::vector<asio::ip::tcp::endpoint> endpoints;
  std::error_code error;
  auto own = asio::ip::make_address(address, error);
  if (port == 0 || error) return endpoints;
  if (!own.is_unspecified()) return {{own, port}};
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return endpoints;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    asio::ip::tcp::endpoint endpoint;
    int family = entry->ifa_addr->sa_family;
    size_t size = family == AF_INET ? sizeof(sockaddr_in) : family == AF_INET6 ? sizeof(sockaddr_in6) : 0;
    if (size == 0) continue;
    std::memcpy(endpoint.data(), entry->ifa_addr, size);
    endpoint.port(port);
    endpoints.push_back(endpoint);
  }
  ::freeifaddrs(list);
  return endpoints;
}

Router::Router(asio::io_context& loop, RouterSettings settings)
    : loop_(loop), settings_(std::move(settings)), resolver_(loop, settings_.dns) {
  settings_.hostname = lower(settings_.hostname);
}

void Router::configure(RouterSettings settings) {
  settings_ = std::move(settings);
  settings_.hostname = lower(settings_.hostname);
}

asio::awaitable<SmtpRoutePtr> Router::find(std::string domain) {
  auto target = settings_.routes.find(domain);
  if (target == settings_.routes.end()) target = settings_.routes.find("*");
  if (target != settings_.routes.end()) co_return find_configured(target->second, false, domain);
  if (settings_.smart_host) co_return find_configured(*settings_.smart_host, true, domain);
  if (domain.starts_with('[')) co_return find_literal(domain);
  co_return co_await find_mx(std::move(domain));
}

SmtpRoutePtr Router::find_configured(const RouteTarget& target, bool smart_host, const std::string& domain) const {
  auto route = std::make_shared<SmtpRoute>();
  route->protocol = target.protocol;
  route->port = target.port;
  route->path = target.path;
  route->any_address = true;
  if (target.path.empty()) route->hosts.push_back({0, target.host});
  if (smart_host) {
    route->tls = settings_.smart_host_tls;
    route->login = settings_.smart_host_login;
  }
  // A connection that knows who we are, or is protected, is not that of others.
  route->key =
      fmt::format("{}|{}|{}", to_string(target), to_string(route->tls), route->login ? route->login->user : "");
  set_limits(*route, domain);
  return route;
}

SmtpRoutePtr Router::find_literal(const std::string& domain) const {
  auto ip = address_literal_ip(domain);
  std::error_code error;
  asio::ip::make_address(ip.value_or(""), error);
  if (error) return failed(domain, Outcome::permanent("5.1.2", "The address literal is none"));
  auto route = std::make_shared<SmtpRoute>();
  route->key = domain;
  route->port = settings_.port;
  route->hosts.push_back({0, *ip});
  set_limits(*route, domain);
  return route;
}

asio::awaitable<SmtpRoutePtr> Router::find_mx(std::string domain) {
  DnsAnswer answer = co_await resolver_.ask(domain, DnsType::mx);
  if (answer.status == DnsAnswer::Status::failed) co_return failed(domain, dns_failed(domain, answer.reason));
  if (answer.status == DnsAnswer::Status::no_domain) {
    co_return failed(domain, Outcome::permanent("5.1.2", fmt::format("There is no domain {}", domain)));
  }
  auto route = std::make_shared<SmtpRoute>();
  route->hosts.push_back({0, domain});  // without MX: the domain itself (RFC 5321 5.1)
  if (answer.status == DnsAnswer::Status::found) {
    std::vector<MxRecord> records;
    for (const std::string& rdata : answer.records) {
      if (auto record = parse_mx(rdata)) records.push_back(std::move(*record));
    }
    if (records.size() == 1 && records[0].host.empty()) {
      co_return failed(domain, Outcome::permanent("5.1.10", fmt::format("{} says that it takes no mail", domain)));
    }
    bool named =
        std::any_of(records.begin(), records.end(), [](const MxRecord& record) { return !record.host.empty(); });
    if (!named) {
      co_return failed(domain, Outcome::permanent("5.4.4", fmt::format("The MX records of {} name no host", domain)));
    }
    route->hosts = order_hosts(std::move(records), settings_.hostname, random_u64());
  }
  if (route->hosts.empty() || route->hosts[0].host == settings_.hostname) co_return failed(domain, comes_back());
  if (route->hosts.size() > kMaxMxHosts) route->hosts.resize(kMaxMxHosts);
  route->secure = answer.secure;
  route->port = settings_.port;
  // Domains with the same hosts are one destination, whatever order chance gave them.
  std::vector<std::string> names;
  for (const MxRecord& host : route->hosts) names.push_back(fmt::format("{:05} {}", host.preference, host.host));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) route->key += name + ',';
  set_limits(*route, domain);
  co_return route;
}

const RouteLimits* Router::limits_for(const std::string& name) const {
  const RouteLimits* best = nullptr;
  size_t longest = 0;
  for (const auto& [domain, limits] : settings_.limits) {
    if (!lies_in(name, domain) || domain.size() < longest) continue;
    best = &limits;
    longest = domain.size();
  }
  return best;
}

/// Limits that are set for the domain make it a destination of its own; those of its mail hosts it shares with others.
void Router::set_limits(SmtpRoute& route, const std::string& domain) const {
  auto own = settings_.limits.find(domain);
  if (own != settings_.limits.end()) {
    route.limits = own->second;
    bool is_host = route.hosts.size() == 1 && route.hosts[0].host == domain;
    if (!is_host) route.key += "for " + domain;
    return;
  }
  for (const MxRecord& host : route.hosts) {
    if (const RouteLimits* limits = limits_for(host.host)) {
      route.limits = *limits;
      return;
    }
  }
}

// --- addresses

/// The addresses of several hosts, looked up side by side.
struct Router::Lookup {
  Lookup(asio::io_context& loop, SmtpRoutePtr of) : route(std::move(of)), found(route->hosts.size()), wake(loop) {}
  SmtpRoutePtr route;
  std::vector<std::vector<RelayAddress>> found;  // by host
  size_t running = 0;
  bool refused = false;                // some address may not be dialled
  std::optional<std::string> trouble;  // why DNS failed for some host
  asio::steady_timer wake;             // cancelled at each answer
};

asio::awaitable<void> Router::look_up(std::shared_ptr<Lookup> lookup, size_t host) {
  const SmtpRoute& route = *lookup->route;
  const MxRecord& record = route.hosts[host];
  auto add = [&](const asio::ip::address& address, bool secure) {
    if (!may_dial(address, route.any_address)) {
      lookup->refused = true;
      return;
    }
    lookup->found[host].push_back({record.host, {address, route.port}, record.preference, secure});
  };
  std::error_code error;
  auto address = asio::ip::make_address(record.host, error);
  if (!error) add(address, false);
  for (DnsType type : {DnsType::aaaa, DnsType::a}) {
    if (!error) break;
    DnsAnswer answer = co_await resolver_.ask(record.host, type);
    if (answer.status == DnsAnswer::Status::failed) lookup->trouble = answer.reason;
    for (const std::string& rdata : answer.records) {
      if (auto one = parse_address_record(rdata)) add(*one, answer.secure);
    }
  }
}

asio::awaitable<RelayAddresses> Router::addresses(SmtpRoutePtr route) {
  auto lookup = std::make_shared<Lookup>(loop_, route);
  auto any = [&] {
    return std::any_of(lookup->found.begin(), lookup->found.end(), [](const auto& list) { return !list.empty(); });
  };
  for (size_t host = 0; host < route->hosts.size(); ++host) {
    ++lookup->running;
    asio::co_spawn(loop_, look_up(lookup, host), [lookup](const std::exception_ptr& error) {
      if (error) log_error("relay_lookup_failed", {});
      --lookup->running;
      lookup->wake.cancel();
    });
  }
  std::optional<std::chrono::steady_clock::time_point> until;
  while (lookup->running > 0) {
    if (any() && !until) until = std::chrono::steady_clock::now() + kAddressGrace;
    if (until && std::chrono::steady_clock::now() >= *until) break;
    lookup->wake.expires_at(until.value_or(std::chrono::steady_clock::time_point::max()));
    std::error_code ignored;
    co_await lookup->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  // Hosts that are not better than an address of ours would bring the mail back (RFC 5321 5.1).
  uint32_t below = UINT32_MAX;
  for (const auto& list : lookup->found) {
    for (const RelayAddress& address : list) {
      if (!route->any_address && is_us(address)) below = std::min<uint32_t>(below, address.preference);
    }
  }
  RelayAddresses addresses;
  for (const auto& list : lookup->found) {
    for (const RelayAddress& address : list) {
      bool wanted = address.preference < below && addresses.list.size() < kMaxRelayAddresses;
      if (wanted) addresses.list.push_back(address);
    }
  }
  if (!addresses.list.empty()) co_return addresses;
  std::string names;
  for (const MxRecord& host : route->hosts) names += (names.empty() ? "" : ", ") + host.host;
  if (below != UINT32_MAX) {
    addresses.failure = comes_back();
  } else if (lookup->trouble) {
    addresses.failure = dns_failed(names, *lookup->trouble);
  } else if (route->any_address) {
    addresses.failure = dns_failed(names, "it has no address");  // the administrator's mistake, not the sender's
  } else {
    addresses.failure = Outcome::permanent(
        "5.4.4",
        fmt::format("{} {}", names,
                    lookup->refused ? "has no address on the Internet, only internal ones" : "has no address"));
  }
  co_return addresses;
}

bool Router::is_us(const RelayAddress& address) const {
  return std::find(settings_.ours.begin(), settings_.ours.end(), address.endpoint) != settings_.ours.end();
}

/// Strangers' DNS must not send us to ourselves or into the local network. Who runs an internal network names a route,
/// or its own name server.
bool Router::may_dial(const asio::ip::address& address, bool any_address) const {
  if (address.is_unspecified() || address.is_multicast()) return false;
  if (any_address || settings_.private_addresses) return true;
  return !address.is_loopback() && !is_private(address);
}

}  // namespace postrider
