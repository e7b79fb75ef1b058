#include "mta/relay_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"

namespace postrider {
namespace {

constexpr std::chrono::seconds kGoodbyeTimeout{5};

std::string with_address(const RelayAddress& peer) {
  return fmt::format("{} [{}]", peer.host, peer.endpoint.address().to_string());
}

}  // namespace

/// Several addresses that are dialled at once; the first that answers is taken.
struct SmtpLink::Race {
  explicit Race(const asio::any_io_executor& executor) : wake(executor) {}
  asio::steady_timer wake;
  std::shared_ptr<net::Connection> connection;
  RelayAddress winner;
  bool over = false;  // who comes later is sent away
  size_t running = 0;
  std::string error;
};

SmtpLink::SmtpLink(std::string destination, Router& router, const RelaySettings& settings,
                   std::shared_ptr<net::TlsClientContext> tls)
    : destination_(std::move(destination)), router_(router), settings_(settings), tls_(std::move(tls)) {}

SmtpLink::~SmtpLink() { drop(); }

void SmtpLink::drop() {
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
}

Outcome SmtpLink::unreachable(std::string status, std::string text) const {
  Outcome outcome = Outcome::temporary(std::move(status), std::move(text));
  outcome.kind = Outcome::Kind::unreachable;
  return outcome;
}

/// How the connection is encrypted, for the ledger.
std::string SmtpLink::tls_text() const {
  if (connection_ == nullptr || !connection_->encrypted()) return {};
  net::TlsSession tls = connection_->tls();
  return fmt::format("{} {}", tls.protocol, tls.cipher);
}

Outcome SmtpLink::outcome_of(const smtp::ServerReply& reply) const {
  Outcome outcome;
  outcome.remote = with_address(peer_);
  outcome.tls = tls_text();
  outcome.reply = reply.to_string();
  outcome.status = reply.status.empty() ? fmt::format("{}.0.0", reply.code / 100) : reply.status;
  if (reply.code >= 200 && reply.code < 300) {
    outcome.kind = Outcome::Kind::relayed;
    outcome.reports_itself = extensions_.has("DSN");
  } else if (reply.code == 421) {
    outcome.kind = Outcome::Kind::unreachable;
  } else {
    outcome.kind = reply.is_permanent() ? Outcome::Kind::permanent : Outcome::Kind::temporary;
  }
  return outcome;
}

asio::awaitable<void> SmtpLink::close() {
  if (connection_ == nullptr) co_return;
  try {
    connection_->set_deadline(kGoodbyeTimeout);
    connection_->queue("QUIT\r\n");
    co_await connection_->flush();
  } catch (const net::ConnectionEnded&) {
    // It has gone before us.
  }
  drop();
}

// --- connecting

asio::awaitable<std::optional<Outcome>> SmtpLink::open() {
  Route route = co_await router_.find(destination_);
  if (route.failure) co_return route.failure;
  Outcome last = unreachable("4.4.1", "No mail host answers");
  std::string error;
  plain_ = false;
  for (size_t next = 0;;) {
    bool connected = co_await dial(route, next, error);
    if (!connected) {
      if (!error.empty()) last = unreachable("4.4.1", fmt::format("No mail host of {} takes a connection: {}", destination_, error));
      co_return last;
    }
    std::optional<Outcome> failed = co_await greet();
    if (!failed) co_return std::nullopt;
    drop();
    error.clear();
    last = std::move(*failed);
  }
}

asio::awaitable<void> SmtpLink::run_dial(std::shared_ptr<Race> race, RelayAddress address, std::chrono::seconds timeout) {
  try {
    auto connection = co_await net::connect(address.endpoint, timeout);
    if (!race->over && race->connection == nullptr) {
      race->connection = std::move(connection);
      race->winner = std::move(address);
    } else {
      connection->close();
    }
  } catch (const std::exception& error) {
    race->error = fmt::format("{} [{}]: {}", address.host, address.endpoint.address().to_string(), error.what());
  }
  --race->running;
  race->wake.cancel();
}

/// The next address of the route that takes a connection; each has a short head start before the one behind it. next: where
/// the addresses begin that were not dialled yet.
asio::awaitable<bool> SmtpLink::dial(const Route& route, size_t& next, std::string& error) {
  auto executor = co_await asio::this_coro::executor;
  auto race = std::make_shared<Race>(executor);
  while (race->connection == nullptr) {
    if (next < route.addresses.size()) {
      ++race->running;
      asio::co_spawn(executor, run_dial(race, route.addresses[next++], settings_.connect_timeout), [](std::exception_ptr trouble) {
        if (trouble) std::rethrow_exception(trouble);
      });
      race->wake.expires_after(kHeadStart);
    } else if (race->running == 0) {
      break;
    } else {
      race->wake.expires_after(settings_.connect_timeout + kHeadStart);
    }
    std::error_code ignored;
    co_await race->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  race->over = true;
  if (race->connection == nullptr) {
    if (!race->error.empty()) error = race->error;
    co_return false;
  }
  connection_ = std::move(race->connection);
  peer_ = race->winner;
  co_return true;
}

asio::awaitable<std::optional<Outcome>> SmtpLink::greet() {
  for (;;) {
    messages_ = 0;
    needs_reset_ = leaving_ = false;
    bool tls_failed = false;
    std::string trouble;
    try {
      smtp::ServerReply greeting = co_await read_reply(settings_.command_timeout);
      if (greeting.code != 220) {
        Outcome outcome = outcome_of(greeting);
        // 521 and 556 say "no mail here, ever" (RFC 7504); any other refusal may be of the hour.
        if (greeting.code != 521 && greeting.code != 556) outcome.kind = Outcome::Kind::unreachable;
        co_return outcome;
      }
      co_return co_await say_hello();
    } catch (const net::ConnectionEnded& end) {
      tls_failed = end.reason() == net::EndReason::tls_failed;
      trouble = end.what();
    } catch (const std::runtime_error& error) {
      trouble = error.what();
    }
    bool again = tls_failed && !plain_;
    if (again) again = co_await redial_without_tls();
    if (!again) {
      Outcome outcome = unreachable("4.4.2", fmt::format("The greeting failed: {}", trouble));
      outcome.remote = with_address(peer_);
      co_return outcome;
    }
  }
}

asio::awaitable<bool> SmtpLink::redial_without_tls() {
  log_info("relay_tls_failed", {{"host", peer_.host}, {"address", peer_.endpoint.address().to_string()}});
  plain_ = true;
  drop();
  try {
    connection_ = co_await net::connect(peer_.endpoint, settings_.connect_timeout);
  } catch (const std::exception&) {
    co_return false;
  }
  co_return true;
}

asio::awaitable<std::optional<Outcome>> SmtpLink::say_hello() {
  for (;;) {
    smtp::ServerReply reply = co_await command(fmt::format("EHLO {}", settings_.hostname));
    extensions_ = reply.code == 250 ? smtp::parse_extensions(reply) : smtp::Extensions();
    if (reply.is_permanent()) reply = co_await command(fmt::format("HELO {}", settings_.hostname));
    if (reply.code != 250) {
      Outcome outcome = outcome_of(reply);
      outcome.kind = Outcome::Kind::unreachable;
      co_return outcome;
    }
    if (plain_ || connection_->encrypted() || tls_ == nullptr || !extensions_.has("STARTTLS")) co_return std::nullopt;
    reply = co_await command("STARTTLS");
    if (reply.code != 220) co_return std::nullopt;
    connection_->set_deadline(settings_.command_timeout);
    co_await connection_->start_tls_client(tls_, peer_.host);
  }
}

// --- commands and replies

asio::awaitable<smtp::ServerReply> SmtpLink::command(std::string line) {
  connection_->set_deadline(settings_.command_timeout);
  connection_->queue(line);
  connection_->queue("\r\n");
  co_await connection_->flush();
  co_return co_await read_reply(settings_.command_timeout);
}

asio::awaitable<smtp::ServerReply> SmtpLink::read_reply(std::chrono::seconds timeout) {
  smtp::ReplyParser parser;
  connection_->set_deadline(timeout);
  for (;;) {
    std::string_view input = connection_->input();
    if (input.empty()) {
      co_await connection_->read_more();
      continue;
    }
    size_t taken = parser.feed(input);
    connection_->consume(taken);
    if (parser.state() == smtp::ReplyParser::State::malformed) {
      throw std::runtime_error("what the server says is no SMTP reply");
    }
    if (parser.state() != smtp::ReplyParser::State::complete) continue;
    ++replies_;
    smtp::ServerReply reply = parser.take();
    leaving_ = leaving_ || reply.code == 421;
    co_return reply;
  }
}

}  // namespace postrider
