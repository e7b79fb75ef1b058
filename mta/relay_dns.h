// DNS for the relay: libunbound on one loop, with its own cache.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mailauth/dns.h"

namespace postrider {

// Longer than name servers need that are there; what takes longer is asked again with the next attempt.
constexpr std::chrono::seconds kMaxDnsWait{30};
// How long the question waits whether the name servers pass on what DNSSEC needs.
constexpr std::chrono::seconds kMaxProbeWait{5};
constexpr std::chrono::hours kProbeAgain{1};  // after they did not

struct DnsSettings {
  std::string server;             // "address:port"; empty: those of /etc/resolv.conf
  std::string trust_anchor;       // a file of DNSKEY or DS records; empty: nothing is validated
  bool anchor_asked_for = false;  // a name server that cannot do DNSSEC is a failure, not a reason to go without
};
/// What the configuration means: Debian's trust anchor of the root, where nothing is said and the system's name servers
/// are used; "none" is none.
DnsSettings dns_settings(const std::string& server, const std::string& trust_anchor);

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
  /// Throws std::runtime_error.
  Resolver(asio::io_context& loop, DnsSettings settings);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// On the loop. Never throws for what a name server does.
  asio::awaitable<DnsAnswer> ask(std::string name, DnsType type);

 private:
  class Context;
  asio::awaitable<void> probe();

  asio::io_context& loop_;
  const DnsSettings settings_;
  std::unique_ptr<Context> plain_, validating_;  // made when they are needed
  bool validates_ = false;
  enum class Probe { none, needed, under_way } probe_ = Probe::none;
  std::chrono::steady_clock::time_point probe_again_ = std::chrono::steady_clock::time_point::max();
  asio::steady_timer probed_;  // cancelled when the probe has its answer
};

}  // namespace postrider
