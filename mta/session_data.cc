// DATA and BDAT: the message itself, up to the commit and the 250.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/mail/trace.h"
#include "common/mailauth/auth_results.h"
#include "mta/client_checks.h"
#include "mta/filter_changes.h"
#include "mta/forwarding.h"
#include "mta/metrics.h"
#include "mta/report_reader.h"
#include "mta/session.h"
#include "mta/session_rules.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;

namespace {

constexpr size_t kMaxMessageId = 250;  // octets of one that is remembered
constexpr size_t kReplyCodes = 10;     // octets of "554 5.4.6 "

/// While octets of a message come the daemon's end waits for them, and a failure ends the session.
class InMessage {
 public:
  InMessage(net::Connection& connection, bool& flag) : connection_(connection), flag_(flag) {
    flag_ = true;
    connection_.set_busy(true);
  }
  ~InMessage() {
    connection_.set_busy(false);
    if (std::uncaught_exceptions() == 0) flag_ = false;
  }
  InMessage(const InMessage&) = delete;
  InMessage& operator=(const InMessage&) = delete;

 private:
  net::Connection& connection_;
  bool& flag_;
};

/// MAIL FROM's address with its domain as DNS knows it.
std::string sender_for_dns(Address address) {
  if (auto domain = normalize_domain(address.domain)) address.domain = std::move(*domain);
  return address.to_string();
}

}  // namespace

asio::awaitable<void> Session::data(std::string_view) {
  if (transaction_->mail.body == smtp::Body::binary) {
    reply(503, status::kBadSequence, "a message with BODY=BINARYMIME comes by BDAT");
    co_return;
  }
  if (const auto refusal = co_await filter_data()) {
    transaction_.reset();
    reply(*refusal);
    co_return;
  }
  begin_message();
  reply(354, status::kNone, "send the message, and a dot on a line of its own to end it");
  const auto message = transaction_->message;
  smtp::DotDecoder decoder(config().smtp.max_line);
  {
    InMessage in_message(*connection_, in_message_);
    while (!decoder.ended()) {
      if (connection_->input().empty()) co_await more_of_message();
      connection_->consume(decoder.feed(connection_->input(), message->tail()));
      message->took();
      if (message->wants_store()) co_await store_tail();
    }
  }
  connection_->clear_deadline();
  if (decoder.bare_line_end()) {
    message->refuse(Reply(550, status::kBadContent, "the message has a CR or LF that is not part of a CRLF"));
  }
  if (decoder.line_too_long()) {
    message->refuse(
        Reply(550, status::kBadContent, fmt::format("a line is longer than {} octets", config().smtp.max_line)));
  }
  co_await finish_message();
}

/// RFC 3030. The chunk follows at once, whatever we think of it, so it is read before there is any answer.
asio::awaitable<void> Session::bdat(std::string_view argument) {
  const auto chunk = smtp::parse_bdat(argument);
  if (!chunk) {
    end_with(501, status::kBadArguments, chunk.error().text);  // what follows cannot be told from commands
    co_return;
  }
  if (chunk->size > 2 * config().smtp.max_message_size) {
    end_with(552, status::kMessageTooLarge, "the chunk is far too large to be read; good-bye");
    co_return;
  }
  const auto wrong = missing(kGreeted | kAuthenticated | kMail | kRecipient);
  if (!wrong && !transaction_->message) begin_message();
  co_await take_chunk(chunk->size, !wrong);
  connection_->clear_deadline();
  if (wrong) {
    reply(*wrong);
    co_return;
  }
  co_await end_chunk(chunk->last, chunk->size);
}

/// What a chunk of that many octets is answered.
asio::awaitable<void> Session::end_chunk(bool last, uint64_t size) {
  const auto message = transaction_->message;
  if (last) {
    if (transaction_->mail.body != smtp::Body::binary && transaction_->scanner.bare_line_end()) {
      message->refuse(Reply(550, status::kBadContent, "the message has a CR or LF that is not part of a CRLF"));
    }
    co_await finish_message();
  } else if (message->refusal()) {
    reply(*message->refusal());
    transaction_.reset();  // chunks that were sent ahead are read and refused
  } else {
    reply(250, status::kOk, fmt::format("{} octets received", size));
  }
}

