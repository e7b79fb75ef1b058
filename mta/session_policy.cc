// How much mail a session may hand over, and what is held against its client: rates, lists, greylisting, the tarpit.
#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/mailauth/ip.h"
#include "common/net/address_limits.h"
#include "mta/client_checks.h"
#include "mta/session.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;
using store::RateLayer;

namespace {

/// "192.0.2.0/24", "2001:db8:1::/48": whose addresses one sender may well have all to himself.
std::string neighbourhood(const std::string& address) {
  const auto parsed = IpAddress::parse(address);
  if (!parsed) return address;
  if (!parsed->is_v6()) return address.substr(0, address.rfind('.')) + ".0/24";
  std::error_code error;
  auto bytes = asio::ip::make_address_v6(address, error).to_bytes();
  for (size_t i = 6; i < bytes.size(); ++i) bytes[i] = 0;
  return asio::ip::address_v6(bytes).to_string() + "/48";
}

}  // namespace

/// What is known of the client is found out once a session, when it first says that it has mail.
asio::awaitable<std::optional<Reply>> Session::admit_sender() {
  if (!from_elsewhere()) co_return std::nullopt;
  const std::string& address = connection_->remote_address();
  const std::string network = net::network_of(address);
  if (auto refusal = beyond_rate(RateLayer::address, network, "your address")) co_return refusal;
  if (auto refusal = beyond_rate(RateLayer::network, neighbourhood(address), "your network")) co_return refusal;
  if (!facts_ && service_.dns != nullptr && !connection_->from_loopback()) co_await examine();
  co_return std::nullopt;
}

asio::awaitable<void> Session::examine() {
  ClientFacts facts = co_await examine_client(*service_.dns, connection_->remote_address(), helo_,
                                              connection_->local_address(), settings_);
  facts_ = std::make_shared<ClientFacts>(std::move(facts));
}

asio::awaitable<std::optional<Reply>> Session::admit_recipient(const Address& path,
                                                               const store::Resolution& resolution) {
  if (account_ && resolution.kind == store::RecipientKind::foreign_domain) {
    store::RateLimits& rates = service_.rates;
    if (rates.has_rules(RateLayer::account) && rates.stale()) {
      auto look = [&rates] { rates.refresh(); };
      co_await service_.workers.run(std::move(look));
    }
    co_return beyond_rate(RateLayer::account, account_->address, account_->address);
  }
  if (!from_elsewhere()) co_return std::nullopt;
  // RFC 5321 4.5.1: whoever is kept out wrongly has to be able to say so.
  const bool to_postmaster = iequals(path.local_part, "postmaster");
  if (facts_ && facts_->refusal && !to_postmaster) co_return facts_->refusal;
  if (auto refusal = beyond_rate(RateLayer::recipient, path.to_string(), "this mailbox")) co_return refusal;
  if (to_postmaster || config().greylist.enabled != "on") co_return std::nullopt;
  co_return co_await greylisted(path);
}

asio::awaitable<std::optional<Reply>> Session::greylisted(const Address& path) {
  const Config::Greylist& config = this->config().greylist;
  const store::GreylistPolicy policy{config.delay, config.window, config.memory};
  auto ask = [&greylist = service_.greylist, network = neighbourhood(connection_->remote_address()),
              sender = transaction_->reverse_path, recipient = path.to_string(),
              policy] { return greylist.ask(network, sender, recipient, policy); };
  const auto again = co_await service_.workers.run(std::move(ask));
  if (!again) co_return std::nullopt;
  const UnixTime seconds = std::max<UnixTime>(*again - service_.clock.unix_time(), 1);
  co_return Reply(450, status::kFilterTrouble,
                  fmt::format("nobody has written from you to there before; try again in {} seconds", seconds));
}

/// Counts one more, or says that it is one too many.
std::optional<Reply> Session::beyond_rate(RateLayer layer, const std::string& key, std::string_view whose) {
  const auto refused = service_.rates.take(layer, key);
  if (!refused) return std::nullopt;
  const std::string sentence = store::rate_sentence(*refused, service_.clock.unix_time());
  log_info("rate_limited",
           {{"connection", number_}, {"client", connection_->remote_address()}, {"key", key}, {"limit", sentence}});
  return Reply(
      450, status::kFilterTrouble,
      fmt::format("that is too much mail {} {}: {}", layer == RateLayer::recipient ? "for" : "from", whose, sentence));
}

/// A client that has made many mistakes waits for each further answer.
asio::awaitable<void> Session::tarpit() {
  asio::steady_timer timer(connection_->executor(), config().smtp.error_delay);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace postrider
