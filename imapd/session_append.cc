// APPEND (RFC 3501 6.3.11, RFC 4315): the message streams from the connection into a spool, then into the account.
#include <system_error>

#include "common/base/log.h"
#include "imapd/session.h"
#include "store/message_source.h"

namespace postrider::imap {
namespace {

/// Refused non-synchronising literals up to this size are read and dropped; after longer ones the connection is closed.
constexpr uint64_t kMaxSkipped = 256 << 20;

}  // namespace

struct Session::Upload {
  AppendCommand command;
  LiteralHead head;
  std::shared_ptr<store::Spool> spool;
  std::string failure;  // why the octets could not be kept
  bool taken = false;   // the literal and what follows it were read
};

asio::awaitable<void> Session::message_command() {
  ++commands_;
  config_ = services_.config.get();
  command_flags_ = 0;
  Cursor cursor(framer_.text());
  std::string verb;
  Upload upload;
  upload.head = framer_.message();
  upload.spool = std::make_shared<store::Spool>(services_.spool);
  std::optional<Reply> reply;
  if (!parse_verb(cursor, tag_, verb) || !parse_append(cursor, upload.command)) {
    tag_ = framer_.tag();
    reply = Reply::refused(cursor);
  } else {
    try {
      reply = co_await append(upload);
    } catch (const store::SqliteError& error) {
      reply = failed("APPEND", error);
    }
  }
  // What is under way of a refused message has to be read before the next command.
  if (!upload.taken && !upload.head.synchronising) {
    if (upload.head.size > kMaxSkipped) {
      reply->append_to(out_, tag_);
      untagged("BYE The message is too long to wait for its end.");
      state_ = kLogout;
      co_return;
    }
    co_await skip_octets(upload.head.size);
    co_await finish_message();
  }
  reply->append_to(out_, tag_);
}

asio::awaitable<Reply> Session::append(Upload& upload) {
  if (auto refused = co_await refuse_early(upload)) co_return *refused;
  if (upload.head.synchronising) out_ += "+ Go on.\r\n";
  co_await send();
  co_await receive(upload);
  upload.taken = true;
  if (auto problem = co_await finish_message()) co_return Reply::bad(*problem);
  if (!upload.failure.empty()) {
    log_error("append_failed", {{"session", number_}, {"user", user_}, {"error", upload.failure}});
    Reply reply = Reply::no("The server cannot keep the message: its disk is full or broken. Please try again later.");
    co_return reply.code("UNAVAILABLE");
  }
  co_return co_await commit_append(upload);
}

/// Whether the message can be refused before it is sent. Small ones are not worth the question.
asio::awaitable<std::optional<Reply>> Session::refuse_early(Upload& upload) {
  if (upload.head.size == 0) co_return Reply::no("A message of no octets is none.");
  if (upload.head.size > config_->imap.max_append_size) {
    Reply reply = Reply::no(fmt::format("A message may have {} octets at most.", config_->imap.max_append_size));
    co_return reply.code("TOOBIG");
  }
  if (upload.head.size <= store::kChunkSize) co_return std::nullopt;
  std::optional<Reply> refused;
  auto job = [&](store::Account& account) {
    if (!account.find_mailbox(upload.command.mailbox)) {
      refused = Reply::no("There is no mailbox of this name.").code("TRYCREATE");
    } else if (account_->quota != 0 && account.used_bytes() + upload.head.size > account_->quota) {
      refused =
          Reply::no("The account is over its quota with this message. Delete mail, or ask for more.").code("OVERQUOTA");
    }
  };
  co_await on_account(job);
  co_return refused;
}

asio::awaitable<void> Session::receive(Upload& upload) {
  connection_->set_busy(true);
  while (upload.head.size > 0) {
    if (connection_->input().empty()) {
      connection_->set_deadline(config_->imap.idle_timeout);
      co_await connection_->read_more();
    }
    std::string_view piece =
        connection_->input().substr(0, static_cast<size_t>(std::min<uint64_t>(upload.head.size, SIZE_MAX)));
    auto keep = [&] {
      try {
        if (upload.failure.empty()) upload.spool->append(piece);
      } catch (const std::system_error& error) {
        upload.failure = error.what();
      }
    };
    if (upload.spool->will_write(piece.size())) {
      co_await services_.workers.run(keep);
    } else {
      keep();
    }
    upload.head.size -= piece.size();
    connection_->consume(piece.size());
  }
}

asio::awaitable<void> Session::skip_octets(uint64_t count) {
  connection_->set_busy(true);
  while (count > 0) {
    if (connection_->input().empty()) {
      connection_->set_deadline(config_->imap.idle_timeout);
      co_await connection_->read_more();
    }
    auto piece = static_cast<size_t>(std::min<uint64_t>(count, connection_->input().size()));
    connection_->consume(piece);
    count -= piece;
  }
}

/// Reads what follows the octets of a message up to the end of the command; gives what is wrong with it.
asio::awaitable<std::optional<std::string>> Session::finish_message() {
  std::optional<std::string> problem;
  framer_.message_taken();
  for (;;) {
    Framer::Step step = framer_.next(connection_->input());
    connection_->consume(step.consumed);
    switch (step.event) {
      case Framer::Event::need_more:
        co_await send();
        co_await connection_->read_more();
        continue;
      case Framer::Event::command:
        if (!framer_.text().empty()) problem = "An APPEND ends with its message.";
        co_return problem;
      case Framer::Event::message:
        problem = "An APPEND takes one message.";
        if (framer_.message().synchronising) co_return problem;
        if (framer_.message().size <= kMaxSkipped) {
          co_await skip_octets(framer_.message().size);
          framer_.message_taken();
          continue;
        }
        state_ = kLogout;
        co_return problem;
      default:
        if (step.event == Framer::Event::fatal) state_ = kLogout;
        problem = "An APPEND ends with its message.";
        co_return problem;
    }
  }
}

asio::awaitable<Reply> Session::commit_append(Upload& upload) {
  const AppendCommand& command = upload.command;
  std::optional<Reply> reply;
  auto job = [&](store::Account& account) {
    auto mailbox = account.find_mailbox(command.mailbox);
    if (!mailbox) {
      reply = Reply::no("There is no mailbox of this name.").code("TRYCREATE");
      return;
    }
    store::PreparedMessage message = store::prepare_message(upload.spool);
    store::Edit edit(account);
    auto keywords = edit.keyword_bits(command.flags.keywords);
    if (!keywords) {
      reply = reply_for(keywords.error());
      return;
    }
    auto uid = edit.append(mailbox->id, message, "", keywords->with(command.flags.system),
                           command.date.value_or(services_.clock.unix_time()), 0, account_->quota);
    if (!uid) {
      reply = reply_for(uid.error(), true);
      return;
    }
    store::Flushed flushed = edit.commit_flushed();
    reply = Reply::done(flushed, "Kept.").code(fmt::format("APPENDUID {} {}", mailbox->uid_validity, *uid));
    report_changes(account);
  };
  co_await on_account(job);
  if (reply->is_ok()) tell_others();
  co_return *reply;
}

}  // namespace postrider::imap
