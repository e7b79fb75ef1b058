// HELO, EHLO, RSET, VRFY, EXPN, HELP, NOOP, QUIT, STARTTLS.
#include <fmt/format.h>

#include "common/base/log.h"
#include "common/smtp/extensions.h"
#include "mta/session.h"

namespace postrider {

namespace status = smtp::status;

asio::awaitable<void> Session::helo(std::string_view argument) {
  auto name = smtp::parse_helo(argument);
  if (!name) {
    reply(name.error());
    co_return;
  }
  helo_ = std::move(*name);
  extended_ = false;
  transaction_.reset();
  reply(250, status::kNone, config().server.hostname);
}

asio::awaitable<void> Session::ehlo(std::string_view argument) {
  auto name = smtp::parse_helo(argument);
  if (!name) {
    reply(name.error());
    co_return;
  }
  helo_ = std::move(*name);
  extended_ = true;
  transaction_.reset();  // as RSET does (RFC 5321 4.1.4)
  const std::string hello = fmt::format("{} greets {}", config().server.hostname, helo_);
  reply(smtp::ehlo_reply(hello, extensions()));
}

asio::awaitable<void> Session::rset(std::string_view) {
  transaction_.reset();
  reply(250, status::kOk, "OK");
  co_return;
}

asio::awaitable<void> Session::vrfy(std::string_view argument) {
  if (argument.empty()) {
    reply(501, status::kBadArguments, "VRFY takes an address");
  } else {
    reply(252, status::kOk, "send some mail, and it will be tried");
  }
  co_return;
}

asio::awaitable<void> Session::expn(std::string_view) {
  reply(502, status::kBadSequence, "lists are not expanded here");
  co_return;
}

asio::awaitable<void> Session::help(std::string_view) {
  std::string text = "Commands:";
  for (size_t verb = 0; verb + 1 < smtp::kVerbs; ++verb) {
    text += ' ';
    text += smtp::to_string(static_cast<smtp::Verb>(verb));
  }
  text += "\nThis is Postrider; RFC 5321 says what they do.";
  reply(smtp::Reply(214, status::kOk, std::move(text)));
  co_return;
}

asio::awaitable<void> Session::noop(std::string_view) {
  reply(250, status::kOk, "OK");
  co_return;
}

asio::awaitable<void> Session::quit(std::string_view) {
  end_with(221, status::kOk, "good-bye");
  co_return;
}

/// RFC 3207. Everything the client said before counts for nothing afterwards, also what it said ahead.
asio::awaitable<void> Session::starttls(std::string_view) {
  if (connection_->encrypted()) {
    reply(503, status::kBadSequence, "TLS is already in use");
    co_return;
  }
  if (!offers_tls()) {
    reply(502, status::kBadSequence, "TLS is not offered here");
    co_return;
  }
  reply(220, status::kOk, "go ahead");
  helo_.clear();
  extended_ = false;
  account_.reset();
  checked_sender_.clear();
  transaction_.reset();
  connection_->set_deadline(config().smtp.command_timeout);
  const bool clean = co_await connection_->start_tls(settings_->tls->current(), offers_auth());
  if (!clean) {
    ++all_errors_;
    log_warn("smtp_plaintext_after_starttls", {{"connection", number_}, {"client", connection_->remote_address()}});
  }
}

}  // namespace postrider
