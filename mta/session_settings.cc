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
  auto settings = std::make_shared<SessionSettings>();
  settings->config = config;
  settings->tls = std::move(tls);
  settings->trusted = std::move(*trusted);
  return settings;
}

}  // namespace postrider
