// Where a daemon tells of itself, by HTTP on a port of its own: /metrics for Prometheus, /healthz for whoever restarts
// it or sends clients elsewhere.
//
// It has a thread of its own, and on that may read the disk: what it says of the loops must not wait for one of them.
#pragma once

#include <asio.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/metrics.h"
#include "common/base/result.h"
#include "common/config/config.h"
#include "common/config/values.h"
#include "common/net/connection.h"

namespace postrider {

constexpr size_t kMaxMonitorClients = 16;             // at a time; further ones are closed
constexpr std::chrono::seconds kMonitorPatience{10};  // for all of one connection

class Monitor {
 public:
  /// Writes figures that are looked up.
  using Source = std::function<void(metrics::Page& page)>;
  /// A sentence that says what is wrong, and what to do; empty: all is well.
  using Check = std::function<std::string()>;

  /// Binds metrics.address. The error is a sentence.
  static Result<std::unique_ptr<Monitor>> listen(const Config::Metrics& metrics, uint16_t port);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  uint16_t port() const { return port_; }
  /// Other metrics.networks, for who comes from now on. From any thread.
  void configure(const Config::Metrics& metrics);

  /// Both before start(); what they use must outlive stop(). From the monitor's thread.
  void add(Source source) { sources_.push_back(std::move(source)); }
  void add(std::string name, Check check) { checks_.emplace_back(std::move(name), std::move(check)); }

  void start();
  void stop();

 private:
  explicit Monitor(const Config::Metrics& metrics);
  asio::awaitable<void> accept();
  asio::awaitable<void> serve(std::shared_ptr<net::Connection> connection);
  asio::awaitable<void> converse(net::Connection& connection);
  std::string answer(std::string_view octets);
  std::string metrics_page();
  std::string health();
  bool may_ask(const net::Connection& connection);

  std::vector<Source> sources_;
  std::vector<std::pair<std::string, Check>> checks_;
  std::mutex mutex_;
  config::NetworkSet networks_;
  uint16_t port_ = 0;
  size_t clients_ = 0;
  asio::io_context loop_{1};
  asio::ip::tcp::acceptor acceptor_{loop_};
  std::thread thread_;
};

}  // namespace postrider
