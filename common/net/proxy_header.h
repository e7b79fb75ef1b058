// The PROXY protocol, versions 1 and 2: what a load balancer says in front of a connection about whom it is for. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postrider::net {

constexpr size_t kMaxProxyHeader = 2'048;  // octets, of version 2 with its extras; version 1 has 107 at most

struct ProxyHeader {
  enum class Status { incomplete, complete, malformed };
  Status status = Status::incomplete;
  size_t taken = 0;    // octets of the input
  size_t missing = 0;  // incomplete: octets that are certainly still to come
  /// Empty: the balancer speaks for itself (LOCAL, UNKNOWN), and the connection's own addresses count.
  std::string source, destination;  // IP addresses, an IPv4 address as such
  uint16_t source_port = 0, destination_port = 0;
};

/// The header at the beginning of the input.
ProxyHeader read_proxy_header(std::string_view input);

}  // namespace postrider::net
