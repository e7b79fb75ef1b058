#include "common/net/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "common/base/log.h"
#include "common/net/address_limits.h"

namespace postrider::net {
namespace {

constexpr int kBacklog = 4'096;
constexpr std::chrono::milliseconds kNoDescriptorsPause{200};
constexpr std::chrono::seconds kProxyPatience{5};  // for the header of a load balancer
constexpr std::chrono::seconds kCutPatience{3};    // for sessions that were cut but wait for a worker

using Acceptor = asio::ip::tcp::acceptor;

void open_acceptor(Acceptor& acceptor, const asio::ip::tcp::endpoint& endpoint, std::error_code& error) {
  acceptor.open(endpoint.protocol(), error);
  if (error) return;
  acceptor.set_option(Acceptor::reuse_address(true), error);
  // One acceptor a loop on the same port; the kernel spreads the connections.
  const int on = 1;
  if (!error && ::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
    error.assign(errno, std::system_category());
  }
  std::error_code ignored;
  if (endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), ignored);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
}

/// SO_REUSEPORT would let a second server of the same user share the port without a word, and half of the connections
/// with it; so the port is tried once without.
std::error_code try_port(asio::io_context& loop, const asio::ip::tcp::endpoint& endpoint) {
  std::error_code error, ignored;
  Acceptor probe(loop);
  probe.open(endpoint.protocol(), error);
  if (!error) probe.set_option(Acceptor::reuse_address(true), error);
  if (endpoint.address().is_v6()) probe.set_option(asio::ip::v6_only(false), ignored);
  if (!error) probe.bind(endpoint, error);
  return error;
}

// Asio's error category knows nothing of std::errc: the numbers are compared.
bool lacks_ipv6(const std::error_code& error) {
  return error.value() == EAFNOSUPPORT || error.value() == EADDRNOTAVAIL;
}

bool out_of_resources(const std::error_code& error) {
  const int number = error.value();
  return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

}  // namespace

struct Server::Impl {
  struct Listener {
    ListenOptions options;
    Session session;
    Refusal refusal;
    std::atomic<size_t> sessions = 0;
    std::atomic<uint64_t> accepted = 0, refused = 0;
  };

  struct Loop {
    explicit Loop(size_t index) : number(index), context(1), work(context.get_executor()) {}
    size_t number;
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::vector<std::pair<Acceptor, Listener*>> acceptors;
    bool out_of_descriptors = false;
  };

  /// One session's place in the books, given up however it ends.
  class Place {
   public:
    Place(Impl& server, Loop& loop, Listener& listener, std::shared_ptr<Connection> connection)
        : server_(server), loop_(loop), listener_(listener), connection_(connection.get()) {
      ++listener_.sessions;
      ++listener_.accepted;
      loop_.connections.emplace(connection_, std::move(connection));
    }
    ~Place() {
      auto found = loop_.connections.find(connection_);
      std::shared_ptr<Connection> connection = std::move(found->second);
      loop_.connections.erase(found);
      --listener_.sessions;
      connection->close();
      server_.limits.leave(connection->remote_address());
      server_.stop_if_finished();
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Impl& server_;
    Loop& loop_;
    Listener& listener_;
    Connection* connection_;
  };

  Impl(Server& owner, size_t loop_count, ConnectionLimits connection_limits)
      : server(owner), limits(connection_limits) {
    if (loop_count == 0) loop_count = std::max(1U, std::thread::hardware_concurrency());
    for (size_t i = 0; i < loop_count; ++i) loops.push_back(std::make_unique<Loop>(i));
  }

  ~Impl() {
    ended = true;
    watchdog.reset();
    // Sessions that are still suspended go with their loop, and strike themselves off the books while they go.
    loops.clear();
  }

  asio::awaitable<void> accept(Loop& loop, size_t index) {
    Acceptor& acceptor = loop.acceptors[index].first;
    Listener& listener = *loop.acceptors[index].second;
    while (acceptor.is_open()) {
      std::error_code error;
      asio::ip::tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (server.stopping()) co_return;
      if (!error) {
        loop.out_of_descriptors = false;
        begin(loop, listener, std::move(socket));
      } else if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
        co_return;
      } else if (out_of_resources(error)) {
        // It would fail again at once, and again.
        if (!loop.out_of_descriptors) {
          log_error("accept_paused", {{"listener", listener.options.name},
                                      {"error", error.message()},
                                      {"advice", "raise the limit of open files or lower max_connections"}});
        }
        loop.out_of_descriptors = true;
        asio::steady_timer pause(loop.context, kNoDescriptorsPause);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
    }
  }

