#include <fmt/format.h>

#include "mta/metrics.h"
#include "mta/session.h"

namespace postrider {

void Session::reply(const smtp::Reply& reply) {
  std::string text;
  smtp::append_reply(text, reply);
  connection_->queue(text);
  if (reply.is_failure()) counted::refusal(reply.code, reply.status).add();
  if (reply.is_failure() && reply.code != 450) count_error();  // 450: to come again is no mistake of the client
}

void Session::reply(int code, smtp::status::Code status, std::string_view line) {
  std::string text;
  text.reserve(line.size() + 12);
  smtp::append_reply(text, code, status, line);
  connection_->queue(text);
  if (code < 400) return;
  counted::refusal(code, status).add();
  count_error();
}

/// The only way to the 250 that takes over responsibility: it wants to be shown that the message is on disk.
void Session::reply_accepted(const store::Flushed&, store::QueueId id) {
  reply(250, smtp::status::kOk, store::queue_id_text(id) + " accepted");
}

void Session::end_with(int code, smtp::status::Code status, std::string_view line) {
  std::string text;
  smtp::append_reply(text, code, status, line);
  connection_->queue(text);
  if (code >= 400) counted::refusal(code, status).add();
  ending_ = true;
  end_reason_ = line;
}

void Session::count_error() {
  ++errors_;
  ++all_errors_;
}

smtp::Extensions Session::extensions() const {
  smtp::Extensions offered;
  offered.add("PIPELINING");
  offered.add("SIZE", fmt::to_string(config().smtp.max_message_size));
  offered.add("8BITMIME");
  offered.add("SMTPUTF8");
  offered.add("ENHANCEDSTATUSCODES");
  offered.add("CHUNKING");
  offered.add("BINARYMIME");
  offered.add("DSN");
  smtp::Limits limits;
  limits.mail_max = config().smtp.max_messages;
  limits.rcpt_max = config().smtp.max_recipients;
  offered.add("LIMITS", smtp::format_limits(limits));
  if (offers_tls()) offered.add("STARTTLS");
  if (connection_->encrypted()) offered.add("REQUIRETLS");
  if (offers_auth()) {
    std::string names;
    for (sasl::MechanismName name : sasl::mechanisms(channel())) {
      if (sasl::reveals_password(name) && !may_reveal_password()) continue;
      names += fmt::format("{}{}", names.empty() ? "" : " ", sasl::to_string(name));
    }
    offered.add("AUTH", names);
  }
  if (account_ && offers_burl()) offered.add("BURL", fmt::format("imap imap://{}", config().server.hostname));
  offered.add("HELP");
  return offered;
}

}  // namespace postrider
