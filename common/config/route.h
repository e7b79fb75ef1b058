// Where a route leads, as it is written in the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider::config {

/// How much a connection to another server has to be protected (RFC 7435).
enum class TlsLevel {
  opportunistic,  // TLS where it works, plain text otherwise
  encrypted,      // TLS with any certificate, or nothing
  verified,       // TLS with a certificate of that host's name from an authority, or that DANE vouches for, or nothing
};

struct RouteTarget {
  enum class Protocol {
    smtp,
    smtps,  // TLS from the first octet (RFC 8314)
    lmtp,   // RFC 2033
  };
  Protocol protocol = Protocol::smtp;
  std::string host;  // name or address, IPv6 without its brackets; empty with a path
  uint16_t port = 0;
  std::string path;  // LMTP: a Unix socket
  std::optional<TlsLevel> tls = std::nullopt;
  bool operator==(const RouteTarget&) const = default;
};

/// "mx.internal:25", "smtps:mail.example.org:465", "lmtp:127.0.0.1:24", "lmtp:/run/lmtp.sock"; behind it may stand
/// " tls=verified" or another level. The error is a sentence.
Result<RouteTarget> parse_route(std::string_view text);
std::string to_string(const RouteTarget& target);
/// "opportunistic", "encrypted", "verified". The error is a sentence.
Result<TlsLevel> parse_tls_level(std::string_view text);
std::string_view to_string(TlsLevel level);

/// What "limits" says of a destination: "connections=4 messages_per_connection=20 messages_per_minute=300".
struct DestinationLimits {
  uint64_t connections = 0;  // 0: not said
  uint64_t messages_per_connection = 0;
  uint64_t messages_per_minute = 0;
};
Result<DestinationLimits> parse_limits(std::string_view text);

}  // namespace postrider::config
