// How many connections there are, in all and from each address.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "common/net/server.h"

namespace postrider::net {

/// From any thread.
class AddressLimits {
 public:
  explicit AddressLimits(ConnectionLimits limits) : limits_(limits) {}

  /// Counts one connection. Empty: it may come in, and leave() has to follow; otherwise why not, for a reply.
  std::string enter(const std::string& address);
  void leave(const std::string& address);
  size_t total() const;
  void set(ConnectionLimits limits);

 private:
  mutable std::mutex mutex_;
  ConnectionLimits limits_;
  size_t total_ = 0;
  std::unordered_map<std::string, size_t> by_network_;
};

/// What is counted together: an IPv4 address, or an IPv6 /64 network, which one client has to itself.
std::string network_of(const std::string& address);

}  // namespace postrider::net