asio::awaitable<void> Session::take_chunk(uint64_t size, bool wanted) {
  InMessage in_message(*connection_, in_message_);
  while (size > 0) {
    if (connection_->input().empty()) co_await more_of_message();
    const auto piece = connection_->input().substr(0, static_cast<size_t>(std::min<uint64_t>(size, SIZE_MAX)));
    size -= piece.size();
    if (wanted) {
      IncomingMessage& message = *transaction_->message;
      transaction_->scanner.feed(piece);
      message.tail().append(piece);
      message.took();
    }
    connection_->consume(piece.size());
    if (wanted && transaction_->message->wants_store()) co_await store_tail();
  }
}

/// Waits for octets. The deadline is renewed for every few KiB, not for every octet, so that a trickle ends.
asio::awaitable<void> Session::more_of_message() {
  if (since_deadline_ == 0 || since_deadline_ >= kProgress) {
    connection_->set_deadline(config().smtp.data_timeout);
    since_deadline_ = 0;
  }
  if (connection_->queued() > 0) co_await connection_->flush();
  co_await connection_->read_more();
  since_deadline_ += connection_->input().size();
}

void Session::begin_message() {
  ++messages_;
  since_deadline_ = 0;
  if (transaction_->id == 0) transaction_->id = service_.acceptor.next_id();
  transaction_->message =
      std::make_shared<IncomingMessage>(service_.acceptor.spool_directory(), config().smtp.max_message_size);
}

/// Our fields go before the first octet that is stored, and a file is never written on the loop.
asio::awaitable<void> Session::store_tail() {
  const auto message = transaction_->message;
  if (!message->begun()) take_head();
  auto trouble = std::make_shared<std::string>();
  if (message->store_blocks()) {
    // The worker shares the message: should the loop end meanwhile, nothing goes away under it.
    auto job = [message, trouble] { message->store(*trouble); };
    co_await service_.workers.run(std::move(job));
  } else {
    message->store(*trouble);
  }
  if (!trouble->empty()) log_error("smtp_spool_failed", {{"connection", number_}, {"reason", *trouble}});
}

/// What is to be known of the head before it leaves memory. A field that says we checked the message cannot be true
/// when it comes from outside (RFC 8601 5).
void Session::take_head() {
  Transaction& transaction = *transaction_;
  IncomingMessage& message = *transaction.message;
  std::string head(message.head());
  transaction.head_whole = head.size() < message.tail().size() || message.tail().size() < IncomingMessage::kTail;
  message.begin(own_fields(head));
  transaction.stored_head = head.size();
  if (auto clean = without_forged_results(head, config().server.hostname); clean && !may_relay()) {
    message.replace_head(head.size(), *clean);
    transaction.stored_head = clean->size();
  }
  transaction.head = std::move(head);
}

/// Received, and on submission what the client left out (RFC 6409 section 8). Looks at the head of the message for
/// loops.
std::string Session::own_fields(std::string_view head) {
  Transaction& transaction = *transaction_;
  if (count_headers(head, "Received") > config().smtp.max_hops) {
    transaction.message->refuse(
        Reply(554, status::kLoop,
              fmt::format("the message went through more than {} servers: a loop", config().smtp.max_hops)));
  }
  ReceivedTrace trace;
  trace.helo = helo_;
  trace.client_address = connection_->remote_address();
  if (facts_) trace.client_name = facts_->name;
  trace.by = config().server.hostname;
  trace.protocol.extended = extended_;
  trace.protocol.tls = connection_->encrypted();
  trace.protocol.authenticated = account_.has_value();
  trace.protocol.utf8 = transaction.mail.smtputf8;
  if (trace.protocol.tls) {
    const auto tls = connection_->tls();
    trace.tls_version = tls.protocol;
    trace.tls_cipher = tls.cipher;
  }
  trace.id = store::queue_id_text(transaction.id);
  if (transaction.accepted == 1) trace.recipient = transaction.first_path;
  trace.time = service_.clock.unix_time();
  transaction.message_id = find_header(head, "Message-ID").value_or("");
  transaction.is_report = ReportReader::is_report(head);
  transaction.waives_tls = iequals(trim(find_header(head, "TLS-Required").value_or("")), "No");  // RFC 8689 5
  std::string& added = transaction.added_fields;
  if (account_) {
    if (!find_header(head, "Date")) added += fmt::format("Date: {}\r\n", format_date_time(trace.time));
    if (transaction.message_id.empty()) {
      transaction.message_id = fmt::format("<{}.{:016x}@{}>", trace.id, random_u64(), config().server.hostname);
      added += fmt::format("Message-ID: {}\r\n", transaction.message_id);
    }
  }
  if (transaction.message_id.size() > kMaxMessageId) transaction.message_id.clear();
  return format_received(trace) + added;
}

