// What a daemon takes from itself once its ports are bound: it starts no programs, traces no processes, changes nothing
// of the system (seccomp), and writes only where its state is (Landlock). For itself and every thread that it makes.
#pragma once

#include <string>
#include <vector>

#include "common/config/config.h"

namespace postrider {

struct Confinement {
  bool landlock = false, seccomp = false;
  std::string missing;  // what the kernel does not have, for people; empty: nothing
};

/// Before there are threads. writable: folders, those that are missing are left out. There is no way back.
Confinement confine(const std::vector<std::string>& writable);

/// The same, as server.confine wants it, with a line in the log.
void confine_daemon(const Config& config);

}  // namespace postrider
