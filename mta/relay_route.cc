#include "mta/relay_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "common/base/ascii.h"
#include "common/base/random.h"
#include "common/config/values.h"
#include "common/mail/address.h"

namespace postrider {
namespace {

Route failed(Outcome::Kind kind, std::string status, std::string text) {
  Outcome outcome = kind == Outcome::Kind::permanent ? Outcome::permanent(std::move(status), std::move(text))
                                                     : Outcome::temporary(std::move(status), std::move(text));
  outcome.kind = kind;
  Route route;
  route.failure = std::move(outcome);
  return route;
}

Route dns_failed(const std::string& name, const std::string& reason) {
  return failed(Outcome::Kind::unreachable, "4.4.3", fmt::format("DNS does not answer for {}: {}", name, reason));
}

bool is_private(const asio::ip::address& address) {
  if (address.is_v6()) {
    auto bytes = address.to_v6().to_bytes();
    return address.to_v6().is_v4_mapped() || (bytes[0] & 0xfe) == 0xfc;
  }
  uint32_t value = address.to_v4().to_uint();
  auto in = [value](uint32_t network, int bits) { return value >> (32 - bits) == network >> (32 - bits); };
  return in(0x0a000000, 8) || in(0xac100000, 12) || in(0xc0a80000, 16) || in(0x64400000, 10) || in(0, 8) || in(0xa9fe0000, 16);
}

}  // namespace

std::vector<std::string> order_hosts(std::vector<MxRecord> records, const std::string& ourselves, uint64_t random) {
  std::mt19937_64 generator(random);  // not a secret: only that not everybody takes the same host
  std::shuffle(records.begin(), records.end(), generator);
  std::stable_sort(records.begin(), records.end(),
                   [](const MxRecord& a, const MxRecord& b) { return a.preference < b.preference; });
  auto us = std::find_if(records.begin(), records.end(), [&](const MxRecord& record) { return record.host == ourselves; });
  uint32_t below = us == records.end() ? UINT32_MAX : us->preference;
  std::vector<std::string> hosts;
  for (MxRecord& record : records) {
    if (record.preference >= below || record.host.empty()) continue;
    if (std::find(hosts.begin(), hosts.end(), record.host) == hosts.end()) hosts.push_back(std::move(record.host));
  }
  return hosts;
}

Router::Router(asio::io_context& loop, RouterSettings settings)
    : settings_(std::move(settings)), resolver_(loop, settings_.dns_server) {
  settings_.hostname = lower(settings_.hostname);
}

asio::awaitable<Route> Router::find(std::string destination) {
  auto route = settings_.routes.find(destination);
  if (route == settings_.routes.end()) route = settings_.routes.find("*");
  if (route != settings_.routes.end()) co_return co_await find_configured(route->second);
  if (destination.empty() || destination.front() != '[') co_return co_await find_mx(std::move(destination));
  auto ip = address_literal_ip(destination);
  std::error_code error;
  auto address = asio::ip::make_address(ip.value_or(""), error);
  if (error) co_return failed(Outcome::Kind::permanent, "5.1.2", "The address literal is none");
  Route direct;
  if (!may_dial(address, false)) {
    co_return failed(Outcome::Kind::permanent, "5.4.4", fmt::format("{} is no address of the Internet", destination));
  }
  direct.addresses.push_back({*ip, {address, settings_.port}});
  co_return direct;
}

asio::awaitable<Route> Router::find_configured(std::string target) {
  auto endpoint = config::parse_endpoint(target);
  if (!endpoint) co_return failed(Outcome::Kind::unreachable, "4.3.5", "The route is not understood: " + endpoint.error().message);
  Route route;
  std::error_code error;
  auto address = asio::ip::make_address(endpoint->host, error);
  if (!error) {
    route.addresses.push_back({endpoint->host, {address, endpoint->port}});
    co_return route;
  }
  DnsAnswer::Status trouble = DnsAnswer::Status::found;
  co_await add_addresses(endpoint->host, endpoint->port, true, route, trouble);
  if (route.addresses.empty()) co_return dns_failed(endpoint->host, "it has no address");
  co_return route;
}

asio::awaitable<Route> Router::find_mx(std::string domain) {
  DnsAnswer answer = co_await resolver_.ask(domain, DnsType::mx);
  if (answer.status == DnsAnswer::Status::failed) co_return dns_failed(domain, answer.reason);
  if (answer.status == DnsAnswer::Status::no_domain) {
    co_return failed(Outcome::Kind::permanent, "5.1.2", fmt::format("There is no domain {}", domain));
  }
  std::vector<std::string> hosts{domain};  // without MX: the domain itself (RFC 5321 5.1)
  if (answer.status == DnsAnswer::Status::found) {
    std::vector<MxRecord> records;
    for (const std::string& rdata : answer.records) {
      if (auto record = parse_mx(rdata)) records.push_back(std::move(*record));
    }
    if (records.size() == 1 && records[0].host.empty()) {
      co_return failed(Outcome::Kind::permanent, "5.1.10", fmt::format("{} says that it takes no mail", domain));
    }
    if (records.empty()) co_return failed(Outcome::Kind::permanent, "5.4.4", fmt::format("The MX records of {} name no host", domain));
    hosts = order_hosts(std::move(records), settings_.hostname, random_u64());
    if (hosts.empty()) {
      co_return failed(Outcome::Kind::permanent, "5.4.6", fmt::format("Mail for {} would come back to this server", domain));
    }
  }
  Route route;
  DnsAnswer::Status trouble = DnsAnswer::Status::found;
  if (hosts.size() > kMaxMxHosts) hosts.resize(kMaxMxHosts);
  for (const std::string& host : hosts) co_await add_addresses(host, settings_.port, false, route, trouble);
  if (!route.addresses.empty()) co_return route;
  if (trouble == DnsAnswer::Status::failed) co_return dns_failed(domain, "the addresses of its hosts cannot be looked up");
  co_return failed(Outcome::Kind::permanent, "5.4.4", fmt::format("No mail host of {} has an address that can be reached", domain));
}

asio::awaitable<void> Router::add_addresses(std::string host, uint16_t port, bool any_address, Route& route,
                                            DnsAnswer::Status& trouble) {
  for (DnsType type : {DnsType::aaaa, DnsType::a}) {
    if (route.addresses.size() >= kMaxRelayAddresses) co_return;
    DnsAnswer answer = co_await resolver_.ask(host, type);
    if (answer.status == DnsAnswer::Status::failed) trouble = answer.status;
    for (const std::string& rdata : answer.records) {
      auto address = parse_address_record(rdata);
      if (address && may_dial(*address, any_address) && route.addresses.size() < kMaxRelayAddresses) {
        route.addresses.push_back({host, {*address, port}});
      }
    }
  }
}

/// Strangers' DNS must not send us to ourselves or into the local network. Who runs an internal network names a route, or its
/// own name server.
bool Router::may_dial(const asio::ip::address& address, bool any_address) const {
  if (address.is_unspecified() || address.is_multicast()) return false;
  if (any_address || !settings_.dns_server.empty()) return true;
  return !address.is_loopback() && !is_private(address);
}

}  // namespace postrider
