// APPEND and REPLACE (RFC 9051 6.3.12; RFC 3502, 4469, 8508): the messages stream from the connection into a spool,
// then into the account, all of them or none.
#include <algorithm>
#include <system_error>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "imapd/fetch.h"
#include "imapd/session.h"
#include "store/message_source.h"

namespace postrider::imap {
namespace {

/// Refused non-synchronising literals up to this size are read and dropped; after longer ones the connection is closed.
constexpr uint64_t kMaxSkipped = 256 << 20;
/// Octets of all messages of one APPEND, in messages of the largest size.
constexpr uint64_t kMaxUploadInMessages = 4;
constexpr uint64_t kMaxUrl = 8 << 10;   // octets
constexpr size_t kToldUrl = 1'000;      // octets of one that is refused
constexpr uint64_t kPiece = 256 << 10;  // octets that are copied at once

/// A response code is one line and ends with its bracket, whatever the URL is (RFC 4469 4).
Reply bad_url(std::string_view url) {
  std::string code = "BADURL \"";
  for (char c : url.substr(0, std::min(url.find_first_of("\r\n"), kToldUrl))) {
    code += is_ctl(c) || is_8bit(c) || c == '"' || c == '\\' || c == ']' ? '?' : c;
  }
  code += '"';
  return Reply::no("The URL names no part of a message that you may read.").code(std::move(code));
}

}  // namespace

struct Session::Upload {
  struct Message {
    FlagNames flags;
    std::optional<UnixTime> date;
    uint64_t offset = 0, size = 0;  // in the spool
  };
  std::string mailbox;
  std::optional<store::Uid> replaced;
  AppendReader reader;
  std::vector<AppendStep> steps;
  std::vector<Message> messages;
  std::shared_ptr<store::Spool> spool;  // all of them, one behind the other
  std::string url;                      // that is being received
  bool to_url = false;
  std::string failure;           // why the octets could not be kept
  std::optional<Reply> refused;  // the rest is only read to its end
};

/// A command whose text ends at the literal of a message.
asio::awaitable<void> Session::message_command() {
  ++commands_;
  const auto began = std::chrono::steady_clock::now();
  config_ = services_.config.get();
  command_flags_ = 0;
  Cursor cursor(framer_.text(), utf8_);
  std::string verb;
  Upload upload;
  if (!parse_verb(cursor, tag_, verb)) {
    tag_ = framer_.tag();
    upload.refused = Reply::refused(cursor);
  } else {
    try {
      co_await refresh_rights();
      upload.refused = begin_upload(cursor, verb, upload);
    } catch (const store::SqliteError& error) {
      upload.refused = failed(verb, error);
    }
  }
  std::optional<Reply> reply;
  try {
    reply = co_await upload_messages(upload, cursor, true);
  } catch (const store::SqliteError& error) {
    reply = failed(verb, error);
  }
  count_command(CommandKind::append, began);
  count_reply(*reply);
  if (!tag_.empty()) reply->append_to(out_, tag_);  // else the answer is there, with the goodbye
}

/// One without a literal: it may be put together from messages that are here (RFC 4469).
asio::awaitable<Reply> Session::append(Cursor& arguments) {
  Upload upload;
  upload.refused = begin_upload(arguments, "APPEND", upload);
  co_return co_await upload_messages(upload, arguments, false);
}

std::optional<Reply> Session::begin_upload(Cursor& cursor, std::string_view verb, Upload& upload) {
  upload.spool = std::make_shared<store::Spool>(services_.spool);
  if (verb == "APPEND") {
    AppendCommand command;
    if (!parse_append(cursor, command)) return Reply::refused(cursor);
    upload.mailbox = std::move(command.mailbox);
    return std::nullopt;
  }
  ReplaceCommand command;
  if (!parse_replace(cursor, command)) return Reply::refused(cursor);
  if (!view_) return Reply::bad("No mailbox is selected.");
  bool uids = verb == "UID REPLACE";
  if (!uids && uid_only_) return uid_required();
  if (view_->read_only()) return Reply::no("The mailbox was opened with EXAMINE; it is read only.");
  if (!allows(store::right::kDeleteMessages | store::right::kExpunge))
    return reply_for(no_permission("You may not remove messages from the selected mailbox."));
  SequenceSet set;
  set.ranges.push_back({command.number, command.number});
  NumberRanges numbers = view_->numbers(set, uids);
  if (numbers.empty()) {
    return uids ? Reply::no("There is no message of this UID.") : Reply::bad("There is no message of this number.");
  }
  upload.replaced = view_->uid_of(numbers.front().first);
  upload.mailbox = std::move(command.mailbox);
  return std::nullopt;
}

/// Stretches of text and literals in turn, to the end of the command.
asio::awaitable<Reply> Session::upload_messages(Upload& upload, Cursor cursor, bool literal_follows) {
  for (;;) {
    if (!upload.refused && !upload.reader.read(cursor, literal_follows, upload.steps))
      upload.refused = Reply::refused(cursor);
    if (!upload.refused && upload.replaced && upload.reader.messages() > 1)
      upload.refused = Reply::bad("REPLACE takes one message.");
    if (!upload.refused) co_await take_steps(upload);
    if (!literal_follows) break;
    // Who is refused at a synchronising literal says nothing more of this command.
    bool synchronising = framer_.message().synchronising;
    if (!upload.refused) co_await refuse_early(upload, framer_.message().size);
    if (upload.refused && synchronising) co_return *upload.refused;
    co_await take_literal(upload);
    if (state_ == kLogout) co_return *upload.refused;
    literal_follows = co_await next_stretch(upload);
    if (state_ == kLogout) co_return *upload.refused;
    cursor = Cursor(framer_.text(), utf8_);
  }
  if (upload.refused) co_return *upload.refused;
  co_return co_await commit_upload(upload);
}

asio::awaitable<void> Session::take_steps(Upload& upload) {
  for (AppendStep& step : std::exchange(upload.steps, {})) {
    switch (step.kind) {
      case AppendStep::Kind::begin:
        upload.messages.push_back({std::move(step.flags), step.date, upload.spool->size(), 0});
        if (save_limit().exceeded_by(upload.messages.size())) upload.refused = save_limit().refusal();
        break;
      case AppendStep::Kind::literal:
      case AppendStep::Kind::url_literal:
        upload.to_url = step.kind == AppendStep::Kind::url_literal;
        break;
      case AppendStep::Kind::url:
        co_await catenate(upload, std::move(step.url));
        break;
      case AppendStep::Kind::end:
        upload.messages.back().size = upload.spool->size() - upload.messages.back().offset;
        if (upload.messages.back().size == 0) upload.refused = Reply::no("A message of no octets is none.");
        break;
    }
    if (upload.refused) co_return;
  }
}

/// Whether a literal can be refused before it is sent. Small ones are not worth the question.
asio::awaitable<void> Session::refuse_early(Upload& upload, uint64_t size) {
  uint64_t most = config_->imap.max_append_size;
  uint64_t whole = upload.messages.empty() ? size : upload.spool->size() - upload.messages.back().offset + size;
  if (upload.to_url ? size > kMaxUrl : whole > most) {
    upload.refused = Reply::no(fmt::format("A message may have {} octets at most.", most)).code("TOOBIG");
  } else if (upload.spool->size() + size > most * kMaxUploadInMessages) {
    upload.refused = Reply::no("These are too many octets for one APPEND; send the messages one by one.").code("LIMIT");
  }
  if (upload.refused || size <= store::kChunkSize) co_return;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = permitted(account, place, store::right::kInsert);
    if (!mailbox) {
      upload.refused = reply_for(mailbox.error(), true);
    } else if (place.quota != 0 && account.used_bytes() + upload.spool->size() + size > place.quota) {
      upload.refused =
          Reply::no("The account is over its quota with this message. Delete mail, or ask for more.").code("OVERQUOTA");
    }
  };
  co_await on_mailbox(upload.mailbox, job);
}

