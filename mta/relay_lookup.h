// What finding a route's addresses shares with finding the route. For relay_route.cc and relay_lookup.cc.
#pragma once

#include <string>

#include "mta/outcome.h"

namespace postrider {

/// The destination is not to be found now.
Outcome dns_failed(const std::string& name, const std::string& reason);
/// By DNS this server would send to itself.
Outcome comes_back();

}  // namespace postrider
