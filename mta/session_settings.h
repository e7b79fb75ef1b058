// What a session goes by: the configuration as it stood when the session began. A reload makes a new one for new
// sessions.
#pragma once

#include <asio.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/net/daemon.h"

namespace postrider {

enum class Role { smtp, submission, submissions };  // ports 25, 587 and 465
std::string_view to_string(Role role);

/// Networks as "192.0.2.0/24", "2001:db8::/32" or single addresses.
class Networks {
 public:
  /// The error names the text that is no network.
  static Result<Networks> parse(const std::vector<std::string>& texts);
  /// address: without port, IPv4 not mapped into IPv6.
  bool contain(const std::string& address) const;

 private:
  std::vector<asio::ip::network_v4> v4_;
  std::vector<asio::ip::network_v6> v6_;
};

struct SessionSettings {
  Config config;
  std::shared_ptr<net::TlsStore> tls;  // null: no STARTTLS
  Networks trusted;
};

Result<std::shared_ptr<const SessionSettings>> make_settings(const Config& config, std::shared_ptr<net::TlsStore> tls);

}  // namespace postrider