asio::awaitable<void> Session::take_literal(Upload& upload) {
  LiteralHead head = framer_.message();
  if (upload.refused && head.size > kMaxSkipped) {
    upload.refused->append_to(out_, tag_);
    tag_.clear();
    untagged("BYE The message is too long to wait for its end.");
    state_ = kLogout;
    co_return;
  }
  if (upload.refused) co_return co_await skip_octets(head.size);
  if (head.synchronising) out_ += "+ Go on.\r\n";
  co_await send();
  co_await receive(upload, head.size);
  if (!upload.failure.empty()) {
    log_error("append_failed", {{"session", number_}, {"user", user_}, {"error", upload.failure}});
    upload.refused =
        Reply::no("The server cannot keep the message: its disk is full or broken. Please try again later.")
            .code("UNAVAILABLE");
  } else if (std::exchange(upload.to_url, false)) {
    co_await catenate(upload, std::exchange(upload.url, {}));
  }
}

asio::awaitable<void> Session::receive(Upload& upload, uint64_t count) {
  connection_->set_busy(true);
  while (count > 0) {
    if (connection_->input().empty()) {
      connection_->set_deadline(config_->imap.idle_timeout);
      co_await connection_->read_more();
    }
    std::string_view piece = connection_->input();
    piece = piece.substr(0, static_cast<size_t>(std::min<uint64_t>(count, piece.size())));
    auto keep = [&] {
      try {
        if (upload.failure.empty()) upload.spool->append(piece);
      } catch (const std::system_error& error) {
        upload.failure = error.what();
      }
    };
    if (upload.to_url) {
      upload.url += piece;
    } else if (upload.spool->will_write(piece.size())) {
      co_await services_.workers.run(keep);
    } else {
      keep();
    }
    count -= piece.size();
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

/// Reads what follows the octets of a literal. True: another literal comes behind it.
asio::awaitable<bool> Session::next_stretch(Upload& upload) {
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
        co_return false;
      case Framer::Event::message:
        co_return true;
      default:
        if (!upload.refused) upload.refused = Reply::bad(framer_.problem());
        if (step.event == Framer::Event::fatal) {
          upload.refused->append_to(out_, tag_);
          tag_.clear();
          untagged("BYE What follows cannot be told from commands.");
          state_ = kLogout;
        }
        co_return false;
    }
  }
}

