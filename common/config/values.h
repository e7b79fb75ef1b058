// How durations, sizes, endpoints and networks are written in the configuration and on command lines.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"

namespace postrider::config {

/// "90s", "5m", "4h", "14d", "1h30m", "500ms"; "0" needs no unit. Nothing for anything else, or above a hundred years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// In the largest unit that gives a whole number: "90s", "5m", "1500ms".
std::string format_duration(std::chrono::milliseconds duration);

/// Octets: "1024", "64KiB", "50MiB", "2GiB", "1TiB". Nothing for anything else, or above 2^62.
std::optional<uint64_t> parse_size(std::string_view text);
/// In the largest unit that gives a whole number: "50MiB", "1000".
std::string format_size(uint64_t octets);

/// A host (name or address, IPv6 without its brackets) and a port.
struct Endpoint {
  std::string host;
  uint16_t port = 0;
};

/// "mx.example.org:25", "192.0.2.1:2525", "[2001:db8::1]:25". The error is a sentence.
Result<Endpoint> parse_endpoint(std::string_view text);

/// A set of address ranges, for instance smtp.trusted_networks.
class NetworkSet {
 public:
  /// Each "192.0.2.0/24", "2001:db8::/32" or a single address. The error is a sentence that names the wrong one.
  static Result<NetworkSet> parse(const std::vector<std::string>& networks);
  /// An address as text; an IPv4 address mapped into IPv6 counts as the IPv4 address. False for what is no address.
  bool contains(std::string_view address) const;
  bool empty() const { return networks_.empty(); }

 private:
  using Bytes = std::array<unsigned char, 16>;  // IPv4 as ::ffff:a.b.c.d
  struct Network {
    Bytes prefix{};
    unsigned bits = 0;
  };
  static std::optional<Bytes> parse_address(std::string_view text, bool& is_v4);
  std::vector<Network> networks_;
};

}  // namespace postrider::config