  void begin(Loop& loop, Listener& listener, asio::ip::tcp::socket socket) {
    std::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    auto connection = std::make_shared<Connection>(std::move(socket));
    if (connection->remote_address().empty()) return;  // gone already
    if (!is_proxy(connection->remote_address())) return enter(loop, listener, std::move(connection));
    auto nothing_left = [](const std::exception_ptr&) {};  // it was logged
    asio::co_spawn(loop.context, enter_by_proxy(loop, listener, std::move(connection)), nothing_left);
  }

  bool is_proxy(const std::string& address) {
    std::lock_guard lock(proxies_mutex);
    return proxies && proxies(address);
  }

  /// The client's own address is what limits and bans are about.
  asio::awaitable<void> enter_by_proxy(Loop& loop, Listener& listener, std::shared_ptr<Connection> connection) {
    const std::string balancer = connection->remote_address();
    try {
      connection->set_deadline(kProxyPatience);
      co_await connection->read_proxy_header();
      connection->clear_deadline();
    } catch (const std::exception& error) {
      log_warn("proxy_header", {{"listener", listener.options.name}, {"address", balancer}, {"reason", error.what()}});
      connection->close();
      co_return;
    }
    if (server.stopping()) co_return;
    enter(loop, listener, std::move(connection));
  }

  void enter(Loop& loop, Listener& listener, std::shared_ptr<Connection> connection) {
    const std::string reason = limits.enter(connection->remote_address());
    if (!reason.empty()) {
      ++listener.refused;
      log_info("connection_refused",
               {{"listener", listener.options.name}, {"address", connection->remote_address()}, {"reason", reason}});
      if (listener.refusal) connection->queue(listener.refusal(reason));
      connection->close();
      return;
    }
    // Whatever escapes from a session ends here, and is never passed over in silence.
    auto ended_with = [&listener](const std::exception_ptr& failure) {
      if (!failure) return;
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        log_error("session_failed", {{"listener", listener.options.name}, {"error", error.what()}});
      } catch (...) {
        log_error("session_failed", {{"listener", listener.options.name}, {"error", "unknown"}});
      }
    };
    asio::co_spawn(loop.context, run_session(loop, listener, std::move(connection)), ended_with);
  }

  asio::awaitable<void> run_session(Loop& loop, Listener& listener, std::shared_ptr<Connection> connection) {
    Place place(*this, loop, listener, connection);
    try {
      co_await listener.session(connection, loop.number);
    } catch (const ConnectionEnded& end) {
      log_debug(
          "session_ended",
          {{"listener", listener.options.name}, {"address", connection->remote_address()}, {"reason", end.what()}});
    }
  }

  void for_each_connection(Loop& loop, const std::function<void(Connection&)>& visit) {
    std::vector<std::shared_ptr<Connection>> all;
    for (auto& [key, connection] : loop.connections) all.push_back(connection);
    for (auto& connection : all) visit(*connection);
  }

  void stop_loop(Loop& loop, std::chrono::seconds grace) {
    for (auto& [acceptor, listener] : loop.acceptors) {
      std::error_code ignored;
      acceptor.close(ignored);
    }
    for_each_connection(loop, [](Connection& connection) { connection.drain(); });
    ++closed_loops;
    stop_if_finished();
    auto timer = std::make_shared<asio::steady_timer>(loop.context, grace);
    timer->async_wait([this, &loop, timer](const std::error_code& error) {
      if (error) return;
      if (!loop.connections.empty())
        log_warn("sessions_cut", {{"loop", loop.number}, {"sessions", loop.connections.size()}});
      for_each_connection(loop, [](Connection& connection) { connection.stop(EndReason::shutting_down); });
      timer->expires_after(kCutPatience);
      timer->async_wait([this, timer](const std::error_code& again) {
        if (!again) stop_all();
      });
    });
  }

  void stop_if_finished() {
    if (!ended && server.stopping() && closed_loops == loops.size() && limits.total() == 0) stop_all();
  }

  void stop_all() {
    for (auto& loop : loops) loop->context.stop();
  }

