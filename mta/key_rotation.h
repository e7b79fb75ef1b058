// Follows the DKIM keys of our domains with new ones (dkim.rotate) as fast as DNS lets it: a key is made ahead, signs
// when its record has been seen in DNS, and goes when the record of the one before is gone from there. Whoever keeps
// DNS sets the pace; nothing is ever signed by a key that nobody can look up.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dns.h"
#include "store/dkim_keys.h"

namespace postrider {

class KeyRotation {
 public:
  static constexpr std::chrono::minutes kInterval{15};
  static constexpr UnixTime kMaxAhead = UnixTime{14} * 86'400;  // seconds before its turn that a key is made
  static constexpr UnixTime kSpread = 3'600;   // for which a record must have been seen: other name servers get it
  static constexpr UnixTime kRemind = 86'400;  // between two lines in the log about the same record

  using Ask = std::function<asio::awaitable<DnsAnswer>(std::string name, DnsType type)>;

  /// state: the state folder. The clock must outlive it. It belongs to the thread of who calls run().
  KeyRotation(const std::string& state, const Clock& clock) : keys_(state), clock_(clock) {}

  /// One round over all domains. period: how long a key signs; 0: none are made, and none go, but those that wait for
  /// DNS are looked after. Waits for the disk. Throws std::system_error.
  asio::awaitable<void> run(Seconds period, Ask ask);
  /// When the key that follows is made.
  static UnixTime made_at(const store::DkimKey& signs, Seconds period);

 private:
  void make_followers(const std::string& domain, const std::vector<store::DkimKey>& keys, Seconds period);
  void look_after_waiting(const std::vector<store::DkimKey>& keys, const store::DkimKey& key, Seconds period,
                          const DnsAnswer& answer);
  void look_after_unused(const store::DkimKey& key, const DnsAnswer& answer);
  bool may_remind(const std::string& name);

  store::DkimKeys keys_;
  const Clock& clock_;
  // By the name of the record.
  std::map<std::string, UnixTime> seen_since_;  // without a break
  std::map<std::string, UnixTime> reminded_;
};

}  // namespace postrider