/// Appends what a URL names to the message in hand: of a mailbox of this user's by its path, of any where the URL says
/// that the user may.
asio::awaitable<void> Session::catenate(Upload& upload, std::string url) {
  const auto parsed = parse_imap_url(url);
  // Where there is nothing to append to, that is what the client wants to hear first.
  auto look = [&](store::Account& account, const Place& place) {
    if (auto target = permitted(account, place, store::right::kInsert); !target)
      upload.refused = reply_for(target.error(), true);
  };
  co_await on_mailbox(upload.mailbox, look);
  if (upload.refused) co_return;
  bool found = false;
  auto job = [&] {
    try {
      const auto part = parsed->host.empty() ? follow_path(*parsed) : follow(*parsed);
      if (!part) return;
      auto account = services_.accounts.open(part->owner);
      found = copy_part(*account, *part, upload);
    } catch (const std::system_error& error) {
      upload.failure = error.what();
    }
  };
  if (parsed) co_await services_.workers.run(job);
  if (!upload.failure.empty()) {
    log_error("append_failed", {{"session", number_}, {"user", user_}, {"error", upload.failure}});
    upload.refused = Reply::no("The server's disk is full or broken. Please try again later.").code("UNAVAILABLE");
  } else if (!found) {
    upload.refused = bad_url(url);
  }
}

/// What a URL without a host leads to. On the worker.
std::optional<store::UrlPart> Session::follow_path(const ImapUrl& url) {
  if (url.mailbox.empty() && !view_) return std::nullopt;
  const Place place = url.mailbox.empty() ? selected_ : find_place(url.mailbox);
  auto account = services_.accounts.open(place.account);
  const auto mailbox = url.mailbox.empty() ? account->mailbox(view_->mailbox()) : account->find_mailbox(place.name);
  if (!mailbox || (account->rights_of(mailbox->id, account_->id) & store::right::kRead) == 0) return std::nullopt;
  return store::find_url_part(*account, *mailbox, url);
}

