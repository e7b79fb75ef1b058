#include "mta/key_rotation.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/mailauth/dkim_check.h"

namespace postrider {
namespace {

using dkim::Published;
using store::DkimKey;
using store::DkimUse;

/// The one that signs, of the same kind; null: there is none.
const DkimKey* signing_key(const std::vector<DkimKey>& keys, dkim::Algorithm algorithm, UnixTime now) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const DkimKey& key) {
    return key.algorithm == algorithm && store::use_of(keys, key, now) == DkimUse::signs;
  });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

UnixTime KeyRotation::made_at(const DkimKey& signs, Seconds period) {
  return signs.signs_from + period.count() - std::min<UnixTime>(kMaxAhead, period.count() / 3);
}

asio::awaitable<void> KeyRotation::run(Seconds period, Ask ask) {
  for (const std::string& domain : keys_.domains()) {
    if (period.count() > 0) make_followers(domain, keys_.list(domain), period);
    const auto keys = keys_.list(domain);
    for (const DkimKey& key : keys) {
      const DkimUse use = store::use_of(keys, key, clock_.unix_time());
      const bool unused = use == DkimUse::unused && period.count() > 0;
      if (use != DkimUse::waits && !unused) continue;
      const DnsAnswer answer = co_await ask(key.record_name(), DnsType::txt);
      unused ? look_after_unused(key, answer) : look_after_waiting(keys, key, period, answer);
    }
  }
}

/// Of each kind that the domain has.
void KeyRotation::make_followers(const std::string& domain, const std::vector<DkimKey>& keys, Seconds period) {
  const UnixTime now = clock_.unix_time();
  for (dkim::Algorithm algorithm : {dkim::Algorithm::rsa_sha256, dkim::Algorithm::ed25519_sha256}) {
    const DkimKey* signs = signing_key(keys, algorithm, now);
    if (signs == nullptr || now < made_at(*signs, period) || keys.size() + 1 >= store::kMaxDkimKeys) continue;
    const bool follows = std::any_of(keys.begin(), keys.end(), [&](const DkimKey& key) {
      return key.algorithm == algorithm && key.signs_from > now;
    });
    if (follows) continue;
    const DkimKey made = keys_.create(domain, algorithm, now, store::kWhenPublished);
    log_info("dkim_key_made", {{"domain", domain}, {"selector", made.selector}, {"publish", keys_.record_file(made)}});
  }
}

void KeyRotation::look_after_waiting(const std::vector<DkimKey>& keys, const DkimKey& key, Seconds period,
                                     const DnsAnswer& answer) {
  const UnixTime now = clock_.unix_time();
  const std::string name = key.record_name();
  const Published published = dkim::is_published(key.record, answer);
  if (published != Published::yes) {
    seen_since_.erase(name);
    if (published == Published::unknown || !may_remind(name)) return;
    log_warn("dkim_key_waits", {{"domain", key.domain},
                                {"selector", key.selector},
                                {"publish", keys_.record_file(key)},
                                {"reason", published == Published::no ? "its record is not in DNS"
                                                                      : "DNS has another record under its name"}});
    return;
  }
  const DkimKey* signs = signing_key(keys, key.algorithm, now);
  const UnixTime turn = signs == nullptr ? now : signs->signs_from + period.count();
  const UnixTime since = seen_since_.emplace(name, now).first->second;
  if (now < turn || now < since + kSpread) return;
  if (keys_.set_signs_from(key, now)) log_info("dkim_key_signs", {{"domain", key.domain}, {"selector", key.selector}});
  seen_since_.erase(name);
}

/// The key stays as long as its record, which somebody is still to be told of.
void KeyRotation::look_after_unused(const DkimKey& key, const DnsAnswer& answer) {
  if (answer.status == DnsAnswer::Status::failed) return;
  if (answer.nothing()) {
    if (keys_.remove(key.domain, key.selector))
      log_info("dkim_key_removed", {{"domain", key.domain}, {"selector", key.selector}});
  } else if (may_remind(key.record_name())) {
    log_info("dkim_record_unused", {{"domain", key.domain}, {"remove_from_dns", key.record_name()}});
  }
}

bool KeyRotation::may_remind(const std::string& name) {
  const UnixTime now = clock_.unix_time();
  std::erase_if(reminded_, [&](const auto& entry) { return entry.second + kRemind <= now; });
  return reminded_.emplace(name, now).second;
}

}  // namespace postrider
