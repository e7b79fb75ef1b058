// AUTH (RFC 4954), on the submission ports.
#include <fmt/format.h>

#include "common/base/log.h"
#include "common/net/address_limits.h"
#include "common/sasl/answer_time.h"
#include "common/sasl/app_password.h"
#include "mta/session.h"
#include "store/metrics.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;

asio::awaitable<void> Session::auth(std::string_view argument) {
  if (!offers_auth()) {
    reply(502, status::kBadSequence, "log in on the submission ports, 587 and 465");
    co_return;
  }
  if (account_) {
    reply(503, status::kBadSequence, "you are logged in already");
    co_return;
  }
  login_asked_ = std::chrono::steady_clock::now();
  const auto command = smtp::parse_auth(argument);
  if (!command) {
    reply(command.error());
    co_return;
  }
  sasl::Channel channel = this->channel();
  const auto name = sasl::parse_mechanism_name(command->mechanism, channel);
  if (!name) {
    reply(504, status::kBadArguments, "that mechanism is not offered here");
    co_return;
  }
  if (sasl::reveals_password(*name) && !may_reveal_password()) {
    reply(538, status::kEncryptionRequired, "say STARTTLS first, so that nobody else reads the password");
    co_return;
  }
  if (const auto refusal = co_await banned(std::string())) {
    reply(*refusal);
    co_return;
  }
  sasl::Authenticator authenticator(*name, service_.fake_records, std::move(channel));
  auto first = authenticator.begin(command->initial_response);
  const auto refusal = co_await exchange(authenticator, std::move(first));
  if (!refusal) {
    mechanism_ = sasl::to_string(*name);
    co_await note_success();
    reply(235, status::kAuthenticated, "welcome");
    co_return;
  }
  if (refusal->code == 535) co_await note_failure();
  reply(*refusal);
  if (++auth_failures_ >= kMaxAuthFailures) {
    end_with(421, status::kPolicyTemporary, "too many failed logins; good-bye");
  }
}

namespace {

Reply failure_reply(sasl::FailureKind kind) {
  switch (kind) {
    case sasl::FailureKind::cancelled:
      return Reply(501, status::kSecurity, "cancelled");
    case sasl::FailureKind::malformed:
      return Reply(501, status::kSyntax, "that is not what the mechanism expects");
    case sasl::FailureKind::too_long:
      return Reply(500, status::kAuthLineTooLong, "the line is too long");
    case sasl::FailureKind::rejected:
      break;
  }
  return Reply(535, status::kBadCredentials, "user name or password is wrong");
}

}  // namespace

sasl::Channel Session::channel() const {
  sasl::Channel channel;
  channel.addresses = connection_->client_addresses();
  return channel;
}

/// Challenge and response until it is decided. Nothing: the client is who it says, and account_ is set.
asio::awaitable<std::optional<Reply>> Session::exchange(sasl::Authenticator& authenticator, sasl::Outcome outcome) {
  smtp::LineReader reader(kMaxAuthLine);
  std::optional<store::AccountInfo> candidate;  // until there is proof
  for (;;) {
    if (const auto* challenge = std::get_if<sasl::Challenge>(&outcome)) {
      reply(334, status::kNone, sasl::encode_challenge(*challenge));
      const auto line = co_await next_line(reader);
      connection_->clear_deadline();
      login_asked_ = std::chrono::steady_clock::now();
      if (line == smtp::LineReader::Status::too_long) co_return failure_reply(sasl::FailureKind::too_long);
      if (line == smtp::LineReader::Status::bare) co_return failure_reply(sasl::FailureKind::malformed);
      outcome = authenticator.line(line_);
    } else if (auto* vouched = std::get_if<sasl::Vouched>(&outcome)) {
      tried_user_ = std::move(vouched->user);
      if (auto refusal = co_await banned(tried_user_)) co_return refusal;
      auto login = co_await find_login(tried_user_);
      if (!login) co_return failure_reply(sasl::FailureKind::rejected);
      account_ = std::move(login->account);
      co_return std::nullopt;
    } else if (const auto* asked = std::get_if<sasl::NeedCredentials>(&outcome)) {
      tried_user_ = asked->user;
      if (auto refusal = co_await banned(tried_user_)) co_return refusal;
      const auto login = co_await find_login(tried_user_);
      if (login) candidate = login->account;
      outcome = authenticator.supply(login ? &login->password : nullptr);
    } else if (auto* check = std::get_if<sasl::CheckPassword>(&outcome)) {
      tried_user_ = check->user;
      if (auto refusal = co_await banned(tried_user_)) co_return refusal;
      const bool right = co_await check_password(tried_user_, std::move(check->password));
      if (right) co_return std::nullopt;
      co_return failure_reply(sasl::FailureKind::rejected);
    } else if (std::holds_alternative<sasl::Authenticated>(outcome)) {
      account_ = std::move(candidate);
      co_return std::nullopt;
    } else {
      co_return failure_reply(std::get<sasl::Failed>(outcome).kind);
    }
  }
}

