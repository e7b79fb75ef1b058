// What DNS is to hold for a domain whose mail comes here, and what it does hold.
#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "mailctl/doctor.h"
#include "mailctl/resolver.h"

namespace postrider::mailctl {

struct WantedRecord {
  std::string name;   // without the dot at the end
  std::string type;   // "MX", "TXT", ...
  std::string value;  // as a zone file has it, "10 mail.example.org."; of TXT: the text itself
  std::string why;    // a sentence
};

/// Nothing is asked: the configuration, the keys and the certificate say it all.
std::vector<WantedRecord> wanted_records(const Config& config, const std::string& domain, UnixTime now);

/// One line a finding: what is missing or wrong, and what to do about it. A few seconds at most for each name.
void check_domain_dns(Resolver& resolver, const Config& config, const std::string& domain, UnixTime now,
                      Report& report);

}  // namespace postrider::mailctl
