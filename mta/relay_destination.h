// What RelayQueue knows of a destination and of a domain. For relay_queue.cc and relay_domains.cc.
#pragma once

#include <algorithm>
#include <list>

#include "mta/relay_queue.h"

namespace postrider {

constexpr size_t kMaxPace = 10'000;               // connections to one destination, whatever the configuration says
constexpr std::chrono::seconds kCrowdedWait{60};  // at least, until what did not fit into memory is looked at again
constexpr std::chrono::seconds kMaxCrowdedWait{3'600};

/// A worker that waits with its connection, or for its turn.
struct RelayQueue::Waiter {
  explicit Waiter(asio::io_context& loop) : timer(loop) {}
  asio::steady_timer timer;
  bool called = false;     // there is work for it, or it was dismissed
  bool dismissed = false;  // is to go, others need the connection
};

struct RelayQueue::Destination {
  explicit Destination(std::string route_key) : key(std::move(route_key)) {}

  const std::string key;
  RouteLimits limits;
  std::deque<Work> waiting;
  uint64_t waiting_octets = 0;
  std::deque<Waiter*> idle;  // workers that wait, the one that came last first
  size_t workers = 0;
  size_t pace = 1;       // workers at once, where the limits allow that many
  bool starved = false;  // stands in starved_
  bool tried = false;    // it answered, since it was dead last

  int failures = 0;  // in a row, of reaching it
  UnixTime dead_until = 0;
  Outcome reason;                                // why it is dead
  std::unordered_set<std::string> dead_domains;  // whose mail waits for it to come back

  uint64_t crowded = 0;                             // recipients' worth of work that was sent back to the disk
  std::unordered_set<std::string> crowded_domains;  // whose
  uint64_t attempts = 0;                            // since first_attempt
  std::chrono::steady_clock::time_point first_attempt, last_end;
  std::chrono::steady_clock::time_point next_turn;  // of the next message, where messages per minute are limited

  bool is_unused() const { return workers == 0 && waiting.empty() && !starved; }
  bool has_room() const {
    return waiting.size() < (tried ? kMaxWaitingWork : kMaxUntriedWork) &&
           waiting_octets < (tried ? kMaxWaitingOctets : kMaxUntriedOctets);
  }
  Work take() {
    Work work = std::move(waiting.front());
    waiting.pop_front();
    waiting_octets -= std::min(waiting_octets, work.octets());
    return work;
  }
  void count_attempt() {
    tried = true;
    last_end = std::chrono::steady_clock::now();
    if (attempts++ == 0) first_attempt = last_end;
  }
  /// What it holds and has no chance to go soon, because nothing came to an end for long.
  std::vector<Work> take_stalled(std::chrono::steady_clock::time_point now, std::chrono::milliseconds stall_time) {
    std::vector<Work> taken;
    if (now - last_end < stall_time) return taken;
    tried = false;
    while (!waiting.empty() && !has_room()) {
      waiting_octets -= std::min(waiting_octets, waiting.back().octets());
      taken.push_back(std::move(waiting.back()));
      waiting.pop_back();
    }
    return taken;
  }
  /// Until the next work that does not fit will have its turn, by the speed so far.
  std::chrono::seconds crowded_wait() {
    ++crowded;
    std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - first_attempt;
    double each = attempts > 1 ? elapsed.count() / static_cast<double>(attempts) : 0;
    auto wait = std::chrono::seconds(static_cast<int64_t>(each * static_cast<double>(crowded)));
    return std::clamp<std::chrono::seconds>(wait, kCrowdedWait, kMaxCrowdedWait);
  }
};

/// A domain whose route is known, or being found.
struct RelayQueue::Domain {
  RoutePtr route;
  std::chrono::steady_clock::time_point expires;
  bool asked = false;         // its route is being found, or stands in unasked_
  std::vector<Work> waiting;  // for the route
  std::string failure_key;    // of the route that was none, found last
};

}  // namespace postrider
