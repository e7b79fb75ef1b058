// Remote recipients in hand, by destination: who is tried when, over how many connections.
//
// A destination is what one route key names: domains that share their mail hosts share connections and pace. It begins
// with one connection; each message that it takes allows one more, trouble halves them. One that cannot be reached is
// dead for a while. The message that found that out comes back as the probe when the while is over; the others wait
// longer, without an attempt, and are released as soon as a probe succeeds. So a dead destination costs one connection
// attempt now and then, and a slow one holds up nobody else.
//
// One loop and thread for all of it; what reads files or the directory runs on a few more.
#pragma once

#include <asio.hpp>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/net/worker_pool.h"
#include "mta/delivery_settle.h"
#include "mta/transport.h"

namespace postrider {

// Of one destination in memory; the rest waits on the disk. Few until it has answered, and when it hangs: it must not
// hold what others could use.
constexpr size_t kMaxWaitingWork = 20'000, kMaxUntriedWork = 100;
constexpr uint64_t kMaxWaitingOctets = 40 << 20, kMaxUntriedOctets = 2 << 20;
constexpr std::chrono::seconds kMaxDeadTime{300};   // between two probes of a dead destination
constexpr std::chrono::seconds kRelayStopGrace{5};  // for transactions that are under way at the end
constexpr std::chrono::seconds kRouteLifetime{60};  // how long a domain's route is kept
constexpr size_t kMaxRoutes = 20'000;               // domains whose routes are kept
constexpr size_t kMaxDestinations = 20'000;         // that are remembered without having work
constexpr size_t kMaxRouteLookups = 200;            // at a time
constexpr size_t kMaxReleased = 10'000;             // domains of one destination that are told when it is back
constexpr size_t kRelayWorkers = 2;                 // threads for files and the directory

struct RelayLimits {
  size_t connections = 2'000;
  size_t connections_per_destination = 8;
  std::chrono::milliseconds idle_timeout{30'000};
  std::chrono::milliseconds stall_time{30'000};  // without an outcome, until a destination counts as one that hangs
};

class RelayQueue final : public RemoteDelivery {
 public:
  using Settled = std::function<void(Settlement)>;
  using Release = std::function<void(std::string domain)>;
  /// What the transport needs lives on the loop, so it is made for it. Throws what that throws.
  using MakeTransport = std::function<std::unique_ptr<Transport>(asio::io_context& loop, net::WorkerPool& workers)>;

  RelayQueue(const MakeTransport& make_transport, RelayLimits limits, Settler& settler, const Clock& clock,
             Settled settled, Release release);
  ~RelayQueue() override;

  void start() override;
  void stop() override;
  void push(std::vector<std::shared_ptr<MessageInHand>> messages) override;
  /// Other limits, and other routes once change has run on the loop: what waits for a dead destination is tried by
  /// them. From any thread.
  void configure(RelayLimits limits, std::function<void(Transport&)> change);

 private:
  /// Recipients of one message that go one way.
  struct Work {
    std::shared_ptr<MessageInHand> message;
    std::vector<size_t> recipients;
    RoutePtr route;
    uint64_t octets() const;
  };
  struct Domain;
  struct Destination;
  struct Waiter;
  using DestinationPtr = std::shared_ptr<Destination>;

  // From domains to destinations.
  void sort(std::shared_ptr<MessageInHand> message);
  void find_route(const std::string& name, Work work);
  void begin_lookups();
  asio::awaitable<void> look_up(std::string name);
  void add(Work work);

  // Connections.
  void staff(const DestinationPtr& destination);
  size_t allowed(const Destination& destination) const;
  asio::awaitable<void> work_for(DestinationPtr destination);
  asio::awaitable<bool> wait_for_work(DestinationPtr destination, bool keep);
  asio::awaitable<void> keep_pace(DestinationPtr destination);
  void worker_ended(const DestinationPtr& destination);
  void send_idle_away();
  void end_if_done();

  // Outcomes.
  void attempted(Destination& destination, const Work& work, std::vector<Outcome> outcomes);
  void declare_dead(Destination& destination, std::vector<Outcome>& outcomes);
  void put_off(const Work& work, const Outcome& outcome);
  void put_off_dead(Destination& destination, const Work& work);
  void put_off_crowded(Destination& destination, const Work& work);
  static void remember_domains(const Work& work, std::unordered_set<std::string>& domains);
  void watch_stalls();
  void settle(Work work, std::vector<Outcome> outcomes);
  static bool may_be_reported(const Work& work, const std::vector<Outcome>& outcomes);
  void settle_one(const Work& work, std::vector<Outcome>& outcomes, Settlement& settlement);
  void settle_all();

  Settler& settler_;
  const Clock& clock_;
  const Settled settled_;
  const Release release_;
  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_.get_executor()};
  std::thread thread_;

  // Outcomes that may be reported, on their way to a worker thread.
  std::mutex mutex_;
  std::vector<std::pair<Work, std::vector<Outcome>>> unsettled_;

  std::unique_ptr<net::WorkerPool> workers_;

  // Of the loop alone.
  RelayLimits limits_;
  std::unique_ptr<Transport> transport_;
  std::unordered_map<std::string, Domain> domains_;
  std::deque<std::string> unasked_;  // domains whose route is to be found
  size_t lookups_ = 0;
  std::unordered_map<std::string, DestinationPtr> destinations_;
  std::deque<DestinationPtr> starved_;  // have work, and there is no connection left for them
  std::list<Waiter*> idle_;             // with a connection, the one that has waited longest first
  std::list<Waiter*> pacing_;           // wait for their turn
  size_t connections_ = 0;
  asio::steady_timer watch_{loop_};  // for destinations that hang and hold much
  bool watching_ = false;
  bool stopping_ = false;
};

}  // namespace postrider
