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
  const bool fresh = entry->policy != nullptr && entry->kept.id == id &&
                     now < entry->kept.fetched + std::chrono::seconds(kRefresh).count() && now < entry->kept.expires;
  // Without the record a policy that is kept holds on (RFC 8461 3.1): whoever attacks DNS could take the record away.
  if (id && !fresh && now >= entry->not_before) co_await refresh(entry, *id);
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
  auto entry = std::make_shared<Entry>();
  entry->kept.domain = domain;
  auto policy = kept ? sts::parse_policy(kept->text) : Result<sts::Policy>(failure("none is kept"));
  if (policy) {
    entry->kept = std::move(*kept);
    entry->policy = std::make_shared<const sts::Policy>(std::move(*policy));
  }
  if (entries_.size() >= kMaxKept) entries_.clear();  // they are on the disk
  co_return entries_.emplace(domain, std::move(entry)).first->second;
}

asio::awaitable<void> StsPolicies::refresh(std::shared_ptr<Entry> entry, std::string id) {
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
  entry->kept = {domain, std::move(id), std::move(*text), now, now + policy->max_age.count()};
  log_info("mta_sts_policy", {{"domain", domain}, {"mode", sts::to_string(policy->mode)}, {"id", entry->kept.id}});
  entry->policy = std::make_shared<const sts::Policy>(std::move(*policy));
  auto job = [&] { records_.keep(entry->kept); };
  co_await workers_.run(std::move(job));
}

}  // namespace postrider
