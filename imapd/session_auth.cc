// Commands of any state and those before login (RFC 3501 6.1, 6.2): CAPABILITY, NOOP, LOGOUT, ID, ENABLE, STARTTLS,
// LOGIN, AUTHENTICATE.
#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/utf8.h"
#include "common/net/address_limits.h"
#include "common/sasl/answer_time.h"
#include "common/sasl/app_password.h"
#include "common/sasl/authenticator.h"
#include "imapd/proto/list_pattern.h"
#include "imapd/session.h"
#include "store/metrics.h"

namespace postrider::imap {
namespace {

/// What works, and nothing else (RFC 9051 6.1.1).
constexpr std::string_view kBase = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE";
constexpr std::string_view kAfterLogin =
    " NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL BINARY UTF8=ACCEPT UIDONLY "
    "MULTIAPPEND CATENATE REPLACE SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE WITHIN OBJECTID "
    "SAVEDATE PREVIEW UNAUTHENTICATE SEARCH=FUZZY SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES "
    "INPROGRESS "
    "MULTISEARCH LANGUAGE I18NLEVEL=2 NOTIFY CONTEXT=SEARCH CONTEXT=SORT QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE "
    "METADATA METADATA-SERVER LIST-METADATA ACL RIGHTS=texk LIST-MYRIGHTS FILTERS UIDBATCHES URLAUTH URL-PARTIAL";

}  // namespace

std::string Session::capabilities() const {
  std::string words(kBase);
  words += kAfterLogin;
  append_format(words, " APPENDLIMIT={}", config_->imap.max_append_size);
  if (config_->imap.message_limit != 0) {
    append_format(words, " MESSAGELIMIT={}", config_->imap.message_limit);
  } else if (config_->imap.save_limit != 0) {
    append_format(words, " SAVELIMIT={}", config_->imap.save_limit);
  }
  if (!connection_->compressed()) words += " COMPRESS=DEFLATE";
  if (account_) return words;
  if (!connection_->encrypted() && services_.tls) words += " STARTTLS";
  if (!passwords_allowed()) words += " LOGINDISABLED";
  for (sasl::MechanismName name : sasl::mechanisms(channel())) {
    if (passwords_allowed() || !sasl::reveals_password(name)) append_format(words, " AUTH={}", sasl::to_string(name));
  }
  return words;
}

/// tls-exporter is safe with TLS 1.3 (RFC 9266 4.2).
sasl::Channel Session::channel() const {
  sasl::Channel channel;
  if (connection_->tls().protocol == "TLSv1.3") channel.binding = connection_->tls_exporter();
  channel.addresses = connection_->client_addresses();
  return channel;
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
    co_await on_selected(job);
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

/// RFC 5255 3: what is said to people is English, the default that everybody may be asked to read.
asio::awaitable<Reply> Session::language(Cursor& arguments) {
  std::vector<std::string> tags;
  if (!parse_language(arguments, tags)) co_return Reply::refused(arguments);
  if (tags.empty()) {
    untagged("LANGUAGE (EN I-DEFAULT)");
    co_return Reply::ok("These are spoken here.");
  }
  for (const std::string& tag : tags) {
    bool english = iequals(tag, "EN") || istarts_with(tag, "EN-");
    if (!english && !iequals(tag, "I-DEFAULT") && !iequals(tag, "DEFAULT")) continue;
    untagged(english ? "LANGUAGE (EN)" : "LANGUAGE (I-DEFAULT)");
    if (account_) tell_namespaces();
    co_return Reply::ok("So be it.");
  }
  co_return Reply::no("None of these languages is spoken here.");
}

/// RFC 5255 4.7: how SEARCH, SORT and THREAD compare. There is one way, which may be asked for by a pattern.
asio::awaitable<Reply> Session::comparator(Cursor& arguments) {
  constexpr std::string_view kComparator = "i;unicode-casemap";
  std::vector<std::string> wanted;
  if (!parse_language(arguments, wanted)) co_return Reply::refused(arguments);
  auto fits = [&](const std::string& name) {
    return iequals(name, "default") || ListPattern("", lower(name)).matches(kComparator);
  };
  if (!wanted.empty() && std::none_of(wanted.begin(), wanted.end(), fits)) {
    Reply reply = Reply::no("Text is compared by i;unicode-casemap here, and in no other way.");
    co_return reply.code("BADCOMPARATOR");
  }
  untagged(fmt::format("COMPARATOR \"{}\"", kComparator));
  co_return Reply::ok("So be it.");
}

asio::awaitable<Reply> Session::enable(Cursor& arguments) {
  EnableCommand command;
  if (!parse_enable(arguments, command)) co_return Reply::refused(arguments);
  std::string enabled;
  for (const std::string& name : command.names) {
    std::string word = name == "IMAP4REV2" ? "IMAP4rev2" : name;
    if (enable_extension(name) && enabled.find(" " + word) == std::string::npos) enabled += " " + word;
  }
  untagged("ENABLED" + enabled);
  co_return Reply::ok("Done.");
}

/// False: there is nothing of that name to switch on.
bool Session::enable_extension(std::string_view name) {
  if (name == "CONDSTORE" || name == "QRESYNC") {
    enable_condstore();
    qresync_ |= name == "QRESYNC";
  } else if (name == "UTF8=ACCEPT") {
    utf8_ = true;
  } else if (name == "UIDONLY") {
    uid_only_ = true;
  } else if (name == "IMAP4REV2") {
    rev2_ = utf8_ = true;
    if (view_) view_->forget_recent();
  } else {
    return false;
  }
  return true;
}

asio::awaitable<Reply> Session::starttls(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  if (connection_->encrypted()) co_return Reply::bad("TLS is active already.");
  if (!services_.tls) co_return Reply::no("This server has no certificate.");
  Reply::ok("Begin TLS now.").append_to(out_, tag_);
  co_await send();
  // What was sent in clear before the handshake is dropped, not obeyed afterwards (RFC 3501 6.2.1, RFC 2595 2).
  bool clean = co_await connection_->start_tls(services_.tls->current(), true);
  if (!clean) log_warn("plaintext_after_starttls", {{"session", number_}, {"remote", connection_->remote_address()}});
  framer_ = Framer();
  // The tagged OK went out in clear; nothing more is said.
  tag_.clear();
  co_return Reply::ok("");
}

/// RFC 4978.
asio::awaitable<Reply> Session::compress(Cursor& arguments) {
  std::string algorithm;
  if (!parse_compress(arguments, algorithm)) co_return Reply::refused(arguments);
  if (algorithm != "DEFLATE") co_return Reply::no("DEFLATE is the only compression here.");
  if (connection_->compressed()) {
    Reply reply = Reply::no("Compression is active already.");
    co_return reply.code("COMPRESSIONACTIVE");
  }
  Reply::ok("Compressed from here on.").append_to(out_, tag_);
  co_await send();
  connection_->start_compression();
  // The tagged OK went out uncompressed; nothing more is said.
  tag_.clear();
  co_return Reply::ok("");
}

/// Everything is as it was before the login, but TLS (RFC 8437).
asio::awaitable<Reply> Session::unauthenticate(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  deselect();
  stop_notify();
  services_.registry.leave(account_->id, loop_, *this);
  account_.reset();
  user_.clear();
  state_ = kNotAuthenticated;
  condstore_ = qresync_ = uid_only_ = utf8_ = rev2_ = false;
  changed_.clear();
  framer_.set_limits(kLimitsBeforeLogin);
  connection_->set_deadline(config_->imap.login_timeout);
  Reply::ok("You are nobody now.").code("CAPABILITY " + capabilities()).append_to(out_, tag_);
  co_await send();
  if (connection_->compressed()) connection_->stop_compression();
  tag_.clear();
  co_return Reply::ok("");
}

asio::awaitable<Reply> Session::login(Cursor& arguments) {
  LoginCommand command;
  login_asked_ = std::chrono::steady_clock::now();
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
  store::counted::logins[store::counted::kLoginBanned].add();
  Reply reply = Reply::no(store::ban_sentence(*until, services_.clock.unix_time()));
  co_return reply.code("LIMIT");
}

/// What names one account, whether it is there or not.
std::string Session::with_domain(const std::string& user) const {
  const std::string& domain = config_->login.default_domain;
  return user.find('@') != std::string::npos || domain.empty() ? user : user + '@' + domain;
}

/// A login that succeeded: who has been here before is let in while strangers guess.
asio::awaitable<Reply> Session::welcome(store::AccountInfo account, uint64_t version) {
  std::string address = net::network_of(connection_->remote_address());
  if (!services_.guard.is_noted(address, account.address)) {
    auto note = [&guard = services_.guard, address, user = account.address] { guard.succeeded(address, user); };
    co_await services_.workers.run(std::move(note));
  }
  co_return logged_in(std::move(account), version);
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
  bool for_app = false;
  const auto app_hash = sasl::app_password_hash(password);
  if (!verified && is_valid_utf8(user) && user.size() <= sasl::kMaxUserOctets) {
    auto look_up = [&] {
      found = services_.directory.with(
          [&](store::Directory& directory) { return directory.find_login(user, config_->login.default_domain); });
      verified = remembered();
      if (!verified && found && app_hash) {
        for_app = services_.directory.with([&](store::Directory& directory) {
          return directory.use_app_password(found->account.id, *app_hash, sasl::kScopeImap);
        });
      }
    };
    co_await services_.workers.run(look_up);
  }
  if (for_app) verified = known = true;
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
  co_return co_await welcome(std::move(found->account), version);
}

Reply Session::logged_in(store::AccountInfo account, uint64_t version) {
  size_t most = config_->imap.max_connections_per_user;
  if (!services_.registry.enter(account.id, loop_, *this, most)) {
    std::string words = fmt::format("{} has {} connections open, and that is the limit. Close one and try again.",
                                    account.address, most);
    untagged("OK [ALERT] " + words);
    return Reply::no(words).code("LIMIT");
  }
  user_ = account.address;
  directory_version_ = version;
  account_ = std::move(account);
  state_ = kAuthenticated;
  store::counted::logins[store::counted::kLoginOk].add();
  framer_.set_limits(kLimitsAfterLogin);
  return Reply::ok("Welcome.").code("CAPABILITY " + capabilities());
}

/// Looks again when the directory has changed: an account that is gone or disabled has no sessions, and a quota holds
/// at once. False: goodbye was said.
asio::awaitable<bool> Session::still_welcome() {
  uint64_t version = services_.directory.version();
  if (!account_ || version == directory_version_) co_return true;
  std::optional<store::AccountInfo> now;
  auto look_up = [&] {
    try {
      now = services_.directory.with([&](store::Directory& directory) { return directory.account(account_->id); });
    } catch (const store::SqliteError& error) {
      log_error("account_not_checked", {{"session", number_}, {"user", user_}, {"error", error.what()}});
      now = account_;  // a directory that cannot be read closes no session
    }
  };
  co_await services_.workers.run(look_up);
  if (now && now->enabled) {
    account_->quota = now->quota;
    directory_version_ = version;
    co_return true;
  }
  untagged("BYE This account was closed by its administrator.");
  state_ = kLogout;
  co_return false;
}

asio::awaitable<Reply> Session::login_failed() {
  store::counted::logins[store::counted::kLoginFailed].add();
  log_info("login_failed", {{"session", number_}, {"user", user_}, {"remote", connection_->remote_address()}});
  auto note = [&guard = services_.guard, address = net::network_of(connection_->remote_address()),
               user = with_domain(user_)] { guard.failed(address, user); };
  co_await services_.workers.run(std::move(note));
  const auto now = std::chrono::steady_clock::now();
  asio::steady_timer timer(connection_->executor(), sasl::answer_time(login_asked_, now, services_.failure_delay));
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
  login_asked_ = std::chrono::steady_clock::now();
  if (!parse_authenticate(arguments, command)) co_return Reply::refused(arguments);
  sasl::Channel channel = this->channel();
  auto name = sasl::parse_mechanism_name(command.mechanism, channel);
  if (!name) co_return Reply::no("There is no such mechanism; CAPABILITY names those that work.");
  if (sasl::reveals_password(*name) && !passwords_allowed()) {
    Reply reply = Reply::no("Passwords are taken under TLS only: say STARTTLS, or connect to the IMAPS port.");
    co_return reply.code("PRIVACYREQUIRED");
  }
  sasl::Authenticator authenticator(*name, services_.fakes, std::move(channel));
  co_return co_await converse(authenticator, std::move(command.initial));
}

/// Who wants in, until there is proof.
struct Session::Candidate {
  std::optional<store::Directory::Login> login;  // nothing: there is no such user
  uint64_t version = 0;                          // of the directory, from before it was asked
};

/// A reply: not now.
asio::awaitable<std::optional<Reply>> Session::look_up(std::string user, Candidate& candidate) {
  user_ = std::move(user);
  candidate.version = services_.directory.version();
  if (auto refusal = co_await banned(user_)) co_return refusal;
  auto look = [&] {
    candidate.login = services_.directory.with(
        [&](store::Directory& directory) { return directory.find_login(user_, config_->login.default_domain); });
  };
  co_await services_.workers.run(look);
  co_return std::nullopt;
}

asio::awaitable<Reply> Session::converse(sasl::Authenticator& authenticator, std::optional<std::string> initial) {
  Candidate candidate;
  sasl::Outcome outcome = authenticator.begin(initial);
  for (;;) {
    if (auto* challenge = std::get_if<sasl::Challenge>(&outcome)) {
      append_format(out_, "+ {}\r\n", sasl::encode_challenge(*challenge));
      auto line = co_await read_line();
      login_asked_ = std::chrono::steady_clock::now();
      if (!line) co_return Reply::bad("The response is too long.");
      outcome = authenticator.line(*line);
    } else if (auto* check = std::get_if<sasl::CheckPassword>(&outcome)) {
      co_return co_await check_password(std::move(check->user), std::move(check->password));
    } else if (auto* need = std::get_if<sasl::NeedCredentials>(&outcome)) {
      if (auto refusal = co_await look_up(std::move(need->user), candidate)) co_return std::move(*refusal);
      outcome = authenticator.supply(candidate.login ? &candidate.login->password : nullptr);
    } else if (auto* vouched = std::get_if<sasl::Vouched>(&outcome)) {
      if (auto refusal = co_await look_up(std::move(vouched->user), candidate)) co_return std::move(*refusal);
      outcome = sasl::Authenticated();
    } else if (std::holds_alternative<sasl::Authenticated>(outcome)) {
      if (!candidate.login || !candidate.login->account.enabled) co_return co_await login_failed();
      co_return co_await welcome(std::move(candidate.login->account), candidate.version);
    } else {
      sasl::FailureKind kind = std::get<sasl::Failed>(outcome).kind;
      if (kind == sasl::FailureKind::rejected) co_return co_await login_failed();
      if (kind == sasl::FailureKind::cancelled) co_return Reply::bad("Cancelled.");
      co_return Reply::bad("The response is not what this mechanism says.");
    }
  }
}

}  // namespace postrider::imap
