// Greylisting (RFC 6647): who writes to somebody for the first time is asked to come again a little later, which mail
// servers do and many senders of spam do not. Kept in STATE/greylist.db; nothing is lost with the file.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "store/sqlite.h"

namespace postrider::store {

struct GreylistPolicy {
  Seconds delay{300};           // until a second attempt counts
  Seconds window{2 * 86'400};   // within which it has to come
  Seconds memory{36 * 86'400};  // for which those who came again are known, from the last time on
};

class Greylist {
 public:
  static constexpr size_t kMaxRows = 500'000;   // triplets and networks that are remembered
  static constexpr uint64_t kSweepEvery = 256;  // new rows between two looks whether there are too many
  static constexpr int64_t kKnownNetwork = 5;   // triplets of a network that came again, until it waits no more

  /// Throws SqliteError.
  Greylist(const std::string& state, const Clock& clock);

  /// Nothing: it is taken. Otherwise when to come again. network: what is counted together of the client's address.
  /// Reads and writes the disk: for worker threads, from any of them. Throws SqliteError.
  std::optional<UnixTime> ask(std::string_view network, std::string_view sender, std::string_view recipient,
                              const GreylistPolicy& policy);

 private:
  void note(const std::string& key, UnixTime first, UnixTime last, int64_t passed);
  void make_room(const GreylistPolicy& policy);

  const Clock& clock_;
  std::mutex mutex_;
  Database database_;
  uint64_t fresh_ = 0;  // rows made by this process
};

}  // namespace postrider::store
