#include "store/rate_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/random.h"

namespace postrider::store {
namespace {

constexpr int64_t kSecond = 1'000'000;  // microseconds

constexpr std::array kMigrations = {
    Migration{R"sql(
-- until: in microseconds since 1970, when nothing of what was used within per seconds counts any more.
CREATE TABLE used(
  account TEXT NOT NULL,
  per INTEGER NOT NULL,
  count INTEGER NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY(account, per)
) STRICT, WITHOUT ROWID;

-- What an administrator forgave; the running mta takes the row away when it has done the same.
CREATE TABLE lifted(
  account TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql"},
};

int64_t microseconds(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::microseconds>(clock.now().time_since_epoch()).count();
}

int64_t length(const RateRule& rule) {
  return rule.per.count() * kSecond;
}
int64_t cost(const RateRule& rule) {
  return std::max<int64_t>(length(rule) / static_cast<int64_t>(std::max<uint64_t>(rule.count, 1)), 1);
}

}  // namespace

RateLimits::RateLimits(const std::string& state, const Clock& clock)
    : clock_(clock),
      seed_(fmt::format("{:016x}", random_u64())),
      database_(state + "/limits.db", OpenMode::create, Sync::normal) {
  migrate(database_, kMigrations);
}

RateLimits::~RateLimits() {
  try {
    refresh();
  } catch (const std::exception& error) {
    log_error("limits_not_saved", {{"reason", error.what()}});
  }
}

void RateLimits::set_policy(const RatePolicy& policy) {
  refresh();
  {
    std::lock_guard lock(mutex_);
    if (policy == policy_) return;
    policy_ = policy;
    for (auto& rules : policy_) rules.resize(std::min(rules.size(), kMaxRateRules));
    const bool any = std::any_of(policy_.begin(), policy_.end(), [](const auto& rules) { return !rules.empty(); });
    unsigned layers = 0;
    for (size_t i = 0; i < kRateLayers; ++i) layers |= policy_[i].empty() ? 0u : 1u << i;
    layers_ = layers;
    table_.assign(any ? kSets * kWays : 0, Entry());  // the numbers of rules mean something else now
  }
  load();
}

/// Not to be guessed by whoever would like to fill one set of the table.
uint64_t RateLimits::hash(RateLayer layer, std::string_view key) const {
  std::string text = seed_;
  text += static_cast<char>('0' + static_cast<int>(layer));
  text += lower(key.substr(0, kMaxKey));
  return std::max<uint64_t>(std::hash<std::string>()(text), 1);
}

/// Under the mutex. A key that is not there takes the place of the one whose use counts for the shortest time.
RateLimits::Entry& RateLimits::entry(uint64_t hash) {
  const size_t first = (hash >> 40 & (kSets - 1)) * kWays;
  const auto last_time = [](const Entry& one) { return *std::max_element(one.until.begin(), one.until.end()); };
  Entry* least = &table_[first];
  for (size_t i = first; i < first + kWays; ++i) {
    if (table_[i].key == hash) return table_[i];
    if (table_[i].key == 0 || (least->key != 0 && last_time(table_[i]) < last_time(*least))) least = &table_[i];
  }
  *least = Entry();
  least->key = hash;
  return *least;
}

std::optional<RateLimits::Refused> RateLimits::take(RateLayer layer, std::string_view key) {
  if (!has_rules(layer)) return std::nullopt;
  const int64_t now = microseconds(clock_);
  const uint64_t hashed = hash(layer, key);
  std::lock_guard lock(mutex_);
  const auto& rules = policy_[static_cast<size_t>(layer)];
  if (rules.empty()) return std::nullopt;
  Entry& found = entry(hashed);
  Times after = found.until;
  std::optional<Refused> refused;
  for (size_t i = 0; i < rules.size(); ++i) {
    // A clock that was set back does not close anything for longer than the rule says.
    found.until[i] = std::min(found.until[i], now + length(rules[i]));
    const int64_t from = std::max(found.until[i], now);
    after[i] = from + cost(rules[i]);
    const int64_t wait = after[i] - length(rules[i]) - now;
    if (wait <= 0) continue;
    const UnixTime again = (now + wait + kSecond - 1) / kSecond;
    if (!refused || again > refused->again) refused = Refused{rules[i], again};
  }
  if (refused) return refused;
  found.until = after;
  if (layer == RateLayer::account && (unsaved_.size() < kMaxUnsaved || unsaved_.contains(lower(key)))) {
    unsaved_[lower(key)] = after;
  }
  return std::nullopt;
}

bool RateLimits::stale() const {
  const std::chrono::steady_clock::duration at(refreshed_.load(std::memory_order_relaxed));
  return std::chrono::steady_clock::now().time_since_epoch() - at > kFresh;
}

void RateLimits::refresh() {
  std::lock_guard database_lock(database_mutex_);
  refreshed_ = std::chrono::steady_clock::now().time_since_epoch().count();
  std::vector<std::string> lifted;
  {
    Rows rows(database_.prepare("SELECT account FROM lifted"));
    while (rows.next()) lifted.emplace_back(rows->text(0));
  }
  std::unordered_map<std::string, Times> used;
  std::vector<RateRule> rules;
  {
    std::lock_guard lock(mutex_);
    rules = policy_[static_cast<size_t>(RateLayer::account)];
    if (rules.empty()) return;  // mailctl, or an mta without limits: not the one to take rows away
    for (const std::string& account : lifted) {
      entry(hash(RateLayer::account, account)).until = Times();
      unsaved_.erase(account);
    }
    used.swap(unsaved_);
  }
  if (used.empty() && lifted.empty()) return;
  Transaction transaction(database_);
  for (const std::string& account : lifted) {
    database_.prepare("DELETE FROM lifted WHERE account = ?1").bind(account).run();
    database_.prepare("DELETE FROM used WHERE account = ?1").bind(account).run();
  }
  save(used, rules);
  transaction.commit();
  if (database_.wal_pages() > 1'000) database_.checkpoint();
}

void RateLimits::save(const std::unordered_map<std::string, Times>& used, const std::vector<RateRule>& rules) {
  for (const auto& [account, times] : used) {
    for (size_t i = 0; i < rules.size(); ++i) {
      database_.prepare("INSERT OR REPLACE INTO used VALUES(?1, ?2, ?3, ?4)")
          .bind(account, rules[i].per.count(), rules[i].count, times[i])
          .run();
    }
  }
  database_.prepare("DELETE FROM used WHERE until < ?1").bind(microseconds(clock_)).run();
}

void RateLimits::load() {
  std::lock_guard database_lock(database_mutex_);
  std::lock_guard lock(mutex_);
  const auto& rules = policy_[static_cast<size_t>(RateLayer::account)];
  if (rules.empty()) return;
  Rows rows(database_.prepare("SELECT account, per, until FROM used"));
  while (rows.next()) {
    for (size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].per.count() == rows->integer(1))
        entry(hash(RateLayer::account, rows->text(0))).until[i] = rows->integer(2);
    }
  }
}

std::vector<RateUse> RateLimits::uses() {
  std::lock_guard lock(database_mutex_);
  const int64_t now = microseconds(clock_);
  std::vector<RateUse> found;
  Rows rows(database_
                .prepare("SELECT account, per, count, until FROM used WHERE until > ?1 AND account NOT IN"
                         " (SELECT account FROM lifted) ORDER BY account, per")
                .bind(now));
  while (rows.next()) {
    RateUse use;
    use.account = rows->text(0);
    use.rule = {static_cast<uint64_t>(rows->integer(2)), Seconds(rows->integer(1))};
    use.used = static_cast<uint64_t>((rows->integer(3) - now + cost(use.rule) - 1) / cost(use.rule));
    use.free = (rows->integer(3) + kSecond - 1) / kSecond;
    found.push_back(std::move(use));
  }
  return found;
}

bool RateLimits::lift(std::string_view account) {
  std::lock_guard lock(database_mutex_);
  const std::string name = lower(account);
  Transaction transaction(database_);
  database_.prepare("DELETE FROM used WHERE account = ?1").bind(name).run();
  const bool known = database_.changes() > 0;
  if (known) database_.prepare("INSERT OR IGNORE INTO lifted VALUES(?1)").bind(name).run();
  transaction.commit();
  return known;
}

std::string rate_sentence(const RateLimits::Refused& refused, UnixTime now) {
  const UnixTime seconds = std::max<UnixTime>(refused.again - now, 1);
  const UnixTime minutes = (seconds + 59) / 60;
  const std::string when = seconds < 60 ? fmt::format("{} second{}", seconds, seconds == 1 ? "" : "s")
                                        : fmt::format("{} minute{}", minutes, minutes == 1 ? "" : "s");
  const int64_t per = refused.rule.per.count();
  const std::string span = per % 86'400 == 0  ? fmt::format("{} d", per / 86'400)
                           : per % 3'600 == 0 ? fmt::format("{} h", per / 3'600)
                           : per % 60 == 0    ? fmt::format("{} min", per / 60)
                                              : fmt::format("{} s", per);
  return fmt::format("more than {} in {}; try again in {}", refused.rule.count, span, when);
}

}  // namespace postrider::store