/// False: it went away. What would make the message too long is refused.
bool Session::copy_part(store::Account& account, store::UrlPart part, Upload& upload) {
  Octets& left = part.octets;
  uint64_t whole = upload.spool->size() - upload.messages.back().offset + left.length;
  if (whole > config_->imap.max_append_size) {
    upload.refused = Reply::no("The message would become larger than one may be.").code("TOOBIG");
    return true;
  }
  std::string piece;
  while (left.length > 0) {
    piece.clear();
    account.read(part.message, left.offset, std::min(left.length, kPiece), piece);
    if (piece.empty()) return false;
    upload.spool->append(piece);
    left.offset += piece.size();
    left.length -= piece.size();
  }
  return true;
}

asio::awaitable<Reply> Session::commit_upload(Upload& upload) {
  std::optional<Reply> reply;
  store::AccountId whose = 0;
  auto job = [&](store::Account& account, const Place& place) {
    whose = account.id();
    reply = store_upload(account, place, upload);
    if (reply->is_ok()) report_changes(account);
  };
  co_await on_mailbox(upload.mailbox, job);
  if (!reply->is_ok()) co_return *reply;
  tell_others(whose);
  if (upload.replaced && whose != selected_.account) tell_others(selected_.account);
  co_return *reply;
}

Reply Session::store_upload(store::Account& account, const Place& place, Upload& upload) {
  auto mailbox = permitted(account, place, store::right::kInsert);
  if (!mailbox) return reply_for(mailbox.error(), true);
  uint64_t changeable = store::changeable_flags(account.rights_of(mailbox->id, account_->id));
  std::vector<store::PreparedMessage> prepared;
  bool one = upload.messages.size() == 1;
  if (one) prepared.push_back(store::prepare_message(upload.spool));  // before the writers' lock is taken
  store::Edit edit(account);
  store::UidRanges uids;
  for (const Upload::Message& message : upload.messages) {
    if (!one) {
      prepared.clear();
      auto part = std::make_shared<store::Spool>(upload.spool, message.offset, message.size);
      prepared.push_back(store::prepare_message(std::move(part)));
    }
    bool keeps_keywords = changeable >> store::Flags::kFirstKeywordBit != 0;
    auto keywords = edit.keyword_bits(keeps_keywords ? message.flags.keywords : std::vector<std::string>());
    if (!keywords) return reply_for(keywords.error());
    store::Flags flags(keywords->with(message.flags.system).bits() & changeable);
    auto uid = edit.append(mailbox->id, prepared.front(), "", flags, message.date.value_or(services_.clock.unix_time()),
                           0, place.quota);
    if (!uid) return reply_for(uid.error(), true);
    store::append_uid(uids, *uid);
  }
  store::UidRanges replaced;
  if (upload.replaced) replaced = {{*upload.replaced, *upload.replaced}};
  bool same = account.id() == selected_.account;
  if (upload.replaced && same && edit.remove(view_->mailbox(), replaced).empty())
    return Reply::no("The message to replace is gone.").code("EXPUNGEISSUED");
  store::Flushed flushed = edit.commit_flushed();
  if (upload.replaced && !same) {  // the new one is on disk first
    auto selected = open(selected_.account);
    store::Edit removal(*selected);
    removal.remove(view_->mailbox(), replaced);
    flushed = removal.commit_flushed();
  }
  std::string code = fmt::format("APPENDUID {} {}", mailbox->uid_validity, store::format_ranges(uids));
  if (!upload.replaced) return Reply::done(flushed, "Kept.").code(code);
  untagged(fmt::format("OK [{}] Kept.", code));  // before the EXPUNGE (RFC 8508 3.3)
  return Reply::done(flushed, "Replaced.");
}

}  // namespace postrider::imap
