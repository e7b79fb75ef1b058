// SmtpLink: one mail transaction (RFC 5321 3.3), pipelined where the server takes that (RFC 2920).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"
#include "common/smtp/dot_codec.h"
#include "common/smtp/xtext.h"
#include "mta/relay_client.h"

namespace postrider {
namespace {

constexpr std::chrono::seconds kBlockTimeout{180};  // RFC 5321 4.5.3.2.5
constexpr std::chrono::seconds kEndTimeout{600};    // 4.5.3.2.6: some check the message before they answer
constexpr size_t kLookedAtHead = 64 << 10;

std::string head_of(const store::Spool& body) {
  std::string buffer;
  std::string head(body.size() == 0 ? std::string_view() : body.read_at(0, buffer).substr(0, kLookedAtHead));
  head.resize(header_block_size(head));
  return head;
}

bool has_8bit_body(const store::Spool& body) {
  bool found = false;
  body.read([&](std::string_view piece) { found = found || has_8bit(piece); });
  return found;
}

std::string notify_text(uint8_t notify) {
  if ((notify & store::kNotifyNever) != 0) return "NEVER";
  std::string text;
  auto add = [&](uint8_t bit, std::string_view word) {
    if ((notify & bit) == 0) return;
    if (!text.empty()) text += ',';
    text += word;
  };
  add(store::kNotifySuccess, "SUCCESS");
  add(store::kNotifyFailure, "FAILURE");
  add(store::kNotifyDelay, "DELAY");
  return text;
}

bool has_control(std::string_view text) { return std::any_of(text.begin(), text.end(), is_ctl); }

}  // namespace

struct SmtpLink::Transaction {
  const store::QueuedMessage& message;
  std::span<const size_t> recipients;
  std::vector<std::optional<Outcome>> outcomes;  // of recipients