/// Mail from another server: who says that it is from where it says.
asio::awaitable<void> Session::check() {
  Transaction& transaction = *transaction_;
  if (service_.checks == nullptr) co_return;
  auto message = std::make_shared<CheckedMessage>();
  message->client = connection_->remote_address();
  message->helo = helo_;
  if (transaction.mail.reverse_path) message->sender = sender_for_dns(*transaction.mail.reverse_path);
  message->head = transaction.head;
  message->head_whole = transaction.head_whole;
  message->is_report = transaction.is_report;
  message->spool = transaction.message->spool();
  message->body_offset = transaction.stored_head;
  if (facts_) message->client_results = facts_->results;
  std::shared_ptr<const Config> settings(settings_, &settings_->config);
  CheckOutcome outcome = co_await service_.checks->check(std::move(message), std::move(settings));
  transaction.checks = std::move(outcome.summary);
  transaction.junk = outcome.junk;
  if (facts_) {
    transaction.checks += facts_->summary;
    if (facts_->junk) transaction.junk = true, transaction.checks += " junk=dnsbl";
  }
  if (outcome.refusal) {
    transaction.message->refuse(std::move(*outcome.refusal));
  } else {
    transaction.message->add_fields(outcome.fields);
  }
}

/// Mail of our own users: signed with their domain's keys.
asio::awaitable<void> Session::sign() {
  Transaction& transaction = *transaction_;
  if (service_.signer == nullptr || !transaction.head_whole) co_return;
  auto message = std::make_shared<MessageToSign>();
  if (transaction.mail.reverse_path) {
    message->sender_domain = transaction.mail.reverse_path->domain;
  } else if (account_) {
    message->sender_domain = account_->address.substr(account_->address.rfind('@') + 1);
  }
  message->any_author = !account_;
  message->head = transaction.added_fields + transaction.head;
  message->spool = transaction.message->spool();
  message->body_offset = transaction.stored_head;
  if (service_.signer->adds_nothing(*message)) co_return;
  auto job = [&signer = *service_.signer, message] { return signer.sign(*message); };
  const std::string fields = co_await service_.workers.run(std::move(job));
  transaction.message->add_fields(fields);
}

/// Where every recipient has a quota and none has room for what came, nobody can be served.
void Session::check_room() {
  const Transaction& transaction = *transaction_;
  if (!transaction.all_have_quota || transaction.rooms.empty()) return;
  const uint64_t size = transaction.message->size();
  const auto has_room = [size](const Room& room) { return room.used < room.limit && size <= room.limit - room.used; };
  if (std::any_of(transaction.rooms.begin(), transaction.rooms.end(), has_room)) return;
  const auto could_fit = [size](const Room& room) { return size <= room.limit; };
  if (std::any_of(transaction.rooms.begin(), transaction.rooms.end(), could_fit)) {
    transaction.message->refuse(Reply(452, status::kMailboxFull, "the mailbox has no room for the message"));
  } else {
    transaction.message->refuse(Reply(552, status::kMailboxTooSmall, "the message does not fit in the mailbox"));
  }
}

/// Whoever would forward the message a second time does not; where that is everybody, the client is told.
void Session::check_circles() {
  Transaction& transaction = *transaction_;
  const size_t stopped = stop_circles(transaction.head, transaction.recipients);
  if (stopped == 0 || stopped < transaction.recipients.size()) return;
  transaction.message->refuse(Reply(554, status::kLoop, transaction.recipients.front().last_reply.substr(kReplyCodes)));
}

