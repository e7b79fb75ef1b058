// MTA-STS (RFC 8461): a domain says by HTTPS which hosts take its mail and that they have good certificates. What is
// fetched and kept is the caller's; here it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dns.h"

namespace postrider::sts {

constexpr size_t kMaxPolicy = 64 << 10;  // octets of a policy (3.3)
constexpr size_t kMaxHosts = 100;        // mx lines of a policy
constexpr Seconds kMaxAge{31'557'600};   // a year (3.2)

enum class Mode { none, testing, enforce };
std::string_view to_string(Mode mode);

struct Policy {
  Mode mode = Mode::none;
  std::vector<std::string> hosts;  // "mx.example.org", "*.example.net"; lower case
  Seconds max_age{0};
};

/// The id of the record at _mta-sts.DOMAIN: another one than before means another policy (3.1). Nothing: the domain has
/// no MTA-STS.
std::optional<std::string> policy_id(const DnsAnswer& answer);
/// The text of a policy of our own. mode: none, testing, enforce; hosts empty: hostname alone.
std::string own_policy(std::string_view mode, const std::vector<std::string>& hosts, const std::string& hostname,
                       Seconds max_age);
/// The id for its record: another text has another one.
std::string own_policy_id(std::string_view text);
/// "https://mta-sts.example.org/.well-known/mta-sts.txt".
std::string policy_url(const std::string& domain);
/// text: the body of a 200 answer with the type text/plain.
Result<Policy> parse_policy(std::string_view text);
/// Whether the policy names a host of MX (4.1); a star stands for one label.
bool names_host(const Policy& policy, std::string_view host);

}  // namespace postrider::sts
