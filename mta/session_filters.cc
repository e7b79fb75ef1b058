// What milters are shown of a session, and what they change about a message.
#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/base/log.h"
#include "common/mailauth/auth_results.h"
#include "mta/client_checks.h"
#include "mta/filter_changes.h"
#include "mta/milter_chain.h"
#include "mta/session.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;

namespace {

/// "FROM:<a@b> SIZE=5" as a filter gets it: the path in brackets, then each parameter.
std::vector<std::string> strings_of(std::string_view argument) {
  argument = trim(argument.substr(std::min(argument.find('<'), argument.size())));
  bool quoted = false;
  size_t end = 0;
  for (; end < argument.size() && (quoted || argument[end] != '>'); ++end) {
    if (argument[end] == '"') quoted = !quoted;
    if (argument[end] == '\\') ++end;
  }
  end = std::min(end + 1, argument.size());
  std::vector<std::string> strings{std::string(argument.substr(0, end))};
  argument = trim(argument.substr(end));
  while (!argument.empty()) {
    const auto word = argument.substr(0, argument.find(' '));
    strings.emplace_back(word);
    argument = trim(argument.substr(word.size()));
  }
  return strings;
}

}  // namespace

void Session::open_filters() {
  auto surroundings = std::make_shared<MilterClient::Surroundings>(filter_surroundings(config()));
  surroundings->dns = service_.dns;
  surroundings->workers = &service_.workers;
  surroundings->spool_directory = service_.acceptor.spool_directory();
  filters_ = std::make_shared<MilterChain>(settings_->milters, may_relay(), std::move(surroundings));
  filters_->set("j", config().server.hostname);
  filters_->set("v", "Postrider");
  filters_->set("{daemon_name}", std::string(to_string(role_)));
  filters_->set("{daemon_addr}", connection_->local_address());
  filters_->set("{client_addr}", connection_->remote_address());
  filters_->set("{auth_authen}", account_ ? account_->address : std::string());
  filters_->set("{auth_type}", std::string(mechanism_));
  if (!connection_->encrypted()) return;
  const auto tls = connection_->tls();
  filters_->set("{tls_version}", tls.protocol);
  filters_->set("{cipher}", tls.cipher);
}

/// What a filter decided, written down; the refusal, where it is one.
std::optional<Reply> Session::obey_filter(MilterAnswer answer) {
  if (transaction_ && answer.discard) transaction_->discarded = true;
  if (answer.close) {
    ending_ = true;
    end_reason_ = "a filter ended the session";
  }
  return std::move(answer.refusal);
}

asio::awaitable<std::optional<Reply>> Session::filter_mail(std::string_view argument) {
  if (!filters_ && !settings_->milters.empty()) open_filters();
  if (!filters_) co_return std::nullopt;
  Transaction& transaction = *transaction_;
  transaction.id = service_.acceptor.next_id();
  filters_->set("i", store::queue_id_text(transaction.id));
  filters_->set("{mail_addr}", transaction.reverse_path);
  MilterClient::Hello hello;
  hello.client_address = connection_->remote_address();
  hello.client_name = facts_ && !facts_->name.empty() ? facts_->name : '[' + hello.client_address + ']';
  filters_->set("{client_name}", hello.client_name);
  filters_->set("{client_ptr}", facts_ && !facts_->claimed.empty() ? facts_->claimed : "unknown");
  hello.client_port = connection_->remote_port();
  hello.helo = helo_;
  auto answer = co_await filters_->mail(std::move(hello), strings_of(argument));
  co_return obey_filter(std::move(answer));
}

asio::awaitable<std::optional<Reply>> Session::filter_rcpt(std::string_view argument, const Address& path) {
  if (!filters_) co_return std::nullopt;
  filters_->set("{rcpt_mailer}", "smtp");
  filters_->set("{rcpt_addr}", path.to_string());
  filters_->set("{rcpt_host}", path.domain);
  auto answer = co_await filters_->rcpt(strings_of(argument));
  co_return obey_filter(std::move(answer));
}

/// As sendmail shows them: the mailer is "error", and what was said stands where the address would.
asio::awaitable<void> Session::show_refused_rcpt(std::string_view argument, const Reply& refusal) {
  if (!filters_) co_return;
  filters_->set("{rcpt_mailer}", "error");
  filters_->set("{rcpt_host}", std::string(refusal.status));
  filters_->set("{rcpt_addr}", refusal.text);
  co_await filters_->refused_rcpt(strings_of(argument));
}