  Server& server;
  AddressLimits limits;
  std::mutex proxies_mutex;
  std::function<bool(const std::string&)> proxies;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::unique_ptr<Loop>> loops;
  mutable std::mutex watchdog_mutex;  // of the pointer
  std::unique_ptr<Watchdog> watchdog;
  std::atomic<size_t> closed_loops = 0;
  std::atomic<bool> ended = false;
};

Server::Server(size_t loops, ConnectionLimits limits) : impl_(std::make_unique<Impl>(*this, loops, limits)) {
  std::signal(SIGPIPE, SIG_IGN);
}
Server::~Server() = default;

Result<uint16_t> Server::listen(const ListenOptions& options, Session session, Refusal refusal) {
  std::error_code error;
  asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) return failure(fmt::format("{} is no address to listen on for {}.", options.address, options.name));
  auto& listener = impl_->listeners.emplace_back(std::make_unique<Impl::Listener>());
  listener->options = options;
  listener->session = std::move(session);
  listener->refusal = std::move(refusal);
  asio::ip::tcp::endpoint endpoint(address, options.port);
  for (auto& loop : impl_->loops) {
    Acceptor acceptor(loop->context);
    if (options.port != 0 && loop == impl_->loops.front()) error = try_port(loop->context, endpoint);
    if (!error) open_acceptor(acceptor, endpoint, error);
    if (error && lacks_ipv6(error) && address == asio::ip::address(asio::ip::address_v6::any())) {
      endpoint = asio::ip::tcp::endpoint(asio::ip::address_v4::any(), endpoint.port());
      acceptor = Acceptor(loop->context);
      error.clear();
      open_acceptor(acceptor, endpoint, error);
    }
    if (error) {
      return failure(fmt::format("Port {} of {} cannot be listened on for {}: {}.", endpoint.port(), options.address,
                                 options.name, error.message()));
    }
    endpoint.port(acceptor.local_endpoint().port());
    loop->acceptors.emplace_back(std::move(acceptor), impl_->listeners.back().get());
  }
  return endpoint.port();
}

void Server::set_proxies(std::function<bool(const std::string& address)> is_proxy) {
  std::lock_guard lock(impl_->proxies_mutex);
  impl_->proxies = std::move(is_proxy);
}

size_t Server::loops() const {
  return impl_->loops.size();
}
asio::io_context& Server::loop(size_t number) {
  return impl_->loops.at(number)->context;
}
size_t Server::sessions() const {
  return impl_->limits.total();
}
std::vector<Server::ListenerFigures> Server::listeners() const {
  std::vector<ListenerFigures> all;
  for (const auto& listener : impl_->listeners) {
    auto same = std::find_if(all.begin(), all.end(),
                             [&](const ListenerFigures& one) { return one.name == listener->options.name; });
    if (same == all.end()) same = all.insert(same, {listener->options.name});
    same->sessions += listener->sessions;
    same->accepted += listener->accepted;
    same->refused += listener->refused;
  }
  return all;
}
Watchdog::Held Server::longest_held() const {
  std::lock_guard lock(impl_->watchdog_mutex);
  return impl_->watchdog ? impl_->watchdog->longest_held() : Watchdog::Held();
}
void Server::set_limits(ConnectionLimits limits) {
  impl_->limits.set(limits);
}

void Server::run() {
  std::vector<asio::io_context*> contexts;
  for (auto& loop : impl_->loops) {
    contexts.push_back(&loop->context);
    for (size_t i = 0; i < loop->acceptors.size(); ++i) {
      auto ended = [](const std::exception_ptr& failure) {
        if (failure) log_error("accept_ended", {{"error", "an exception; no more connections are taken on this loop"}});
      };
      asio::co_spawn(loop->context, impl_->accept(*loop, i), ended);
    }
  }
  const auto watch = [this](std::unique_ptr<Watchdog> watchdog) {
    std::lock_guard lock(impl_->watchdog_mutex);
    impl_->watchdog.swap(watchdog);
  };
  watch(std::make_unique<Watchdog>(std::move(contexts)));
  std::vector<std::thread> threads;
  try {
    for (size_t i = 1; i < impl_->loops.size(); ++i) {
      threads.emplace_back([context = &impl_->loops[i]->context] { context->run(); });
    }
  } catch (...) {
    impl_->stop_all();
    for (std::thread& thread : threads) thread.join();
    watch(nullptr);
    throw;
  }
  impl_->loops.front()->context.run();
  for (std::thread& thread : threads) thread.join();
  watch(nullptr);
}

void Server::stop(std::chrono::seconds grace) {
  if (stopping_.exchange(true)) return;
  for (auto& loop : impl_->loops) {
    asio::post(loop->context, [impl = impl_.get(), loop = loop.get(), grace] { impl->stop_loop(*loop, grace); });
  }
}

}  // namespace postrider::net
