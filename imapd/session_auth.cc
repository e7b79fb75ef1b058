// Commands of any state and those before login (RFC 3501 6.1, 6.2): CAPABILITY, NOOP, LOGOUT, ID, ENABLE, STARTTLS,
// LOGIN, AUTHENTICATE.
#include "common/base/log.h"
#include "common/mail/utf8.h"
#include "common/net/address_limits.h"
#include "common/sasl/authenticator.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

/// What works, and nothing else (RFC 3501 6.1.1).
constexpr std::string_view kBase = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE";
constexpr std::string_view kAfterLogin =
    " NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT CONDSTORE SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS "
    "STATUS=SIZE WITHIN";

}  // namespace

std::string Session::capabilities() const {
  std::string words(kBase);
  words += kAfterLogin;
  if (account_) return words;
  if (!connection_->encrypted() && services_.tls) words += " STARTTLS";
  if (!passwords_allowed()) words += " LOGINDISABLED";
  for (sasl::MechanismName name : sasl::kMechanismNames) {
    if (passwords_allowed() || !sasl::reveals_password(name)) append_format(words, " AUTH={}", sasl::to_string(name));
  }
  return words;
}

asio::awaitable<Reply> Session::capability(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  untagged(fmt::format("CAPABILITY {}", capabilities()));
  co_return Reply::ok("That is what works here.");
}

asio::awaitable<Reply> Session::noop(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  if (view_) {
    auto job = [this](store::Account& account) { report_changes(account); };
    co_await on_account(job);
  }
  co_return Reply::ok("Done.");
}

asio::awaitable<Reply> Session::logout(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  untagged("BYE Until next time.");
  state_ = kLogout;
  co_return Reply::ok("Logged out.");
}

asio::awaitable<Reply> Session::id(Cursor& arguments) {
  IdCommand command;
  if (!parse_id(arguments, command)) co_return Reply::refused(arguments);
  untagged("ID (\"name\" \"Postrider\")");
  co_return Reply::ok("Pleased to meet you.");
}

asio::awaitable<Reply> Session::enable(Cursor& arguments) {
  EnableCommand command;
  if (!parse_enable(arguments, command)) co_return Reply::refused(arguments);
  std::string enabled;
  for (const std::string& name : command.names) {
    if (name != "CONDSTORE" || !enabled.empty()) continue;
    enable_condstore();
    enabled += " CONDSTORE";
  }
  untagged("ENABLED" + enabled);
  co_return Reply::ok("Done.");
}

asio::awaitable<Reply> Session::starttls(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  if (connection_->encrypted()) co_return Reply::bad("TLS is active already.");
  if (!services_.tls) co_return Reply::no("This server has no certificate.");
  Reply::ok("Begin TLS now.").append_to(out_, tag_);
  co_await send();
  // What was sent in clear before the handshake is dropped, not obeyed afterwards (RFC 3501 6.2.1, RFC 2595 2).
  bool clean = co_await connection_->start_tls(services_.tls->current());
  if (!clean) log_warn("plaintext_after_starttls", {{"session", number_}, {"remote", connection_->remote_address()}});
  framer_ = Framer();
  // The tagged OK went out in clear; nothing more is said.
  tag_.clear();
  co_return Reply::ok("");
}

asio::awaitable<Reply> Session::login(Cursor& arguments) {
  LoginCommand command;
  if (!passwords_allowed()) {
    Reply reply = Reply::no("Passwords are taken under TLS only: say STARTTLS, or connect to the IMAPS port.");
    co_return reply.code("PRIVACYREQUIRED");
  }
  if (!parse_login(arguments, command)) co_return Reply::refused(arguments);
  co_return co_await check_password(std::move(command.user), std::move(command.password));
}

/// Whoever guessed too often, here or at mta, is told so, and nothing is tried.
asio::awaitable<std::optional<Reply>> Session::banned(std::string user) {
  store::LoginGuard& guard = services_.guard;
  if (guard.stale()) {
    auto look = [&guard] { guard.refresh(); };
    co_await services_.workers.run(std::move(look));
  }
  auto until = guard.banned_until(net::network_of(connection_->remote_address()), with_domain(user));
  if (!until) co_return std::nullopt;
  Reply reply = Reply::no(store::ban_sentence(*until, services_.clock.unix_time()));
  co_return reply.code("LIMIT");
}

/// What names one account, whether it is there or not.
std::string Session::with_domain(const std::string& user) const {
  const std::string& domain = config_->login.default_domain;
  return user.find('@') != std::string::npos || domain.empty() ? user : user + '@' + domain;
}

/// A login that succeeded: who has been here before is let in while strangers guess.
asio::awaitable<Reply> Session::welcome(store::AccountInfo account) {
  std::string address = net::network_of(connection_->remote_address());
  if (!services_.guard.is_noted(address, account.address)) {
    auto note = [&guard = services_.guard, address, user = account.address] { guard.succeeded(address, user); };
    co_await services_.workers.run(std::move(note));
  }
  co_return logged_in(std::move(account));
}

