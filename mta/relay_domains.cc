// RelayQueue: from recipients to domains, and from domains to destinations.
#include <map>
#include <utility>

#include "common/base/log.h"
#include "mta/relay_destination.h"

namespace postrider {

uint64_t RelayQueue::Work::octets() const {
  constexpr uint64_t kOverhead = 2'048;
  const auto& body = message->message().body;
  return kOverhead + (body != nullptr ? body->memory().size() : 0);
}

void RelayQueue::sort(std::shared_ptr<MessageInHand> message) {
  std::map<std::string, std::vector<size_t>> by_domain;
  const auto& recipients = message->message().recipients;
  for (size_t i = 0; i < recipients.size(); ++i) by_domain[transport_->domain(recipients[i])].push_back(i);
  for (auto& [name, indices] : by_domain) {
    Work work{message, std::move(indices), nullptr};
    if (name.empty()) {
      put_off(work, Outcome::permanent("5.1.2", "The part after the @ is no domain name"));
    } else {
      find_route(name, std::move(work));
    }
  }
}

void RelayQueue::find_route(const std::string& name, Work work) {
  if (domains_.size() >= kMaxRoutes && !domains_.contains(name)) {
    std::erase_if(domains_, [](const auto& entry) { return !entry.second.asked; });
  }
  Domain& domain = domains_[name];
  if (domain.route != nullptr && std::chrono::steady_clock::now() < domain.expires) {
    work.route = domain.route;
    add(std::move(work));
    return;
  }
  if (domain.waiting.size() >= kMaxUntriedWork) {
    Outcome later = Outcome::temporary("4.4.3", "DNS is slow to say where that mail goes");
    later.attempted = false;
    put_off(work, later);
    return;
  }
  domain.waiting.push_back(std::move(work));
  if (std::exchange(domain.asked, true)) return;
  unasked_.push_back(name);
  begin_lookups();
}

void RelayQueue::begin_lookups() {
  while (!stopping_ && !unasked_.empty() && lookups_ < kMaxRouteLookups) {
    ++lookups_;
    std::string name = std::move(unasked_.front());
    unasked_.pop_front();
    asio::co_spawn(loop_, look_up(std::move(name)), [this](const std::exception_ptr& error) {
      --lookups_;
      if (error) log_error("relay_lookup_failed", {});
      begin_lookups();
    });
  }
}

asio::awaitable<void> RelayQueue::look_up(std::string name) {
  RoutePtr route;
  try {
    route = co_await transport_->find(name);
  } catch (const std::exception& error) {
    log_error("relay_route_failed", {{"domain", name}, {"reason", error.what()}});
    auto none = std::make_shared<Route>();
    none->key = "?" + name;
    none->failure = Outcome::temporary("4.3.0", "This server was short of something");
    route = std::move(none);
  }
  Domain& domain = domains_.at(name);
  domain.asked = false;
  domain.route = route->failure ? nullptr : route;  // a failure is asked about again
  domain.expires = std::chrono::steady_clock::now() + kRouteLifetime;
  std::string failed_before = std::exchange(domain.failure_key, route->failure ? route->key : std::string());
  for (Work& work : std::exchange(domain.waiting, {})) {
    work.route = route;
    add(std::move(work));
  }
  // There is a way again: what waited because there was none need not wait longer.
  auto old = destinations_.find(failed_before);
  if (route->failure || old == destinations_.end()) co_return;
  for (const std::string& waiting : std::exchange(old->second->dead_domains, {})) release_(waiting);
  if (old->second->is_unused()) destinations_.erase(old);
}

}  // namespace postrider