  const store::QueuedRecipient& to(size_t i) const { return message.recipients[recipients[i]]; }
  void set_open(const Outcome& outcome) {
    for (auto& slot : outcomes) {
      if (!slot) slot = outcome;
    }
  }
};

asio::awaitable<std::vector<Outcome>> SmtpLink::attempt(const store::QueuedMessage& message,
                                                        std::span<const size_t> recipients) {
  std::vector<Outcome> outcomes;
  while (outcomes.size() < recipients.size()) {
    bool reused = is_open();
    if (!reused) {
      std::optional<Outcome> failed = co_await open();
      if (failed) {
        outcomes.resize(recipients.size(), *failed);
        break;
      }
    }
    size_t limit = std::min<uint64_t>(kMaxRelayRecipients, std::max<uint64_t>(extensions_.limits().rcpt_max.value_or(kMaxRelayRecipients), 1));
    std::span<const size_t> some = recipients.subspan(outcomes.size(), std::min(limit, recipients.size() - outcomes.size()));
    Transaction transaction{message, some, std::vector<std::optional<Outcome>>(some.size())};
    std::optional<Outcome> broken = co_await transact(transaction);
    if (broken) {
      drop();
      // An idle connection that the server closed meanwhile says nothing about the destination.
      if (reused && replies_ == 0) continue;
      transaction.set_open(*broken);
    }
    for (auto& outcome : transaction.outcomes) outcomes.push_back(std::move(*outcome));
    uint64_t most = std::min(settings_.max_messages_per_connection, extensions_.limits().mail_max.value_or(UINT64_MAX));
    if (is_open() && (leaving_ || messages_ >= most)) co_await close();
  }
  co_return outcomes;
}

/// What broke the connection, if something did.
asio::awaitable<std::optional<Outcome>> SmtpLink::transact(Transaction& transaction) {
  replies_ = 0;
  ++messages_;
  std::string trouble;
  try {
    co_await converse(transaction);
    co_return std::nullopt;
  } catch (const net::ConnectionEnded& end) {
    trouble = end.what();
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  Outcome outcome = unreachable("4.4.2", fmt::format("The connection was lost: {}", trouble));
  outcome.remote = fmt::format("{} [{}]", peer_.host, peer_.endpoint.address().to_string());
  co_return outcome;
}

asio::awaitable<void> SmtpLink::converse(Transaction& transaction) {
  if (auto outcome = unfit(transaction)) {
    transaction.set_open(*outcome);
    co_return;
  }
  if (std::exchange(needs_reset_, false)) co_await command("RSET");
  needs_reset_ = true;
  bool content = co_await send_envelope(transaction);
  if (!content) co_return;
  co_await send_content(transaction);
  needs_reset_ = false;
}

/// Whether this server cannot take this message at all.
std::optional<Outcome> SmtpLink::unfit(const Transaction& transaction) const {
  const store::QueuedMessage& message = transaction.message;
  if (message.body == nullptr) return Outcome::temporary("4.3.0", "The message cannot be read in the queue");
  uint64_t limit = extensions_.size_limit();
  if (limit != 0 && message.body->size() > limit) {
    return Outcome::permanent("5.3.4", fmt::format("The message has {} octets, {} takes {}", message.body->size(), peer_.host, limit));
  }
  if (message.binary && !(extensions_.has("BINARYMIME") && extensions_.has("CHUNKING"))) {
    return Outcome::permanent("5.6.1", fmt::format("{} takes no binary messages", peer_.host));
  }
  if (message.smtputf8 && !extensions_.has("SMTPUTF8")) {
    bool ascii = !has_8bit(message.reverse_path) && !has_8bit(head_of(*message.body));
    for (size_t i = 0; i < transaction.recipients.size(); ++i) ascii = ascii && !has_8bit(transaction.to(i).address);
    if (!ascii) return Outcome::permanent("5.6.7", fmt::format("{} takes no addresses or headers in UTF-8", peer_.host));
  }
  if (message.eight_bit && !message.binary && !extensions_.has("8BITMIME") && has_8bit_body(*message.body)) {
    return Outcome::permanent("5.6.3", fmt::format("{} takes 7-bit messages only", peer_.host));
  }
  // Addresses were parsed when they came; this is the last door before another server.
  bool clean = !has_control(message.reverse_path);
  for (size_t i = 0; i < transaction.recipients.size(); ++i) clean = clean && !has_control(transaction.to(i).address);
  if (!clean) return Outcome::permanent("5.1.3", "An address has control characters");
  return std::nullopt;
}

std::string SmtpLink::mail_command(const Transaction& transaction) const {
  const store::QueuedMessage& message = transaction.message;
  std::string line = fmt::format("MAIL FROM:<{}>", message.reverse_path);
  if (extensions_.has("SIZE")) line += fmt::format(" SIZE={}", message.body->size());
  if (message.binary) {
    line += " BODY=BINARYMIME";
  } else if (message.eight_bit && extensions_.has("8BITMIME")) {
    line += " BODY=8BITMIME";
  }
  if (message.smtputf8 && extensions_.has("SMTPUTF8")) line += " SMTPUTF8";
  if (extensions_.has("DSN")) {
    if (!message.ret.empty()) line += " RET=" + message.ret;
    if (!message.envid.empty()) line += " ENVID=" + smtp::xtext_encode(message.envid);
  }
  return line;
}

std::string SmtpLink::rcpt_command(const store::QueuedRecipient& recipient) const {
  std::string line = fmt::format("RCPT TO:<{}>", recipient.address);
  if (extensions_.has("DSN")) {
    std::string notify = notify_text(recipient.notify);
    if (!notify.empty()) line += " NOTIFY=" + notify;
    if (!recipient.orcpt.empty() && !has_control(recipient.orcpt)) line += " ORCPT=" + recipient.orcpt;
  }
  return line;
}

/// True where the content is to be sent: somebody was accepted, and DATA too. Then needs nothing but the content.
asio::awaitable<bool> SmtpLink::send_envelope(Transaction& transaction) {
  bool pipelined = extensions_.has("PIPELINING");
  bool data = !transaction.message.binary;
  std::vector<std::string> lines{mail_command(transaction)};
  for (size_t i = 0; i < transaction.recipients.size(); ++i) lines.push_back(rcpt_command(transaction.to(i)));
  if (pipelined) {
    for (const std::string& line : lines) connection_->queue(line + "\r\n");
    if (data) connection_->queue("DATA\r\n");
    connection_->set_deadline(settings_.command_timeout);
    co_await connection_->flush();
  }
  size_t accepted = 0;
  bool mail_refused = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    smtp::ServerReply reply;
    if (pipelined) {
      reply = co_await read_reply(settings_.command_timeout);
    } else {
      reply = co_await command(lines[i]);
    }
    if (reply.code >= 300 && reply.code < 400) throw std::runtime_error("the server is out of step: " + reply.to_string());
    bool positive = reply.code < 300;
    if (i == 0 && !positive) {
      mail_refused = true;
      transaction.set_open(outcome_of(reply));
      if (!pipelined) co_return false;
    }
    if (i == 0 || mail_refused) continue;
    if (positive) {
      ++accepted;
    } else {
      transaction.outcomes[i - 1] = outcome_of(reply);
    }
  }
  if (!data) co_return accepted > 0;
  if (!pipelined && accepted == 0) co_return false;
  smtp::ServerReply reply;
  if (pipelined) {
    reply = co_await read_reply(settings_.command_timeout);
  } else {
    reply = co_await command("DATA");
  }
  if (reply.code != 354) {
    if (reply.code < 400) throw std::runtime_error("the server is out of step: " + reply.to_string());
    transaction.set_open(outcome_of(reply));
    co_return false;
  }
  if (accepted > 0) co_return true;
  // It wants a message for nobody: an empty one, which it refuses.
  co_await command(".");
  co_return false;
}

asio::awaitable<void> SmtpLink::send_content(Transaction& transaction) {
  const store::Spool& body = *transaction.message.body;
  bool chunked = transaction.message.binary;
  if (chunked) connection_->queue(fmt::format("BDAT {} LAST\r\n", body.size()));
  smtp::DotEncoder encoder;
  std::string buffer;
  std::string encoded;
  for (uint64_t offset = 0; offset < body.size();) {
    std::string_view piece = body.read_at(offset, buffer);
    offset += piece.size();
    connection_->set_deadline(kBlockTimeout);
    if (chunked) {
      co_await connection_->write(piece);
      continue;
    }
    encoded.clear();
    encoder.feed(piece, encoded);
    if (offset == body.size()) encoder.finish(encoded);
    co_await connection_->write(encoded);
  }
  if (body.size() == 0 && !chunked) {
    encoder.finish(encoded);
    co_await connection_->write(encoded);
  }
  co_await connection_->flush();
  smtp::ServerReply reply = co_await read_reply(kEndTimeout);
  if (reply.code >= 300 && reply.code < 400) throw std::runtime_error("the server is out of step: " + reply.to_string());
  transaction.set_open(outcome_of(reply));
}

}  // namespace postrider
