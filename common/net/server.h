// The loops of a daemon and what listens on them: one io_context and thread a core, each with its own acceptor of every
// port (SO_REUSEPORT); a session lives and dies on one loop.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/net/connection.h"
#include "common/net/watchdog.h"

namespace postrider::net {

struct ListenOptions {
  std::string name;     // "submission", for log lines
  std::string address;  // "127.0.0.1", "::", "0.0.0.0"
  uint16_t port = 0;    // 0: any
};

struct ConnectionLimits {
  size_t total = 10'000;     // sessions of the whole daemon
  size_t per_address = 500;  // from one address
};

class Server {
 public:
  /// Runs one session to its end. It catches ConnectionEnded itself; anything else that escapes is logged and ends the
  /// session. loop: number of the loop it runs on, from 0.
  using Session = std::function<asio::awaitable<void>(std::shared_ptr<Connection> connection, size_t loop)>;
  /// What is sent, as a whole line with CRLF, to a connection above a limit, before it is closed. No function: nothing
  /// is sent (a port that speaks TLS at once).
  using Refusal = std::function<std::string(const std::string& reason)>;

  explicit Server(size_t loops, ConnectionLimits limits);
  ~Server();

  /// Binds at once (before privileges are dropped); accepting begins with run(). The error is a sentence with address,
  /// port and reason. Gives the port. "::" is every address, IPv4 too; all IPv4 addresses where the system has no IPv6.
  Result<uint16_t> listen(const ListenOptions& options, Session session, Refusal refusal);

  /// Whether an address is that of a load balancer, whose connections begin with the PROXY protocol. From any thread;
  /// for connections that come from now on.
  void set_proxies(std::function<bool(const std::string& address)> is_proxy);

  size_t loops() const;
  asio::io_context& loop(size_t number);
  size_t sessions() const;
  struct ListenerFigures {
    std::string name;
    size_t sessions = 0;                 // now
    uint64_t accepted = 0, refused = 0;  // connections so far; refused: above a limit
  };
  /// One for each name. From any thread, when nothing more is listened on.
  std::vector<ListenerFigures> listeners() const;
  /// Which loop has been at one thing for longest; nothing while they do not run. From any thread.
  Watchdog::Held longest_held() const;
  /// From any thread; for connections that come from now on.
  void set_limits(ConnectionLimits limits);

  /// Runs the loops until stop(); this thread is loop 0. Throws std::system_error where there is no thread for one.
  void run();
  /// From any thread, once: no new connections; Connection::drain() for every session (one that is between commands
  /// gets ConnectionEnded shutting_down, says goodbye and ends); after the grace period the rest is cut. run() returns
  /// when the last session is gone.
  void stop(std::chrono::seconds grace);
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace postrider::net
