// Router: the texts of MTA-STS policies, from other domains' web servers.
#include <fmt/format.h>

#include "common/http/http.h"
#include "mta/relay_dial.h"
#include "mta/relay_route.h"

namespace postrider {
namespace {

constexpr std::chrono::seconds kFetchTimeout{30};  // for all of it (RFC 8461 3.3 suggests a minute)
constexpr std::chrono::seconds kConnectTimeout{10};
constexpr size_t kMaxAnswer = http::kMaxHead + 2 * sts::kMaxPolicy;  // with the sizes of its chunks
constexpr std::string_view kFetchError = "sts-policy-fetch-error";

tl::unexpected<StsTrouble> trouble(std::string_view type, std::string detail) {
  return tl::unexpected(StsTrouble{std::string(type), std::move(detail)});
}

asio::awaitable<Result<http::Response>> read_response(net::Connection& connection) {
  std::string octets;
  for (bool ended = false;;) {
    auto response = http::parse_response(octets, ended, sts::kMaxPolicy);
    if (!response) co_return tl::unexpected(response.error());
    if (*response) co_return std::move(**response);
    if (octets.size() > kMaxAnswer) co_return failure("the answer is too long");
    try {
      co_await connection.read_more();
    } catch (const net::ConnectionEnded& end) {
      if (end.reason() != net::EndReason::peer_closed) throw;
      ended = true;
    }
    octets += connection.input();
    connection.consume(connection.input().size());
  }
}

}  // namespace

asio::awaitable<FetchedPolicy> Router::fetch_policy(std::string domain, std::shared_ptr<net::TlsClientContext> tls) {
  const std::string host = "mta-sts." + domain;
  auto route = std::make_shared<SmtpRoute>();
  route->hosts.push_back({0, host});
  route->port = settings_.https_port;
  RelayAddresses addresses = co_await this->addresses(route);
  if (addresses.failure) co_return trouble(kFetchError, addresses.failure->reply);
  Dialer dialer(std::move(addresses.list), kConnectTimeout);
  const auto connection = co_await dialer.next();
  if (connection == nullptr) co_return trouble(kFetchError, "no connection: " + dialer.error());
  std::string reason;
  try {
    connection->set_deadline(kFetchTimeout);
    co_await connection->start_tls_client(std::move(tls), host);
    const net::TlsSession session = connection->tls();
    if (!session.verified)
      co_return trouble("sts-webpki-invalid", fmt::format("the certificate of {}: {}", host, session.trouble));
    connection->queue(http::format_request(host, "/.well-known/mta-sts.txt"));
    co_await connection->flush();
    auto response = co_await read_response(*connection);
    if (!response) co_return trouble(kFetchError, fmt::format("{}: {}", host, response.error().message));
    // Neither redirects nor pages of another type are followed or read (RFC 8461 3.3).
    if (response->status != 200) co_return trouble(kFetchError, fmt::format("{} answers {}", host, response->status));
    if (response->type != "text/plain") co_return trouble(kFetchError, fmt::format("{} gives no text/plain", host));
    co_return std::move(response->body);
  } catch (const std::exception& error) {
    reason = error.what();
  }
  co_return trouble(kFetchError, fmt::format("{}: {}", host, reason));
}

}  // namespace postrider
