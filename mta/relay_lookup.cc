// Router: the addresses of a route's hosts, and how each of them has to be talked to.
#include "mta/relay_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "mta/relay_route.h"

namespace postrider {
namespace {

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

/// What a message asks for and nobody can give is told at once; what looks like an attack may be over later.
Outcome forbidden(const TlsRequirement& requirement) {
  if (requirement.authority == TlsAuthority::message) return Outcome::permanent("5.7.10", requirement.reason);
  Outcome outcome = Outcome::temporary("4.7.5", requirement.reason);
  outcome.kind = Outcome::Kind::unreachable;
  return outcome;
}

}  // namespace

/// The addresses of several hosts, looked up side by side.
struct Router::Lookup {
  Lookup(asio::io_context& loop, SmtpRoutePtr of, TlsNeed message_need)
      : route(std::move(of)), need(message_need), found(route->hosts.size()), wake(loop) {}
  SmtpRoutePtr route;
  const TlsNeed need;
  std::vector<std::vector<RelayAddress>> found;  // by host
  size_t running = 0;
  std::optional<TlsRequirement> forbidden;  // why some host must not be used
  bool refused = false;                     // some address may not be dialled
  std::optional<std::string> trouble;       // why DNS failed for some host
  asio::steady_timer wake;                  // cancelled at each answer
};

asio::awaitable<void> Router::look_up(std::shared_ptr<Lookup> lookup, size_t host) {
  const SmtpRoute& route = *lookup->route;
  const MxRecord& record = route.hosts[host];
  std::vector<RelayAddress> found;
  auto add = [&](const asio::ip::address& address) {
    if (!may_dial(address, route.any_address)) {
      lookup->refused = true;
      return;
    }
    found.push_back({record.host, {address, route.port}, record.preference, nullptr, record.host});
  };
  std::error_code error;
  auto address = asio::ip::make_address(record.host, error);
  if (!error) add(address);
  bool secure = bool(error);  // DNSSEC vouches for all of them
  std::string canonical;
  for (DnsType type : {DnsType::aaaa, DnsType::a}) {
    if (!error) break;
    DnsAnswer answer = co_await resolver_.ask(record.host, type);
    if (answer.status == DnsAnswer::Status::failed) lookup->trouble = answer.reason;
    for (const std::string& rdata : answer.records) {
      if (auto one = parse_address_record(rdata)) add(*one);
    }
    if (answer.status != DnsAnswer::Status::found) continue;
    secure = secure && answer.secure;
    canonical = answer.canonical;
  }
  if (found.empty()) co_return;
  lookup->found[host] = std::move(found);
  co_await protect(lookup, host, secure, std::move(canonical));
}

/// Finds out how the host has to be talked to; takes its addresses away where it must not be.
asio::awaitable<void> Router::protect(std::shared_ptr<Lookup> lookup, size_t host, bool secure, std::string canonical) {
  const SmtpRoute& route = *lookup->route;
  std::vector<RelayAddress> found = std::exchange(lookup->found[host], {});
  TlsFacts facts{route.hosts[host].host, route.secure, nullptr, route.sts.policy.get(), route.tls, lookup->need};
  // Under which name the records may be (RFC 7672 2.1.3, 2.2.2): where the aliases lead to, or the alias itself.
  std::vector<std::string> names;
  if (canonical == facts.host) canonical.clear();
  if (route.secure && lookup->need != TlsNeed::waived) {
    if (secure && !canonical.empty()) names.push_back(canonical);
    if (!secure && !canonical.empty()) secure = (co_await resolver_.ask(facts.host, DnsType::cname)).secure;
    if (secure) names.push_back(facts.host);
  }
  DnsAnswer answer;
  std::string name = facts.host;
  for (const std::string& candidate : names) {
    answer = co_await resolver_.ask(tlsa_name(candidate, route.port), DnsType::tlsa);
    facts.tlsa = &answer;
    name = candidate;
    if (answer.status == DnsAnswer::Status::failed || (answer.secure && !answer.records.empty())) break;
  }
  auto requirement = std::make_shared<const TlsRequirement>(decide_tls(facts));
  if (requirement->level == TlsLevel::impossible) {
    lookup->forbidden = *requirement;
    co_return;
  }
  for (RelayAddress& one : found) {
    one.tls = requirement;
    one.tls_name = requirement->level == TlsLevel::dane ? name : facts.host;
  }
  lookup->found[host] = std::move(found);
}

asio::awaitable<RelayAddresses> Router::addresses(SmtpRoutePtr route, TlsNeed need) {
  auto lookup = std::make_shared<Lookup>(loop_, route, need);
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
  addresses.forbidden = lookup->forbidden;
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
  } else if (lookup->forbidden) {
    addresses.failure = forbidden(*lookup->forbidden);
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
