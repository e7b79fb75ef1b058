#include "mta/session_settings.h"

#include <fmt/format.h>

namespace postrider {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::smtp:
      return "smtp";
    case Role::submission:
      return "submission";
    case Role::submissions:
      break;
  }
  return "submissions";
}

Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
  Networks networks;
  for (const std::string& text : texts) {
    const bool is_v6 = text.find(':') != std::string::npos;
    const bool whole = text.find('/') != std::string::npos;
    asio::error_code error;
    if (is_v6) {
      networks.v6_.push_back(asio::ip::make_network_v6(whole ? text : text + "/128", error).canonical());
    } else {
      networks.v4_.push_back(asio::ip::make_network_v4(whole ? text : text + "/32", error).canonical());
    }
    if (error) {
      return failure(fmt::format("smtp.trusted_networks: \"{}\" is no network; write for instance 192.0.2.0/24", text));
    }
  }
  return networks;
}

bool Networks::contain(const std::string& address) const {
  if (v4_.empty() && v6_.empty()) return false;
  asio::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return false;
  // A network and an address within it have the same network when both are cut at its prefix.
  for (const auto& network : v4_) {
    if (ip.is_v4() && asio::ip::network_v4(ip.to_v4(), network.prefix_length()).canonical() == network) return true;
  }
  for (const auto& network : v6_) {
    if (ip.is_v6() && asio::ip::network_v6(ip.to_v6(), network.prefix_length()).canonical() == network) return true;
  }
  return false;
}

Result<std::shared_ptr<const SessionSettings>> make_settings(const Config& config, std::shared_ptr<net::TlsStore> tls) {
  auto trusted = Networks::parse(config.smtp.trusted_networks);
  if (!trusted) return tl::unexpected(trusted.error());
  auto settings = std::make_shared<SessionSettings>();
  settings->config = config;
  settings->tls = std::move(tls);
  settings->trusted = std::move(*trusted);
  return settings;
}

}  // namespace postrider