asio::awaitable<Reply> Session::check_password(std::string user, std::string password) {
  if (auto refusal = co_await banned(user)) co_return std::move(*refusal);
  auto now = std::chrono::steady_clock::now();
  uint64_t version = services_.directory.version();
  // Who was here a moment ago with the same password costs no worker thread.
  std::optional<store::Directory::Login> found = services_.logins.find(version, user);
  auto remembered = [&] {
    return found && services_.verified.contains(found->account.id, found->password, password, now);
  };
  bool verified = remembered();
  bool known = verified;
  if (!verified && is_valid_utf8(user) && user.size() <= sasl::kMaxUserOctets) {
    auto look_up = [&] {
      found = services_.directory.with(
          [&](store::Directory& directory) { return directory.find_login(user, config_->login.default_domain); });
      verified = remembered();
    };
    co_await services_.workers.run(look_up);
  }
  if (!verified) {
    // An unknown user costs as much time as a wrong password.
    auto verify = [&] {
      verified = found ? services_.verified.verify(found->account.id, found->password, password, now)
                       : sasl::verify_password(sasl::dummy_record(), password) && false;
    };
    co_await services_.hashing.run(verify);
  }
  if (verified && !known) services_.logins.put(version, user, *found);
  user_ = std::move(user);
  if (!verified || !found->account.enabled) co_return co_await login_failed();
  co_return co_await welcome(std::move(found->account));
}

Reply Session::logged_in(store::AccountInfo account) {
  size_t most = config_->imap.max_connections_per_user;
  if (!services_.registry.enter(account.id, loop_, *this, most)) {
    std::string words = fmt::format("{} has {} connections open, and that is the limit. Close one and try again.",
                                    account.address, most);
    untagged("OK [ALERT] " + words);
    return Reply::no(words).code("LIMIT");
  }
  user_ = account.address;
  account_ = std::move(account);
  state_ = kAuthenticated;
  framer_.set_limits(kLimitsAfterLogin);
  return Reply::ok("Welcome.").code("CAPABILITY " + capabilities());
}

asio::awaitable<Reply> Session::login_failed() {
  log_info("login_failed", {{"session", number_}, {"user", user_}, {"remote", connection_->remote_address()}});
  auto note = [&guard = services_.guard, address = net::network_of(connection_->remote_address()),
               user = with_domain(user_)] { guard.failed(address, user); };
  co_await services_.workers.run(std::move(note));
  asio::steady_timer timer(connection_->executor());
  timer.expires_after(services_.failure_delay);
  co_await timer.async_wait(asio::use_awaitable);
  if (++failed_logins_ >= kMaxFailedLogins) {
    untagged("BYE There were too many failed logins.");
    state_ = kLogout;
  }
  Reply reply = Reply::no("The user name or the password is wrong.");
  co_return reply.code("AUTHENTICATIONFAILED");
}

asio::awaitable<Reply> Session::authenticate(Cursor& arguments) {
  AuthenticateCommand command;
  if (!parse_authenticate(arguments, command)) co_return Reply::refused(arguments);
  auto name = sasl::parse_mechanism_name(command.mechanism);
  if (!name) co_return Reply::no("There is no such mechanism; CAPABILITY names those that work.");
  if (sasl::reveals_password(*name) && !passwords_allowed()) {
    Reply reply = Reply::no("Passwords are taken under TLS only: say STARTTLS, or connect to the IMAPS port.");
    co_return reply.code("PRIVACYREQUIRED");
  }
  sasl::Authenticator authenticator(*name, services_.fakes);
  co_return co_await converse(authenticator, std::move(command.initial));
}

asio::awaitable<Reply> Session::converse(sasl::Authenticator& authenticator, std::optional<std::string> initial) {
  std::optional<store::Directory::Login> found;
  sasl::Outcome outcome = authenticator.begin(initial);
  for (;;) {
    if (auto* challenge = std::get_if<sasl::Challenge>(&outcome)) {
      append_format(out_, "+ {}\r\n", sasl::encode_challenge(*challenge));
      auto line = co_await read_line();
      if (!line) co_return Reply::bad("The response is too long.");
      outcome = authenticator.line(*line);
    } else if (auto* check = std::get_if<sasl::CheckPassword>(&outcome)) {
      co_return co_await check_password(std::move(check->user), std::move(check->password));
    } else if (auto* need = std::get_if<sasl::NeedCredentials>(&outcome)) {
      user_ = need->user;
      if (auto refusal = co_await banned(user_)) co_return std::move(*refusal);
      auto look_up = [&] {
        found = services_.directory.with(
            [&](store::Directory& directory) { return directory.find_login(user_, config_->login.default_domain); });
      };
      co_await services_.workers.run(look_up);
      outcome = authenticator.supply(found ? &found->password : nullptr);
    } else if (std::holds_alternative<sasl::Authenticated>(outcome)) {
      if (!found || !found->account.enabled) co_return co_await login_failed();
      co_return co_await welcome(std::move(found->account));
    } else {
      sasl::FailureKind kind = std::get<sasl::Failed>(outcome).kind;
      if (kind == sasl::FailureKind::rejected) co_return co_await login_failed();
      if (kind == sasl::FailureKind::cancelled) co_return Reply::bad("Cancelled.");
      co_return Reply::bad("The response is not what this mechanism says.");
    }
  }
}

}  // namespace postrider::imap
