// The keys of the addresses that forwarded mail leaves under: STATE/srs.keys, readable for mta alone. The first line is
// the key that makes new ones; those below it are kept as long as an address that they made may come back.
#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"

namespace postrider::store {

constexpr UnixTime kSrsKeyLife = 90 * 86'400;  // until the next key takes over
constexpr UnixTime kSrsKeyKept = 45 * 86'400;  // from then on; more than twice as long as an address is valid

class SrsKeys {
 public:
  explicit SrsKeys(const std::string& state) : path_(state + "/srs.keys") {}

  /// All that are good, the one to sign with first; makes the first one, and the next one when its time has come.
  /// Throws std::system_error where there is none and none can be written.
  std::vector<std::string> load(UnixTime now) const;

 private:
  const std::string path_;
};

}  // namespace postrider::store
