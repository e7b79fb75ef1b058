// Where mail for a destination goes: a configured route, an address literal, or what DNS says (RFC 5321 5.1).
#pragma once

#include <asio.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/outcome.h"
#include "mta/relay_dns.h"

namespace postrider {

constexpr size_t kMaxMxHosts = 10;       // that are looked up, those of the best preference first
constexpr size_t kMaxRelayAddresses = 16;  // of all hosts together, that are dialled

struct RelayAddress {
  std::string host;  // for the log and for TLS
  asio::ip::tcp::endpoint endpoint;
};

struct Route {
  std::vector<RelayAddress> addresses;  // in the order in which they are tried; empty where failure is set
  std::optional<Outcome> failure;
};

struct RouterSettings {
  std::string hostname;                       // ours, to see mail that would come back to us
  std::map<std::string, std::string> routes;  // domain to "host:port"; "*" for all others
  uint16_t port = 25;
  std::string dns_server;                     // empty: as the system says
};

class Router {
 public:
  /// Throws std::runtime_error where DNS cannot be set up.
  Router(asio::io_context& loop, RouterSettings settings);

  /// destination: a domain as A-label, or an address literal.
  asio::awaitable<Route> find(std::string destination);

 private:
  asio::awaitable<Route> find_configured(std::string target);
  asio::awaitable<Route> find_mx(std::string domain);
  asio::awaitable<void> add_addresses(std::string host, uint16_t port, bool any_address, Route& route, DnsAnswer::Status& trouble);
  bool may_dial(const asio::ip::address& address, bool any_address) const;

  RouterSettings settings_;
  Resolver resolver_;
};

/// Sorts by preference, hosts of the same preference in random order; drops the hosts that come after us (RFC 5321 5.1: mail
/// would come back) and repetitions. random: any number.
std::vector<std::string> order_hosts(std::vector<MxRecord> records, const std::string& ourselves, uint64_t random);

}  // namespace postrider
