#include "imapd/session.h"

#include <algorithm>
#include <atomic>

#include "common/base/log.h"
#include "store/sqlite.h"

namespace postrider::imap {
namespace {

uint64_t next_session_number() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

// Verbs in the order of how often clients say them.
const Session::Command* Session::find_command(std::string_view verb) {
  constexpr unsigned kAlways = kNotAuthenticated | kAuthenticated | kSelected;
  constexpr unsigned kLoggedIn = kAuthenticated | kSelected;
  static constexpr Command kCommands[] = {
      {"UID FETCH", &Session::fetch, kSelected, kUids, CommandKind::fetch},
      {"FETCH", &Session::fetch, kSelected, kNumbers | kByNumber, CommandKind::fetch},
      {"UID STORE", &Session::store, kSelected, kUids, CommandKind::store},
      {"STORE", &Session::store, kSelected, kNumbers | kByNumber, CommandKind::store},
      {"NOOP", &Session::noop, kAlways, 0},
      {"IDLE", &Session::idle, kLoggedIn, 0, CommandKind::idle},
      {"NOTIFY", &Session::notify, kLoggedIn, 0},
      {"SELECT", &Session::select, kLoggedIn, 0, CommandKind::select},
      {"STATUS", &Session::status, kLoggedIn, 0, CommandKind::list},
      {"LIST", &Session::list, kLoggedIn, 0, CommandKind::list},
      {"UID SEARCH", &Session::search, kSelected, kUids, CommandKind::search},
      {"SEARCH", &Session::search, kSelected, kNumbers | kByNumber, CommandKind::search},
      {"ESEARCH", &Session::multisearch, kLoggedIn, 0, CommandKind::search},
      {"UIDBATCHES", &Session::uid_batches, kSelected, 0},
      {"CANCELUPDATE", &Session::cancel_update, kSelected, 0},
      {"UID SORT", &Session::sort, kSelected, kUids, CommandKind::search},
      {"SORT", &Session::sort, kSelected, kNumbers | kByNumber, CommandKind::search},
      {"UID THREAD", &Session::thread, kSelected, kUids, CommandKind::search},
      {"THREAD", &Session::thread, kSelected, kNumbers | kByNumber, CommandKind::search},
      {"UID COPY", &Session::copy, kSelected, kUids, CommandKind::copy},
      {"COPY", &Session::copy, kSelected, kByNumber, CommandKind::copy},
      {"UID MOVE", &Session::copy, kSelected, kUids | kMove, CommandKind::copy},
      {"MOVE", &Session::copy, kSelected, kMove | kByNumber, CommandKind::copy},
      {"UID EXPUNGE", &Session::expunge, kSelected, kUids, CommandKind::expunge},
      {"APPEND", &Session::append, kLoggedIn, 0, CommandKind::append},
      {"EXPUNGE", &Session::expunge, kSelected, 0, CommandKind::expunge},
      {"CLOSE", &Session::close, kSelected, kLeave},
      {"UNSELECT", &Session::unselect, kSelected, kLeave},
      {"EXAMINE", &Session::select, kLoggedIn, kReadOnly, CommandKind::select},
      {"CHECK", &Session::noop, kSelected, 0},
      {"CAPABILITY", &Session::capability, kAlways, 0},
      {"LOGIN", &Session::login, kNotAuthenticated, 0, CommandKind::login},
      {"AUTHENTICATE", &Session::authenticate, kNotAuthenticated, 0, CommandKind::login},
      {"STARTTLS", &Session::starttls, kNotAuthenticated, 0},
      {"ID", &Session::id, kAlways, 0},
      {"ENABLE", &Session::enable, kLoggedIn, 0},
      {"GETQUOTAROOT", &Session::get_quota_root, kLoggedIn, 0},
      {"GETQUOTA", &Session::get_quota, kLoggedIn, 0},
      {"SETQUOTA", &Session::set_quota, kLoggedIn, 0},
      {"NAMESPACE", &Session::list_namespaces, kLoggedIn, 0},
      {"LANGUAGE", &Session::language, kAlways, 0},
      {"COMPARATOR", &Session::comparator, kLoggedIn, 0},
      {"LSUB", &Session::lsub, kLoggedIn, 0, CommandKind::list},
      {"CREATE", &Session::create, kLoggedIn, 0},
      {"DELETE", &Session::delete_named, kLoggedIn, 0},
      {"RENAME", &Session::rename, kLoggedIn, 0},
      {"SUBSCRIBE", &Session::subscribe, kLoggedIn, 0},
      {"UNSUBSCRIBE", &Session::unsubscribe, kLoggedIn, 0},
      {"COMPRESS", &Session::compress, kLoggedIn, 0},
      {"UNAUTHENTICATE", &Session::unauthenticate, kLoggedIn, 0},
      {"GETMETADATA", &Session::get_metadata, kLoggedIn, 0},
      {"SETMETADATA", &Session::set_metadata, kLoggedIn, 0},
      {"MYRIGHTS", &Session::my_rights, kLoggedIn, 0},
      {"GETACL", &Session::get_acl, kLoggedIn, 0},
      {"SETACL", &Session::set_acl, kLoggedIn, 0},
      {"DELETEACL", &Session::delete_acl, kLoggedIn, 0},
      {"LISTRIGHTS", &Session::list_rights, kLoggedIn, 0},
      {"GENURLAUTH", &Session::gen_urlauth, kLoggedIn, 0},
      {"URLFETCH", &Session::url_fetch, kLoggedIn, 0},
      {"RESETKEY", &Session::reset_key, kLoggedIn, 0},
      {"LOGOUT", &Session::logout, kAlways, 0},
  };
  for (const Command& command : kCommands) {
    if (command.verb == verb) return &command;
  }
  return nullptr;
}

Session::Session(Services& services, std::shared_ptr<net::Connection> connection, size_t loop)
    : services_(services),
      connection_(std::move(connection)),
      loop_(loop),
      number_(next_session_number()),
      config_(services.config.get()) {}

Session::~Session() = default;

void Session::account_changed(store::AccountId account) {
  // No more than the accounts that it listens to.
  if (std::find(changed_.begin(), changed_.end(), account) == changed_.end()) changed_.push_back(account);
  connection_->notify();
}

asio::awaitable<void> Session::run(bool implicit_tls) {
  std::string reason = "logout";
  std::string_view goodbye;
  try {
    co_await serve(implicit_tls);
  } catch (const net::ConnectionEnded& ended) {
    reason = net::to_string(ended.reason());
    if (ended.reason() == net::EndReason::timed_out) goodbye = "* BYE Too long without a command.\r\n";
    if (ended.reason() == net::EndReason::shutting_down)
      goodbye = "* BYE The server is going down; come back in a moment.\r\n";
  } catch (const std::exception& error) {
    log_error("session_failed", {{"session", number_}, {"user", user_}, {"error", error.what()}});
    reason = "failed";
    goodbye = "* BYE [SERVERBUG] This should not have happened; it was written down.\r\n";
  }
  if (!goodbye.empty() && (!implicit_tls || connection_->encrypted())) connection_->queue(goodbye);
  end(reason);
}

void Session::end(std::string_view reason) {
  deselect();
  stop_notify();
  if (account_) services_.registry.leave(account_->id, loop_, *this);
  connection_->close();
  log_info("connection_end", {{"session", number_},
                              {"remote", connection_->remote_address()},
                              {"user", user_},
                              {"reason", reason},
                              {"commands", commands_},
                              {"octets_out", octets_out_}});
}

asio::awaitable<void> Session::serve(bool implicit_tls) {
  connection_->set_deadline(config_->imap.login_timeout);
  if (implicit_tls) co_await connection_->start_tls(services_.tls->current(), true);
  append_format(out_, "* OK [CAPABILITY {}] {} Postrider IMAP is ready.\r\n", capabilities(), config_->server.hostname);
  while (state_ != kLogout) {
    Framer::Step step = framer_.next(connection_->input());
    connection_->consume(step.consumed);
    switch (step.event) {
      case Framer::Event::need_more:
        co_await send();
        connection_->set_busy(!framer_.between_commands());
        if (account_) connection_->set_deadline(config_->imap.idle_timeout);
        co_await wait_for_input();
        break;
      case Framer::Event::continuation:
        out_ += "+ Go on.\r\n";
        break;
      case Framer::Event::command:
        if (co_await still_welcome()) co_await command();
        if (!new_uids_.empty()) connection_->notify();  // NOTIFY fetches them once there is no command
        break;
      case Framer::Event::message:
        if (co_await still_welcome()) co_await message_command();
        break;
      case Framer::Event::line:
        break;  // only asked for by read_line()
      case Framer::Event::bad: {
        Reply reply = Reply::bad(framer_.problem());
        reply.append_to(out_, framer_.tag());
        count_bad(reply);
        break;
      }
      case Framer::Event::fatal:
        Reply::bad(framer_.problem()).append_to(out_, framer_.tag());
        untagged("BYE What follows cannot be told from commands.");
        state_ = kLogout;
        break;
    }
    if (out_.size() >= kSendAt) co_await send();
  }
  co_await send();
}

/// Between commands a session that said NOTIFY is told what others do.
asio::awaitable<void> Session::wait_for_input() {
  while (notify_ && framer_.between_commands()) {
    if (co_await connection_->wait_input_or_notify() == net::Connection::Wake::input) break;
    if (!co_await still_welcome()) co_return;
    try {
      co_await tell_news(false);
    } catch (const store::SqliteError& error) {
      failed("NOTIFY", error);  // written down; the next change is another chance
    }
    if (state_ == kLogout) co_return;
    co_await send();
  }
  co_await connection_->read_more();
}

asio::awaitable<void> Session::send() {
  if (out_.empty()) co_return;
  octets_out_ += out_.size();
  co_await connection_->write(out_);
  // A large answer is rare, and most sessions idle: its memory is given back.
  if (out_.capacity() > kKeptOutput) out_ = std::string();
  out_.clear();
}

asio::awaitable<std::optional<std::string>> Session::read_line() {
  framer_.expect_line();
  for (;;) {
    Framer::Step step = framer_.next(connection_->input());
    connection_->consume(step.consumed);
    if (step.event == Framer::Event::line) {
      std::string line(framer_.text());
      co_return line;
    }
    if (step.event != Framer::Event::need_more) co_return std::nullopt;
    co_await send();
    co_await connection_->read_more();
  }
}

asio::awaitable<void> Session::command() {
  Cursor cursor(framer_.text(), utf8_);
  std::string verb;
  ++commands_;
  tag_.clear();
  config_ = services_.config.get();
  if (!parse_verb(cursor, tag_, verb)) {
    Reply reply = Reply::refused(cursor);
    reply.append_to(out_, framer_.tag());
    count_bad(reply);
    co_return;
  }
  const Command* known = find_command(verb);
  std::optional<Reply> reply;
  if (known == nullptr) {
    reply = Reply::bad("There is no such command.");
  } else if ((known->states & state_) == 0) {
    reply = Reply::bad(state_ == kNotAuthenticated          ? "Please log in first."
                       : known->states == kNotAuthenticated ? "You are logged in already."
                                                            : "No mailbox is selected.");
  } else if (uid_only_ && (known->flags & kByNumber) != 0) {
    reply = uid_required();
  } else {
    const auto began = std::chrono::steady_clock::now();
    reply = co_await run_command(*known, cursor);
    if (known->kind != CommandKind::idle) count_command(known->kind, began);
  }
  count_reply(*reply);
  count_bad(*reply);
  if (!tag_.empty()) reply->append_to(out_, tag_);  // STARTTLS has answered already
}

asio::awaitable<Reply> Session::run_command(const Command& command, Cursor& cursor) {
  command_flags_ = command.flags;
  std::optional<Reply> reply;
  try {
    co_await refresh_rights();
    bool reads = command.states == kSelected && (command.flags & kLeave) == 0;
    if (reads && !allows(store::right::kRead)) {
      reply = Reply::no("The owner of this mailbox no longer lets you read it.").code("NOPERM");
    } else {
      reply = co_await (this->*command.handler)(cursor);
    }
  } catch (const store::SqliteError& error) {
    reply = failed(command.verb, error);
  }
  co_return std::move(*reply);
}

Reply Session::failed(std::string_view verb, const store::SqliteError& error) const {
  log_error("command_failed", {{"session", number_}, {"user", user_}, {"verb", verb}, {"error", error.what()}});
  if (error.is_corrupt()) {
    return Reply::no(
               "This mailbox's file is damaged and was set aside; nothing of it was deleted. The administrator can "
               "bring back what it holds, and mail that comes meanwhile waits.")
        .code("CORRUPTION");
  }
  std::string_view words = error.is_full() ? "The server's disk is full; nothing was changed. Please try again later."
                                           : "The mailbox cannot be reached at the moment. Please try again later.";
  // It is seen already, by this session too; repeated it might be there twice.
  if (dynamic_cast<const store::NotFlushed*>(&error) != nullptr)
    words =
        "It was done, but the server's disk did not confirm it: a power failure may undo it. Look before you repeat "
        "it.";
  return Reply::no(words).code("UNAVAILABLE");
}

void Session::untagged(std::string_view line) {
  out_ += "* ";
  out_ += line;
  out_ += "\r\n";
}

/// Before login, somebody who speaks another language is sent away.
void Session::count_bad(const Reply& reply) {
  if (state_ != kNotAuthenticated || !reply.is_bad()) return;
  if (++bad_commands_ < kMaxBadCommands) return;
  untagged("BYE There were too many commands that are none.");
  state_ = kLogout;
}

Reply reply_for(const store::StoreFailure& failure, bool try_create) {
  Reply reply = Reply::no(failure.message);
  switch (failure.fault) {
    case store::StoreFault::no_such_mailbox:
      reply.code(try_create ? "TRYCREATE" : "NONEXISTENT");
      break;
    case store::StoreFault::already_exists:
      reply.code("ALREADYEXISTS");
      break;
    case store::StoreFault::not_allowed:
      reply.code("CANNOT");
      break;
    case store::StoreFault::over_quota:
      reply.code("OVERQUOTA");
      break;
    case store::StoreFault::limit:
      reply.code("LIMIT");
      break;
    case store::StoreFault::no_permission:
      reply.code("NOPERM");
      break;
  }
  return reply;
}

}  // namespace postrider::imap
