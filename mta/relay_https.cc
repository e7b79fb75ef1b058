// Router: what goes over HTTPS, MTA-STS policies from other domains' web servers and reports to them.
#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/http/http.h"
#include "common/mail/address.h"
#include "mta/relay_dial.h"
#include "mta/relay_route.h"

namespace postrider {
namespace {

constexpr std::chrono::seconds kTimeout{30};  // for all of it (RFC 8461 3.3 suggests a minute)
constexpr std::chrono::seconds kConnectTimeout{10};
constexpr size_t kMaxAnswer = http::kMaxHead + 2 * sts::kMaxPolicy;  // with the sizes of its chunks
constexpr std::string_view kFetchError = "sts-policy-fetch-error";
constexpr std::string_view kHttps = "https://";

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

struct Url {
  std::string host;
  uint16_t port = 0;  // 0: the usual one
  std::string path;
};

/// "https://host:port/path"; neither users nor addresses.
std::optional<Url> parse_url(std::string_view text) {
  if (!istarts_with(text, kHttps)) return std::nullopt;
  text.remove_prefix(kHttps.size());
  Url url;
  const size_t slash = std::min(text.find_first_of("/?#"), text.size());
  std::string_view host = text.substr(0, slash);
  url.path = text.substr(slash, text.find('#') - slash);
  if (!url.path.starts_with('/')) url.path.insert(0, "/");
  if (const size_t colon = host.find(':'); colon != std::string_view::npos) {
    const auto port = parse_number<uint16_t>(host.substr(colon + 1));
    if (!port || *port == 0) return std::nullopt;
    url.port = *port;
    host = host.substr(0, colon);
  }
  auto name = normalize_domain(host);
  if (!name || name->front() == '[') return std::nullopt;
  url.host = std::move(*name);
  return url;
}

}  // namespace

asio::awaitable<Router::HttpsAnswer> Router::exchange(HttpsRequest request,
                                                      std::shared_ptr<net::TlsClientContext> tls) {
  auto route = std::make_shared<SmtpRoute>();
  route->hosts.push_back({0, request.host});
  route->port = request.port;
  RelayAddresses addresses = co_await this->addresses(route);
  if (addresses.failure) co_return trouble(kFetchError, addresses.failure->reply);
  Dialer dialer(std::move(addresses.list), kConnectTimeout);
  const auto connection = co_await dialer.next();
  if (connection == nullptr) co_return trouble(kFetchError, "no connection: " + dialer.error());
  std::string reason;
  try {
    connection->set_deadline(kTimeout);
    co_await connection->start_tls_client(std::move(tls), request.host);
    const net::TlsSession session = connection->tls();
    if (request.verified && !session.verified) {
      co_return trouble("sts-webpki-invalid", fmt::format("the certificate of {}: {}", request.host, session.trouble));
    }
    connection->queue(request.octets);
    co_await connection->flush();
    auto response = co_await read_response(*connection);
    if (response) co_return std::move(*response);
    reason = response.error().message;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  co_return trouble(kFetchError, fmt::format("{}: {}", request.host, reason));
}

asio::awaitable<FetchedPolicy> Router::fetch_policy(std::string domain, std::shared_ptr<net::TlsClientContext> tls) {
  const std::string host = "mta-sts." + domain;
  HttpsRequest request{host, settings_.https_port, http::format_request(host, "/.well-known/mta-sts.txt"), true};
  HttpsAnswer response = co_await exchange(std::move(request), std::move(tls));
  if (!response) co_return tl::unexpected(std::move(response.error()));
  // Neither redirects nor pages of another type are followed or read (RFC 8461 3.3).
  if (response->status != 200) co_return trouble(kFetchError, fmt::format("{} answers {}", host, response->status));
  if (response->type != "text/plain") co_return trouble(kFetchError, fmt::format("{} gives no text/plain", host));
  co_return std::move(response->body);
}

asio::awaitable<Result<void>> Router::post(std::string url, std::string type, std::string octets,
                                           std::shared_ptr<net::TlsClientContext> tls) {
  const auto parsed = parse_url(url);
  if (!parsed) co_return failure("it is no URL that can be used");
  HttpsRequest request{parsed->host, parsed->port == 0 ? settings_.https_port : parsed->port,
                       http::format_post(parsed->host, parsed->path, type, octets), false};
  HttpsAnswer response = co_await exchange(std::move(request), std::move(tls));
  if (!response) co_return failure(response.error().detail);
  if (response->status / 100 != 2) co_return failure(fmt::format("{} answers {}", parsed->host, response->status));
  co_return Result<void>();
}

}  // namespace postrider
