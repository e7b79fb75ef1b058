#include "store/login_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/ascii.h"

namespace postrider::store {
namespace {

constexpr UnixTime kDay = 86'400;
constexpr size_t kMaxNoted = 100'000;

constexpr std::array kMigrations = {
    Migration{R"sql(
-- kind: 0 address, 1 account. failures: since the first within the window that began at since. bans: so far; the next is longer.
CREATE TABLE guarded(
  kind INTEGER NOT NULL,
  key TEXT NOT NULL,
  failures INTEGER NOT NULL,
  since INTEGER NOT NULL,
  last INTEGER NOT NULL,
  bans INTEGER NOT NULL,
  banned_until INTEGER NOT NULL,
  PRIMARY KEY(kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX guarded_last ON guarded(last);

-- Who has logged in from where; last: the day of the last time, in days since 1970.
CREATE TABLE acquainted(
  account TEXT NOT NULL,
  address TEXT NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY(account, address)
) STRICT, WITHOUT ROWID;
)sql"},
};

std::string name_of(std::string_view user) {
  return lower(user.substr(0, LoginGuard::kMaxKey));
}

std::string login_of(const std::string& address, std::string_view user) {
  return name_of(user) + '\0' + address;
}

}  // namespace

LoginGuard::LoginGuard(const std::string& state, const Clock& clock)
    : clock_(clock), database_(state + "/logins.db", OpenMode::create, Sync::normal) {
  migrate(database_, kMigrations);
  refresh();
}

std::optional<UnixTime> LoginGuard::banned_until(const std::string& address, std::string_view user) const {
  const UnixTime now = clock_.unix_time();
  std::lock_guard lock(picture_mutex_);
  if (auto found = picture_.addresses.find(address); found != picture_.addresses.end() && found->second > now)
    return found->second;
  if (picture_.accounts.empty()) return std::nullopt;
  const std::string name = name_of(user);
  auto found = picture_.accounts.find(name);
  if (found == picture_.accounts.end() || found->second <= now) return std::nullopt;
  auto friends = picture_.acquainted.find(name);
  if (friends != picture_.acquainted.end() && friends->second.contains(address)) return std::nullopt;
  return found->second;
}

bool LoginGuard::stale() const {
  const std::chrono::steady_clock::duration taken(taken_.load(std::memory_order_relaxed));
  return std::chrono::steady_clock::now().time_since_epoch() - taken > kFresh;
}

void LoginGuard::refresh() {
  std::lock_guard lock(database_mutex_);
  take_picture();
}

void LoginGuard::take_picture() {
  const UnixTime now = clock_.unix_time();
  Picture picture;
  {
    Rows rows(database_.prepare("SELECT kind, key, banned_until FROM guarded WHERE banned_until > ?1").bind(now));
    while (rows.next()) {
      auto& bans = rows->integer(0) == 0 ? picture.addresses : picture.accounts;
      bans.emplace(rows->text(1), rows->integer(2));
    }
  }
  for (const auto& [account, until] : picture.accounts) {
    Rows rows(database_.prepare("SELECT address FROM acquainted WHERE account = ?1 AND last >= ?2")
                  .bind(account, (now - kAcquainted.count()) / kDay));
    while (rows.next()) picture.acquainted[account].emplace(rows->text(0));
  }
  std::lock_guard lock(picture_mutex_);
  picture_ = std::move(picture);
  taken_ = std::chrono::steady_clock::now().time_since_epoch().count();
}

void LoginGuard::set_policy(const GuardPolicy& policy) {
  std::lock_guard lock(database_mutex_);
  policy_ = policy;
}

void LoginGuard::failed(const std::string& address, std::string_view user) {
  std::lock_guard lock(database_mutex_);
  {
    Transaction transaction(database_);
    count(GuardedKind::address, address, policy_.failures_per_address);
    count(GuardedKind::account, name_of(user), policy_.failures_per_account);
    if (failures_++ % kSweepEvery == 0) make_room();
    transaction.commit();
  }
  if (database_.wal_pages() > 1'000) database_.checkpoint();
  take_picture();
}

void LoginGuard::count(GuardedKind kind, std::string_view key, uint64_t limit) {
  if (limit == 0) return;
  const UnixTime now = clock_.unix_time();
  uint64_t failures = 1, bans = 0;
  UnixTime since = now;
  {
    Rows rows(database_.prepare("SELECT failures, since, last, bans FROM guarded WHERE kind = ?1 AND key = ?2")
                  .bind(static_cast<int>(kind), key));
    if (rows.next()) {
      if (now - rows->integer(1) <= policy_.window.count()) {
        since = rows->integer(1);
        failures = static_cast<uint64_t>(rows->integer(0)) + 1;
      }
      if (now - rows->integer(2) < kForgotten.count()) bans = static_cast<uint64_t>(rows->integer(3));
    }
  }
  if (failures >= limit) {
    const UnixTime length = std::min<UnixTime>(policy_.ban.count() << std::min<uint64_t>(bans, 16), kMaxBan.count());
    return write_ban(kind, key, now + length, bans + 1);
  }
  database_
      .prepare(
          "INSERT INTO guarded VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO UPDATE SET failures = ?3, since = ?4, "
          "last = ?5,"
          " bans = ?6")
      .bind(static_cast<int>(kind), key, failures, since, now, bans)
      .run();
}

void LoginGuard::write_ban(GuardedKind kind, std::string_view key, UnixTime until, uint64_t bans) {
  const UnixTime now = clock_.unix_time();
  database_
      .prepare(
          "INSERT INTO guarded VALUES(?1, ?2, 0, ?3, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET failures = 0, since = ?3, "
          "last = ?3,"
          " bans = ?4, banned_until = max(banned_until, ?5)")
      .bind(static_cast<int>(kind), key, now, bans, until)
      .run();
}

/// Whoever comes from a million addresses does not fill the disk: those that were quiet longest are forgotten.
void LoginGuard::make_room() {
  database_.prepare("DELETE FROM guarded WHERE last < ?1 AND banned_until < ?2")
      .bind(clock_.unix_time() - kForgotten.count(), clock_.unix_time())
      .run();
  int64_t rows_there = 0;
  {
    Rows rows(database_.prepare("SELECT count(*) FROM (SELECT 1 FROM guarded LIMIT ?1)").bind(kMaxRows + 1));
    if (rows.next()) rows_there = rows->integer(0);
  }
  if (rows_there <= static_cast<int64_t>(kMaxRows)) return;
  database_.prepare("DELETE FROM guarded WHERE (kind, key) IN (SELECT kind, key FROM guarded ORDER BY last LIMIT ?1)")
      .bind(kMaxRows / 10)
      .run();
}

bool LoginGuard::is_noted(const std::string& address, std::string_view user) const {
  const std::string login = login_of(address, user);
  std::lock_guard lock(picture_mutex_);
  return noted_day_ == clock_.unix_time() / kDay && noted_.contains(login);
}

void LoginGuard::succeeded(const std::string& address, std::string_view user) {
  const UnixTime day = clock_.unix_time() / kDay;
  const std::string name = name_of(user);
  {
    std::lock_guard lock(database_mutex_);
    database_.prepare("INSERT INTO acquainted VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET last = ?3")
        .bind(name, address, day)
        .run();
    database_.prepare("DELETE FROM acquainted WHERE account = ?1 AND last < ?2")
        .bind(name, day - kAcquainted.count() / kDay)
        .run();
  }
  std::lock_guard lock(picture_mutex_);
  if (noted_day_ != day || noted_.size() > kMaxNoted) noted_.clear();
  noted_day_ = day;
  noted_.insert(login_of(address, user));
}

std::vector<Ban> LoginGuard::bans() {
  std::lock_guard lock(database_mutex_);
  std::vector<Ban> found;
  Rows rows(
      database_
          .prepare(
              "SELECT kind, key, banned_until, bans FROM guarded WHERE banned_until > ?1 ORDER BY banned_until DESC")
          .bind(clock_.unix_time()));
  while (rows.next()) {
    found.push_back({rows->integer(0) == 0 ? GuardedKind::address : GuardedKind::account, std::string(rows->text(1)),
                     rows->integer(2), static_cast<uint64_t>(rows->integer(3))});
  }
  return found;
}

void LoginGuard::ban(const std::string& address, UnixTime until) {
  std::lock_guard lock(database_mutex_);
  write_ban(GuardedKind::address, address, until, 1);
  take_picture();
}

bool LoginGuard::lift(std::string_view key) {
  std::lock_guard lock(database_mutex_);
  database_.prepare("DELETE FROM guarded WHERE key = ?1 AND banned_until > ?2")
      .bind(name_of(key), clock_.unix_time())
      .run();
  const bool lifted = database_.changes() > 0;
  take_picture();
  return lifted;
}

std::string ban_sentence(UnixTime until, UnixTime now) {
  const UnixTime minutes = std::max<UnixTime>((until - now + 59) / 60, 1);
  return fmt::format("There were too many failed logins; try again in {} minute{}.", minutes, minutes == 1 ? "" : "s");
}

}  // namespace postrider::store
