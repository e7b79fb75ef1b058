#include "mta/policy_server.h"

#include "common/base/log.h"
#include "common/http/http.h"
#include "common/mailauth/mta_sts.h"

namespace postrider {
namespace {

constexpr std::string_view kPrefix = "mta-sts.";
constexpr std::string_view kPath = "/.well-known/mta-sts.txt";
constexpr std::string_view kPlain = "text/plain";

}  // namespace

PolicyServer::PolicyServer(store::DirectoryService& directory, net::WorkerPool& workers,
                           std::shared_ptr<net::TlsStore> tls, std::chrono::milliseconds timeout)
    : directory_(directory), workers_(workers), tls_(std::move(tls)), timeout_(timeout) {}

void PolicyServer::configure(const Config& config) {
  std::string text =
      sts::own_policy(config.mta_sts.mode, config.mta_sts.hosts, config.server.hostname, config.mta_sts.max_age);
  std::lock_guard lock(mutex_);
  text_ = std::move(text);
}

asio::awaitable<void> PolicyServer::run(std::shared_ptr<net::Connection> connection) {
  try {
    connection->set_deadline(timeout_);
    co_await connection->start_tls(tls_->current());
    connection->queue(co_await answer(*connection));
    co_await connection->flush();
  } catch (const net::ConnectionEnded& end) {
    log_debug("policy_client_gone", {{"client", connection->remote_address()}, {"reason", end.what()}});
  }
  connection->close();
}

asio::awaitable<std::string> PolicyServer::answer(net::Connection& connection) {
  std::string octets;
  auto request = http::parse_request(octets);
  while (request && !*request) {
    co_await connection.read_more();
    octets += connection.input();
    connection.consume(connection.input().size());
    request = http::parse_request(octets);
  }
  if (!request) co_return http::format_response(400, "Bad Request", kPlain, request.error().message + "\n");
  const http::Request& asked = **request;
  if (asked.method != "GET")
    co_return http::format_response(405, "Method Not Allowed", kPlain, "Only GET is answered here.\n");
  bool ours = asked.path == kPath && asked.host.starts_with(kPrefix);
  if (ours) {
    auto job = [&] {
      const std::string domain = asked.host.substr(kPrefix.size());
      return directory_.with([&](store::Directory& directory) { return directory.has_domain(domain); });
    };
    ours = co_await workers_.run(std::move(job));
  }
  if (!ours) co_return http::format_response(404, "Not Found", kPlain, "There is no such page here.\n");
  std::lock_guard lock(mutex_);
  co_return http::format_response(200, "OK", kPlain, text_);
}

}  // namespace postrider
