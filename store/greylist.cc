#include "store/greylist.h"

#include <array>

#include "common/base/ascii.h"

namespace postrider::store {
namespace {

constexpr size_t kMaxPart = 320;  // octets of each part of a key

constexpr std::array kMigrations = {
    Migration{R"sql(
-- key: network, sender and recipient, or a network alone. passed: how often it came again in time.
CREATE TABLE seen(
  key TEXT NOT NULL PRIMARY KEY,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  passed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_last ON seen(last);
)sql"},
};

struct Seen {
  UnixTime first = 0, last = 0;
  int64_t passed = 0;
};

std::optional<Seen> find(Database& database, const std::string& key) {
  Rows rows(database.prepare("SELECT first, last, passed FROM seen WHERE key = ?1").bind(key));
  if (!rows.next()) return std::nullopt;
  return Seen{rows->integer(0), rows->integer(1), rows->integer(2)};
}

}  // namespace

Greylist::Greylist(const std::string& state, const Clock& clock)
    : clock_(clock), database_(state + "/greylist.db", OpenMode::create, Sync::normal) {
  migrate(database_, kMigrations);
}

std::optional<UnixTime> Greylist::ask(std::string_view network, std::string_view sender, std::string_view recipient,
                                      const GreylistPolicy& policy) {
  const UnixTime now = clock_.unix_time();
  const std::string from(network.substr(0, kMaxPart));
  const std::string triplet =
      from + '\n' + lower(sender.substr(0, kMaxPart)) + '\n' + lower(recipient.substr(0, kMaxPart));
  std::lock_guard lock(mutex_);
  Transaction transaction(database_);
  std::optional<UnixTime> again;
  const auto known = find(database_, from);
  const bool trusted = known && known->passed >= kKnownNetwork && now - known->last < policy.memory.count();
  auto seen = find(database_, triplet);
  const Seconds kept = seen && seen->passed > 0 ? policy.memory : policy.window;
  if (seen && now - seen->last >= kept.count()) seen.reset();
  if (trusted) {
    if (now - known->last > 3'600) note(from, known->first, now, known->passed);
  } else if (!seen) {
    note(triplet, now, now, 0);
    again = now + policy.delay.count();
    if (fresh_++ % kSweepEvery == 0) make_room(policy);
  } else if (seen->passed == 0 && now - seen->first < policy.delay.count()) {
    again = seen->first + policy.delay.count();
  } else {
    note(triplet, seen->first, now, seen->passed + 1);
    if (seen->passed == 0) note(from, known ? known->first : now, now, known ? known->passed + 1 : 1);
  }
  transaction.commit();
  if (database_.wal_pages() > 1'000) database_.checkpoint();
  return again;
}

void Greylist::note(const std::string& key, UnixTime first, UnixTime last, int64_t passed) {
  database_.prepare("INSERT OR REPLACE INTO seen VALUES(?1, ?2, ?3, ?4)").bind(key, first, last, passed).run();
}

/// Whoever invents senders does not fill the disk: what was seen longest ago is forgotten.
void Greylist::make_room(const GreylistPolicy& policy) {
  database_.prepare("DELETE FROM seen WHERE last < ?1").bind(clock_.unix_time() - policy.memory.count()).run();
  int64_t there = 0;
  {
    Rows rows(database_.prepare("SELECT count(*) FROM (SELECT 1 FROM seen LIMIT ?1)").bind(kMaxRows + 1));
    if (rows.next()) there = rows->integer(0);
  }
  if (there <= static_cast<int64_t>(kMaxRows)) return;
  database_.prepare("DELETE FROM seen WHERE key IN (SELECT key FROM seen ORDER BY last LIMIT ?1)")
      .bind(kMaxRows / 10)
      .run();
}

}  // namespace postrider::store
