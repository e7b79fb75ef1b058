#include "common/daemon/monitor.h"

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/http/http.h"

namespace postrider {
namespace {

constexpr std::string_view kPlain = "text/plain; charset=utf-8";
constexpr std::string_view kExposition = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::chrono::seconds kAcceptPause{1};  // after a failure, which is one of descriptors

config::NetworkSet networks_of(const Config::Metrics& metrics) {
  return config::NetworkSet::parse(metrics.networks)
      .value_or(config::NetworkSet());  // was looked at when it was loaded
}

}  // namespace

Monitor::Monitor(const Config::Metrics& metrics) : networks_(networks_of(metrics)) {}

Monitor::~Monitor() {
  stop();
}

Result<std::unique_ptr<Monitor>> Monitor::listen(const Config::Metrics& metrics, uint16_t port) {
  std::unique_ptr<Monitor> monitor(new Monitor(metrics));
  std::error_code error;
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(metrics.address, error), port);
  asio::ip::tcp::acceptor& acceptor = monitor->acceptor_;
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return failure(
        fmt::format("Port {} of {} cannot be listened on for metrics: {}.", port, metrics.address, error.message()));
  }
  monitor->port_ = acceptor.local_endpoint().port();
  return monitor;
}

void Monitor::configure(const Config::Metrics& metrics) {
  std::lock_guard lock(mutex_);
  networks_ = networks_of(metrics);
}

void Monitor::start() {
  asio::co_spawn(loop_, accept(), [](const std::exception_ptr& error) {
    if (error) log_error("monitor_ended", {{"reason", "an exception; figures are no longer told"}});
  });
  thread_ = std::thread([this] { loop_.run(); });
}

void Monitor::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

asio::awaitable<void> Monitor::accept() {
  for (;;) {
    std::error_code error;
    asio::ip::tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      asio::steady_timer pause(loop_, kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    auto connection = std::make_shared<net::Connection>(std::move(socket));
    if (clients_ >= kMaxMonitorClients || !may_ask(*connection)) {
      connection->close();
      continue;
    }
    ++clients_;
    asio::co_spawn(loop_, serve(std::move(connection)), [this](const std::exception_ptr& error_in) {
      --clients_;
      if (error_in) log_error("monitor_failed", {{"reason", "an exception; one question was not answered"}});
    });
  }
}

bool Monitor::may_ask(const net::Connection& connection) {
  if (connection.from_loopback()) return true;
  std::lock_guard lock(mutex_);
  return networks_.contains(connection.remote_address());
}

asio::awaitable<void> Monitor::serve(std::shared_ptr<net::Connection> connection) {
  try {
    connection->set_deadline(kMonitorPatience);
    co_await converse(*connection);
  } catch (const net::ConnectionEnded& end) {
    log_debug("monitor_client_gone", {{"client", connection->remote_address()}, {"reason", end.what()}});
  }
  connection->close();
}

asio::awaitable<void> Monitor::converse(net::Connection& connection) {
  std::string octets, said;
  while (said.empty()) {
    co_await connection.read_more();
    octets += connection.input();
    connection.consume(connection.input().size());
    said = answer(octets);
  }
  co_await connection.write(said);
}

/// Empty: the request is not whole yet.
std::string Monitor::answer(std::string_view octets) {
  const auto request = http::parse_request(octets);
  if (!request) return http::format_response(400, "Bad Request", kPlain, request.error().message + "\n");
  if (!*request) return {};
  if ((*request)->method != "GET")
    return http::format_response(405, "Method Not Allowed", kPlain, "Only GET is answered here.\n");
  if ((*request)->path == "/metrics") return http::format_response(200, "OK", kExposition, metrics_page());
  if ((*request)->path == "/healthz") return health();
  return http::format_response(404, "Not Found", kPlain, "There are /metrics and /healthz here.\n");
}

std::string Monitor::metrics_page() {
  metrics::Page page;
  metrics::write_counted(page);
  for (const Source& source : sources_) {
    try {
      source(page);
    } catch (const std::exception& error) {
      log_error("monitor_failed", {{"reason", error.what()}});  // the others are told all the same
    }
  }
  return page.text();
}

std::string Monitor::health() {
  std::string text;
  bool well = true;
  for (const auto& [name, check] : checks_) {
    std::string trouble;
    try {
      trouble = check();
    } catch (const std::exception& error) {
      trouble = error.what();
    }
    well = well && trouble.empty();
    text += fmt::format("{}: {}\n", name, trouble.empty() ? "well" : trouble);
  }
  return http::format_response(well ? 200 : 503, well ? "OK" : "Service Unavailable", kPlain, text);
}

}  // namespace postrider
