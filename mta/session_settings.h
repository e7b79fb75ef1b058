// What a session goes by: the configuration as it stood when the session began. A reload makes a new one for new
// sessions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/config/milter.h"
#include "common/config/policy_values.h"
#include "common/config/values.h"
#include "common/net/daemon.h"

namespace postrider {

enum class Role { smtp, submission, submissions };  // ports 25, 587 and 465
std::string_view to_string(Role role);

struct SessionSettings {
  Config config;
  std::shared_ptr<net::TlsStore> tls;  // null: no STARTTLS
  config::NetworkSet trusted;          // may relay without a login
  std::vector<config::MilterTarget> milters;
  std::vector<config::ListZone> dnsbl;
};

Result<std::shared_ptr<const SessionSettings>> make_settings(const Config& config, std::shared_ptr<net::TlsStore> tls);

}  // namespace postrider
