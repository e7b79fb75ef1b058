// Rates and lists of addresses, as the configuration writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/values.h"

namespace postrider::config {

struct Rate {
  uint64_t count = 0;
  Seconds per{0};
};
/// "1000/1h"; at most a day. The error is a sentence.
Result<std::vector<Rate>> parse_rates(const std::vector<std::string>& texts);

struct ListZone {
  std::string name;  // lower case
  NetworkSet codes;  // answers that mean that an address is listed
};
/// "zen.spamhaus.org" or "bl.example.org=127.0.0.2 127.0.0.4/31". The error is a sentence.
Result<std::vector<ListZone>> parse_list_zones(const std::vector<std::string>& texts);

}  // namespace postrider::config
