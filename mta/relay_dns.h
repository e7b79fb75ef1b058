// DNS for the relay: libunbound on one loop, with its own cache.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mailauth/dns.h"

namespace postrider {

struct MxRecord {
  uint16_t preference = 0;
  std::string host;  // lower case, without the dot at the end; empty: the root, "no mail" (RFC 7505)
};
/// RFC 1035 3.3.9. Nothing where the octets are no MX record with a plain host name.
std::optional<MxRecord> parse_mx(std::string_view rdata);
/// The four or sixteen octets of A and AAAA.
std::optional<asio::ip::address> parse_address_record(std::string_view rdata);

class Resolver {
 public:
  /// server: "address:port", or empty for those of /etc/resolv.conf. Throws std::runtime_error.
  Resolver(asio::io_context& loop, const std::string& server);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// On the loop. Never throws for what a name server does.
  asio::awaitable<DnsAnswer> ask(std::string name, DnsType type);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postrider