asio::awaitable<std::optional<Reply>> Session::filter_data() {
  if (!filters_) co_return std::nullopt;
  transaction_->filters_know_data = true;
  auto answer = co_await filters_->data();
  co_return obey_filter(std::move(answer));
}

/// The client has its answer already; a filter may end the session.
asio::awaitable<void> Session::filter_unknown(std::string line) {
  auto answer = co_await filters_->unknown(std::move(line));
  if (answer.close) obey_filter(std::move(answer));
}

/// The whole message, for filters to judge and to change.
asio::awaitable<void> Session::filter_message() {
  Transaction& transaction = *transaction_;
  IncomingMessage& message = *transaction.message;
  if (!transaction.filters_know_data) {  // it came by BDAT
    if (auto refusal = co_await filter_data()) {
      message.refuse(std::move(*refusal));
      co_return;
    }
  }
  if (!transaction.head_whole) {
    message.refuse(Reply(552, status::kMessageTooLarge, "the header is too large to be looked at by the filters here"));
    co_return;
  }
  std::string head = transaction.head;
  if (!may_relay()) {
    if (auto clean = without_forged_results(head, config().server.hostname)) head = std::move(*clean);
  }
  MilterMessage shown(transaction.added_fields + head, message.spool(), transaction.stored_head);
  auto answer = co_await filters_->message(shown);
  if (auto refusal = obey_filter(std::move(answer))) {
    append_format(transaction.checks, " filter=refused");
    message.refuse(std::move(*refusal));
    co_return;
  }
  co_await apply_changes(shown);
}

asio::awaitable<void> Session::apply_changes(MilterMessage& changed) {
  Transaction& transaction = *transaction_;
  FilterNotes notes = notes_of(changed);
  transaction.junk = transaction.junk || notes.junk;
  transaction.held = std::move(notes.held);
  transaction.checks += notes.checks;
  if (!change_sender(changed, transaction.reverse_path)) {
    log_warn("milter_change_ignored", {{"connection", number_}, {"sender", *changed.sender}});
  }
  const auto before = transaction.recipients;
  const auto gone = [&](const store::QueuedRecipient& recipient) {
    transaction.known.erase(recipient.account != 0 ? std::to_string(recipient.account) : recipient.address);
  };
  remove_recipients(transaction.recipients, changed.removed, gone);
  for (const std::string& address : changed.added) co_await add_filtered_recipient(address);
  if (transaction.recipients.empty()) {  // nobody is left: it is taken for those, and removed
    transaction.recipients = before;
    transaction.discarded = true;
  }
  for (size_t i = 0; i < transaction.recipients.size(); ++i)
    transaction.recipients[i].number = static_cast<int64_t>(i) + 1;
  if (!changed.head.changed() && !changed.body_changed) co_return;
  auto head = std::make_shared<std::string>(changed.head.text());
  auto trouble = std::make_shared<std::string>();
  auto job = [message = transaction.message, head, trouble, body = changed.body, offset = changed.body_offset,
              covered = transaction.added_fields.size()] { message->rewrite(*head, *body, offset, covered, *trouble); };
  if (transaction.message->rewrite_blocks(head->size() + changed.body->size())) {
    co_await service_.workers.run(std::move(job));
  } else {
    job();
  }
  if (!trouble->empty()) log_error("smtp_spool_failed", {{"connection", number_}, {"reason", *trouble}});
  transaction.head = *head;
  transaction.stored_head = head->size();
  transaction.added_fields.clear();
}

/// As at RCPT, but it is the administrator's filter that says where the mail goes.
asio::awaitable<void> Session::add_filtered_recipient(const std::string& address) {
  const auto path = parse_mailbox(address, Utf8::allowed);
  std::string wrong;
  if (!path) {
    wrong = "it is no address";
  } else if (transaction_->recipients.size() >= kMaxExpandedRecipients) {
    wrong = "the message has too many recipients";
  } else {
    const auto resolution = co_await resolve(*path);
    if (resolution.kind == store::RecipientKind::unknown_user) {
      wrong = "there is no such user here";
    } else {
      smtp::RcptCommand rcpt;
      rcpt.forward_path = *path;
      add_recipients(rcpt, resolution);
    }
  }
  if (!wrong.empty()) {
    log_warn("milter_change_ignored", {{"connection", number_}, {"recipient", address}, {"reason", wrong}});
  }
}

}  // namespace postrider
