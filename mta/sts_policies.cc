#include "mta/sts_policies.h"

#include <utility>

#include "common/base/log.h"

namespace postrider {

StsPolicies::StsPolicies(store::TlsRecords& records, net::WorkerPool& workers, const Clock& clock, Ask ask, Fetch fetch)
    : records_(records), workers_(workers), clock_(clock), ask_(std::move(ask)), fetch_(std::move(fetch)) {}

asio::awaitable<StsPolicies::Found> StsPolicies::find(std::string domain) {
  std::shared_ptr<Entry> entry = co_await load(domain);
  const DnsAnswer answer = co_await ask_("_mta-sts." + domain, DnsType::txt);
  const std::optional<std::string> id = sts::policy_id(answer);
  const UnixTime now = clock_.unix_time();
  const auto is_old = [&] {
    return now >= entry->kept.fetched + std::chrono::seconds(kRefresh).count() || now >= entry->kept.expires;
  };
  if (entry->policy != nullptr && is_old()) co_await reload(entry);
  const bool fresh = entry->policy != nullptr && entry->kept.id == id && !is_old();
  // Without the record a policy that is kept holds on (RFC 8461 3.1): whoever attacks DNS could take the record away.
  if (id && !fresh && now >= entry->not_before) co_await refresh(entry, *id, now);
  Found found;
  if (id) found.trouble = entry->trouble;
  if (entry->policy == nullptr || clock_.unix_time() >= entry->kept.expires) co_return found;
  found.policy = entry->policy;
  found.text = entry->kept.text;
  co_return found;
}

asio::awaitable<std::shared_ptr<StsPolicies::Entry>> StsPolicies::load(std::string domain) {
  if (auto known = entries_.find(domain); known != entries_.end()) co_return known->second;
  auto job = [&] { return records_.policy(domain); };
  std::optional<store::KeptPolicy> kept = co_await workers_.run(std::move(job));
  if (!kept) kept.emplace().domain = domain;
  auto entry = entry_of(std::move(*kept));
  if (entries_.size() >= kMaxKept) entries_.clear();  // they are on the disk
  co_return entries_.emplace(domain, std::move(entry)).first->second;
}

std::shared_ptr<StsPolicies::Entry> StsPolicies::entry_of(store::KeptPolicy kept) {
  auto entry = std::make_shared<Entry>();
  auto policy = sts::parse_policy(kept.text);
  if (policy) {
    entry->kept = std::move(kept);
    entry->policy = std::make_shared<const sts::Policy>(std::move(*policy));
  } else {
    entry->kept.domain = std::move(kept.domain);
  }
  return entry;
}

/// What refresh_idle() has fetched meanwhile.
asio::awaitable<void> StsPolicies::reload(std::shared_ptr<Entry> entry) {
  auto job = [&] { return records_.policy(entry->kept.domain); };
  std::optional<store::KeptPolicy> kept = co_await workers_.run(std::move(job));
  if (!kept || kept->fetched <= entry->kept.fetched) co_return;
  const std::shared_ptr<Entry> newer = entry_of(std::move(*kept));
  if (newer->policy == nullptr) co_return;
  entry->kept = std::move(newer->kept);
  entry->policy = newer->policy;
}

asio::awaitable<void> StsPolicies::refresh_idle() {
  const UnixTime now = clock_.unix_time();
  const auto ageing = records_.ageing(now, now - std::chrono::seconds(kIdleTime).count(), kMaxIdle);
  for (const store::KeptPolicy& kept : ageing) {
    const DnsAnswer answer = co_await ask_("_mta-sts." + kept.domain, DnsType::txt);
    const std::optional<std::string> id = sts::policy_id(answer);
    if (id) co_await refresh(entry_of(kept), *id, kept.used);  // without a record the domain has none any more
  }
}

asio::awaitable<void> StsPolicies::refresh(std::shared_ptr<Entry> entry, std::string id, UnixTime used) {
  const std::string domain = entry->kept.domain;
  entry->not_before = clock_.unix_time() + std::chrono::seconds(kAgain).count();
  FetchedPolicy text = co_await fetch_(domain);
  auto policy = text ? sts::parse_policy(*text) : Result<sts::Policy>(failure(text.error().detail));
  if (!policy) {
    entry->trouble = text ? StsTrouble{"sts-policy-invalid", policy.error().message} : text.error();
    log_warn("mta_sts_failed",
             {{"domain", domain}, {"kept", entry->policy != nullptr}, {"reason", entry->trouble->detail}});
    co_return;
  }
  entry->trouble.reset();
  const UnixTime now = clock_.unix_time();
  entry->kept = {domain, std::move(id), std::move(*text), now, now + policy->max_age.count(), used};
  log_info("mta_sts_policy", {{"domain", domain}, {"mode", sts::to_string(policy->mode)}, {"id", entry->kept.id}});
  entry->policy = std::make_shared<const sts::Policy>(std::move(*policy));
  auto job = [&] { records_.keep(entry->kept); };
  co_await workers_.run(std::move(job));
}

}  // namespace postrider
