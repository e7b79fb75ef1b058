#include "mta/session_settings.h"

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

Result<std::shared_ptr<const SessionSettings>> make_settings(const Config& config, std::shared_ptr<net::TlsStore> tls) {
  auto trusted = config::NetworkSet::parse(config.smtp.trusted_networks);
  if (!trusted) return tl::unexpected(trusted.error());
  auto zones = config::parse_list_zones(config.dnsbl.zones);
  if (!zones) return tl::unexpected(zones.error());
  auto milters = config::parse_milters(config.milter.list);
  if (!milters) return tl::unexpected(milters.error());
  auto settings = std::make_shared<SessionSettings>();
  settings->config = config;
  settings->tls = std::move(tls);
  settings->trusted = std::move(*trusted);
  settings->milters = std::move(*milters);
  settings->dnsbl = std::move(*zones);
  return settings;
}

}  // namespace postrider