/// The whole message is here: the last of it is stored, and it is handed over unless something is wrong with it.
asio::awaitable<void> Session::finish_message() {
  const auto whole = std::chrono::steady_clock::now();
  const auto message = transaction_->message;
  if (!message->refusal()) check_room();
  if (!message->refusal()) co_await store_tail();
  if (!message->refusal() && !may_relay()) co_await check();
  if (!message->refusal() && filters_) co_await filter_message();
  if (!message->refusal()) check_circles();
  if (!message->refusal() && may_relay()) co_await sign();
  if (!message->refusal()) {
    auto trouble = std::make_shared<std::string>();
    auto job = [message, trouble] { message->complete(*trouble); };
    if (message->in_memory()) {
      job();
    } else {
      co_await service_.workers.run(std::move(job));
    }
    if (!trouble->empty()) log_error("smtp_spool_failed", {{"connection", number_}, {"reason", *trouble}});
  }
  if (message->refusal()) {
    log_info("smtp_refused", {{"connection", number_},
                              {"from", transaction_->reverse_path},
                              {"size", message->size()},
                              {"checks", transaction_->checks},
                              {"reply", message->refusal()->text}});
    reply(*message->refusal());
  } else {
    const uint64_t accepted = accepted_messages_;
    co_await hand_over();
    if (accepted_messages_ != accepted) counted::accept_seconds.observe(std::chrono::steady_clock::now() - whole);
  }
  transaction_.reset();
}

asio::awaitable<void> Session::hand_over() {
  Transaction& transaction = *transaction_;
  store::QueuedMessage queued;
  queued.id = transaction.id;
  queued.reverse_path = transaction.reverse_path;
  if (account_) queued.authenticated_as = account_->address;
  queued.client = fmt::format("{} [{}]", helo_, connection_->remote_address());
  queued.envid = transaction.mail.envid.value_or("");
  if (transaction.mail.ret != smtp::Ret::none) queued.ret = transaction.mail.ret == smtp::Ret::full ? "FULL" : "HDRS";
  queued.eight_bit = transaction.mail.body != smtp::Body::seven_bit || transaction.message->eight_bit();
  queued.binary = transaction.mail.body == smtp::Body::binary;
  queued.smtputf8 = transaction.mail.smtputf8;
  queued.tls = transaction.mail.require_tls ? TlsNeed::required
               : transaction.waives_tls     ? TlsNeed::waived
                                            : TlsNeed::as_policy;
  queued.accepted = service_.clock.unix_time();
  queued.body = transaction.message->spool();
  queued.junk = transaction.junk;
  queued.checks = transaction.checks;
  for (auto& recipient : transaction.recipients) recipient.next_attempt = queued.accepted;
  mark_recipients(transaction.recipients, transaction.discarded, transaction.held);
  const size_t recipients = transaction.recipients.size();
  queued.recipients = std::move(transaction.recipients);
  queued.expanded = std::move(transaction.expanded);
  queued.message_id = std::move(transaction.message_id);

  const auto acceptance = co_await service_.acceptor.accept(std::move(queued));
  const std::string id = store::queue_id_text(transaction.id);
  if (!acceptance) {
    const NotAccepted& why = acceptance.error();
    log_error("smtp_not_accepted", {{"connection", number_}, {"id", id}, {"reason", why.detail}});
    if (why.reason == NotAccepted::Reason::shutting_down) {
      end_with(421, status::kShuttingDown, "the server is going down; try again in a minute");
    } else if (why.reason == NotAccepted::Reason::disk_full) {
      reply(452, status::kStorageFull, "the disk here is full; try again later");
    } else {
      reply(451, status::kSystemTrouble, "the message could not be stored here; try again later");
    }
    co_return;
  }
  reply_accepted(*acceptance, transaction.id);
  // Whoever signs it stands behind it (RFC 8460 5.3).
  const bool credible = transaction.checks.find("dkim=pass") != std::string::npos;
  if (transaction.is_report && credible && service_.reports != nullptr)
    service_.reports->take(transaction.message->spool());
  const uint64_t size = transaction.message->size();
  ++accepted_messages_;
  octets_ += size;
  counted::messages_accepted[static_cast<size_t>(role_)].add();
  counted::octets_accepted.add(size);
  errors_ = 0;
  idle_commands_ = 0;
  log_info("accepted", {{"id", id},
                        {"connection", number_},
                        {"client", connection_->remote_address()},
                        {"user", account_ ? account_->address : std::string()},
                        {"from", transaction.reverse_path},
                        {"recipients", recipients},
                        {"size", size},
                        {"checks", transaction.checks}});
}

}  // namespace postrider
