// Remote recipients in hand, by destination: who is tried when, over how many connections.
//
// A destination begins with one connection; each message that it takes allows one more, trouble halves them. One that cannot
// be reached is dead for a while. The message that found that out comes back as the probe when the while is over; the others
// wait longer, without an attempt, and are released as soon as a probe succeeds. So a dead destination costs one connection
// attempt now and then, and a slow one holds up nobody else.
//
// One loop and thread for all of it.
#pragma once

#include <asio.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "mta/delivery_settle.h"
#include "mta/transport.h"

namespace postrider {

constexpr size_t kMaxWaitingWork = 500;                   // of one destination in memory; the rest waits on the disk
constexpr std::chrono::seconds kMaxDeadTime{300};         // between two probes of a dead destination
constexpr std::chrono::seconds kRelayStopGrace{5};        // for transactions that are under way at the end

struct RelayLimits {
  size_t connections = 500;
  size_t connections_per_destination = 8;
  std::chrono::milliseconds idle_timeout{30'000};
};

class RelayQueue final : public RemoteDelivery {
 public:
  using Settled = std::function<void(Settlement)>;
  using Release = std::function<void(std::string destination)>;
  /// What the transport needs lives on the loop, so it is made for it. Throws what that throws.
  using MakeTransport = std::function<std::unique_ptr<Transport>(asio::io_context& loop)>;

  RelayQueue(const MakeTransport& make_transport, RelayLimits limits, Settler& settler, const Clock& clock, Settled settled,
             Release release);
  ~RelayQueue() override;

  void start() override;
  void stop() override;
  void push(std::vector<std::shared_ptr<MessageInHand>> messages) override;

 private:
  struct Work {
    std::shared_ptr<MessageInHand> message;
    std::vector<size_t> recipients;
  };
  struct Destination;
  using DestinationPtr = std::shared_ptr<Destination>;

  void sort(std::shared_ptr<MessageInHand> message);
  void add(const std::string& name, Work work);
  void staff(const DestinationPtr& destination);
  asio::awaitable<void> work_for(DestinationPtr destination);
  asio::awaitable<bool> wait_for_work(DestinationPtr destination, bool keep);
  void attempted(Destination& destination, const Work& work, std::vector<Outcome> outcomes);
  void declare_dead(Destination& destination, std::vector<Outcome>& outcomes);
  void put_off(const Work& work, const Outcome& outcome);
  void put_off_dead(const Destination& destination, const Work& work);
  void settle(const Work& work, const std::vector<Outcome>& outcomes);
  void worker_ended(const DestinationPtr& destination);
  void end_if_done();

  const RelayLimits limits_;
  Settler& settler_;
  const Clock& clock_;
  const Settled settled_;
  const Release release_;
  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_.get_executor()};
  std::thread thread_;

  // Of the loop alone.
  std::unique_ptr<Transport> transport_;
  std::unordered_map<std::string, DestinationPtr> destinations_;
  std::deque<DestinationPtr> starved_;  // have work, and there is no connection left for them
  size_t workers_ = 0;
  bool stopping_ = false;
};

}  // namespace postrider