/// Whoever guessed too often is told so, and nothing is tried.
asio::awaitable<std::optional<Reply>> Session::banned(std::string user) {
  store::LoginGuard& guard = service_.guard;
  if (guard.stale()) {
    auto look = [&guard] { guard.refresh(); };
    co_await service_.workers.run(std::move(look));
  }
  const auto until = guard.banned_until(net::network_of(connection_->remote_address()), with_domain(user));
  if (!until) co_return std::nullopt;
  store::counted::logins[store::counted::kLoginBanned].add();
  co_return Reply(454, status::kPolicyTemporary, store::ban_sentence(*until, service_.clock.unix_time()));
}

/// The same for everybody: counted, and answered after a while, so that guessing takes time.
asio::awaitable<void> Session::note_failure() {
  store::counted::logins[store::counted::kLoginFailed].add();
  log_info("login_failed", {{"connection", number_}, {"client", connection_->remote_address()}, {"user", tried_user_}});
  auto note = [&guard = service_.guard, address = net::network_of(connection_->remote_address()),
               user = with_domain(tried_user_)] { guard.failed(address, user); };
  co_await service_.workers.run(std::move(note));
  const auto now = std::chrono::steady_clock::now();
  asio::steady_timer timer(connection_->executor(), sasl::answer_time(login_asked_, now, service_.failure_delay));
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> Session::note_success() {
  store::counted::logins[store::counted::kLoginOk].add();
  const std::string address = net::network_of(connection_->remote_address());
  if (service_.guard.is_noted(address, account_->address)) co_return;
  auto note = [&guard = service_.guard, address, user = account_->address] { guard.succeeded(address, user); };
  co_await service_.workers.run(std::move(note));
}

/// What names one account, whether it is there or not.
std::string Session::with_domain(const std::string& user) const {
  const std::string& domain = config().login.default_domain;
  return user.find('@') != std::string::npos || domain.empty() ? user : user + '@' + domain;
}

/// Accounts that are switched off are as if they were not there.
asio::awaitable<std::optional<store::Directory::Login>> Session::find_login(std::string user) {
  auto ask = [&service = service_, settings = settings_, user = std::move(user)] {
    auto login = service.directory.with(
        [&](store::Directory& directory) { return directory.find_login(user, settings->config.login.default_domain); });
    if (login && !login->account.enabled) login.reset();
    return login;
  };
  co_return co_await service_.workers.run(std::move(ask));
}

asio::awaitable<bool> Session::check_password(std::string user, std::string password) {
  const auto login = co_await find_login(std::move(user));
  if (login) {
    const auto now = std::chrono::steady_clock::now();
    if (service_.verified.contains(login->account.id, login->password, password, now)) {
      account_ = login->account;
      co_return true;
    }
    const bool for_app = co_await is_app_password(login->account.id, password);
    if (for_app) {
      account_ = login->account;
      co_return true;
    }
  }
  // Somebody who is not there costs the same.
  auto hash = [&service = service_, id = login ? login->account.id : 0,
               record = login ? login->password : sasl::dummy_record(), password = std::move(password)] {
    return service.verified.verify(id, record, password, std::chrono::steady_clock::now());
  };
  const bool right = co_await service_.password_workers.run(std::move(hash));
  if (!right || !login) co_return false;
  account_ = login->account;
  co_return true;
}

asio::awaitable<bool> Session::is_app_password(store::AccountId account, std::string password) {
  auto hash = sasl::app_password_hash(password);
  if (!hash) co_return false;
  auto look = [&service = service_, account, hash = std::move(*hash)] {
    return service.directory.with(
        [&](store::Directory& directory) { return directory.use_app_password(account, hash, sasl::kScopeSmtp); });
  };
  co_return co_await service_.workers.run(std::move(look));
}

}  // namespace postrider
