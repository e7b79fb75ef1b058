// Connecting to one of several addresses: each has a short head start before the next one is dialled too (as RFC 8305
// has it for one host), so that a dead address costs a fraction of a second.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/net/connection.h"
#include "mta/relay_route.h"

namespace postrider {

constexpr std::chrono::milliseconds kHeadStart{250};

class Dialer {
 public:
  Dialer(std::vector<RelayAddress> addresses, std::chrono::milliseconds timeout);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  /// A connection to the next address that takes one; null when none is left. Never throws.
  asio::awaitable<std::shared_ptr<net::Connection>> next();
  /// Whose connection next() gave last.
  const RelayAddress& address() const;
  /// Why the last address that failed did: "mx.example.net [192.0.2.1]: Connection refused"; empty: none failed.
  const std::string& error() const;

 private:
  struct Race;
  static asio::awaitable<void> run(std::shared_ptr<Race> race, RelayAddress address, std::chrono::milliseconds timeout);

  const std::vector<RelayAddress> addresses_;
  const std::chrono::milliseconds timeout_;
  size_t dialled_ = 0;
  std::shared_ptr<Race> race_;
};

/// "mx.example.net [192.0.2.1]", or the path of a Unix socket.
std::string to_string(const RelayAddress& address);

}  // namespace postrider
