#include "mta/relay_route.h"

#include <fmt/format.h>
#include <ifaddrs.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/random.h"
#include "common/mail/address.h"
#include "mta/relay_lookup.h"

namespace postrider {
namespace {

using config::RouteTarget;

/// Under a key of the domain's own: what fails for one says nothing of others.
SmtpRoutePtr failed(const std::string& domain, Outcome outcome) {
  auto route = std::make_shared<SmtpRoute>();
  route->key = "?" + domain;
  route->failure = std::move(outcome);
  return route;
}

TlsLevel level_of(config::TlsLevel level) {
  switch (level) {
    case config::TlsLevel::opportunistic:
      return TlsLevel::opportunistic;
    case config::TlsLevel::encrypted:
      return TlsLevel::encrypted;
    case config::TlsLevel::verified:
      break;
  }
  return TlsLevel::verified;
}

bool lies_in(std::string_view name, std::string_view domain) {
  if (!name.ends_with(domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

}  // namespace

Outcome dns_failed(const std::string& name, const std::string& reason) {
  Outcome outcome = Outcome::temporary("4.4.3", fmt::format("DNS does not answer for {}: {}", name, reason));
  outcome.kind = Outcome::Kind::unreachable;
  return outcome;
}

Outcome comes_back() {
  return Outcome::permanent("5.4.6",
                            "By DNS this server itself is to take mail for that domain, but it does not know it");
}

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
  route->domain = domain;
  route->secure = true;
  if (target.path.empty()) route->hosts.push_back({0, target.host});
  route->tls = level_of(target.tls.value_or(config::TlsLevel::opportunistic));
  if (smart_host) {
    route->tls = level_of(settings_.smart_host_tls);
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
  route->key = route->domain = domain;
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
  route->domain = domain;
  route->secure = answer.secure;
  route->port = settings_.port;
  if (policies_ != nullptr) route->sts = co_await policies_->find(domain);
  const sts::Policy* policy = route->sts.policy.get();
  // Domains with the same hosts are one destination, whatever order chance gave them, unless they ask for other things.
  std::vector<std::string> names;
  for (const MxRecord& host : route->hosts) {
    std::string_view asked;
    if (policy != nullptr && policy->mode == sts::Mode::enforce)
      asked = sts::names_host(*policy, host.host) ? " verified" : " forbidden";
    names.push_back(fmt::format("{:05} {}{}", host.preference, host.host, asked));
  }
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

}  // namespace postrider
