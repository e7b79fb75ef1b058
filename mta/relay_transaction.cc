// SmtpLink: mail transactions (RFC 5321 3.3), pipelined where the server takes that (RFC 2920).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/trace.h"
#include "common/smtp/dot_codec.h"
#include "common/smtp/xtext.h"
#include "mta/relay_client.h"

namespace postrider {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kTooManyRecipients = 452;  // RFC 5321 4.5.3.1.10

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

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_ctl);
}

[[noreturn]] void out_of_step(const smtp::ServerReply& reply) {
  throw std::runtime_error("the server is out of step: " + reply.to_string());
}

}  // namespace

struct SmtpLink::Transaction {
  struct Recipient {
    const store::QueuedRecipient& queued;
    std::string address;  // as this server takes it
    std::optional<Outcome> outcome;
    bool later = false;  // to be tried again at once: too many for one transaction
  };
  const store::QueuedMessage& message;
  std::vector<Recipient> recipients;
  std::string reverse_path;
  std::string forwarder;  // who forwards it, as this server takes the address; empty: nobody
  Content content;
  std::string fields;               // that go in front of the content
  Steady::time_point envelope_end;  // when all replies must be there that come before the content

  uint64_t size() const { return fields.size() + content.body->size(); }
  bool has_open() const {
    return std::any_of(recipients.begin(), recipients.end(), [](const Recipient& one) { return !one.outcome; });
  }
  void set_open(const Outcome& outcome) {
    for (Recipient& one : recipients) {
      if (!one.outcome) one.outcome = outcome;
    }
  }
};

size_t SmtpLink::max_recipients() const {
  uint64_t told = extensions_.limits().rcpt_max.value_or(kMaxRelayRecipients);  // RFC 9422
  return std::min<uint64_t>(most_recipients_, std::max<uint64_t>(told, 1));
}

uint64_t SmtpLink::max_messages() const {
  uint64_t most = settings().max_messages_per_connection;
  if (route_->limits.messages_per_connection != 0) most = route_->limits.messages_per_connection;
  return std::min(most, extensions_.limits().mail_max.value_or(UINT64_MAX));
}

/// For each of the recipients, in order.
asio::awaitable<std::vector<Departure>> SmtpLink::departures(const store::QueuedMessage& message,
                                                             std::span<const size_t> recipients) {
  std::vector<Departure> departures(recipients.size(), Departure{message.reverse_path, {}});
  auto forwarded = [&](size_t i) { return is_forwarded(message.recipients[i]); };
  if (parts_.forwarding == nullptr || std::none_of(recipients.begin(), recipients.end(), forwarded))
    co_return departures;
  auto job = [&] {
    for (size_t i = 0; i < recipients.size(); ++i)
      departures[i] = parts_.forwarding->departure(message, message.recipients[recipients[i]]);
  };
  co_await parts_.workers.run(std::move(job));
  co_return departures;
}

/// As many of the recipients (indices into the message's) as go into one transaction; the others go to later.
std::vector<size_t> SmtpLink::choose(const store::QueuedMessage& message, std::span<const size_t> recipients,
                                     const std::vector<Departure>& departures, const std::vector<size_t>& positions,
                                     std::vector<size_t>& later) const {
  const uint64_t most_domains = std::max<uint64_t>(extensions_.limits().rcpt_domain_max.value_or(UINT64_MAX), 1);
  std::set<std::string> domains;
  std::vector<size_t> chosen;
  for (size_t position : positions) {
    std::string domain = store::destination_of(message.recipients[recipients[position]].address);
    bool fits = departures[position] == departures[positions.front()] && chosen.size() < max_recipients() &&
                (domains.contains(domain) || domains.size() < most_domains);
    if (fits) domains.insert(std::move(domain));
    (fits ? chosen : later).push_back(position);
  }
  return chosen;
}

asio::awaitable<std::vector<Outcome>> SmtpLink::attempt(RoutePtr route, const store::QueuedMessage& message,
                                                        std::span<const size_t> recipients) {
  route_ = std::static_pointer_cast<const SmtpRoute>(route);
  std::vector<Outcome> outcomes(recipients.size());
  std::vector<size_t> waiting(recipients.size());  // positions in recipients
  std::iota(waiting.begin(), waiting.end(), size_t{0});
  const std::vector<Departure> departing = co_await departures(message, recipients);
  while (!waiting.empty()) {
    // A reply that nobody waits for, or an end: what is on the connection cannot be told apart any more.
    if (is_open() && !connection_->is_quiet()) drop();
    if (is_open() && need_ != message.tls) co_await close();
    unheard_ = is_open();
    Failure failed;
    if (!is_open()) failed = co_await open(message.tls);
    std::vector<size_t> later;
    if (!failed) {
      const Departure& departure = departing[waiting.front()];
      Transaction transaction{message, {}, departure.reverse_path, departure.forwarder, {}, {}, {}};
      const std::vector<size_t> chosen = choose(message, recipients, departing, waiting, later);
      for (size_t position : chosen) {
        const store::QueuedRecipient& recipient = message.recipients[recipients[position]];
        transaction.recipients.push_back({recipient, recipient.address, std::nullopt, false});
      }
      failed = co_await transact(transaction);
      if (failed && std::exchange(unheard_, false)) {
        drop();  // an idle connection that the server closed says nothing about the destination
        continue;
      }
      if (failed) transaction.set_open(*failed);
      for (size_t i = 0; i < chosen.size(); ++i) {
        outcomes[chosen[i]] = std::move(*transaction.recipients[i].outcome);
        if (transaction.recipients[i].later) later.push_back(chosen[i]);
      }
      waiting = std::move(later);
    }
    if (failed) {
      drop();
      for (size_t position : waiting) outcomes[position] = *failed;
      break;
    }
    if (is_open() && (leaving_ || messages_ >= max_messages())) co_await close();
  }
  co_return outcomes;
}

/// What broke the connection, if something did.
asio::awaitable<SmtpLink::Failure> SmtpLink::transact(Transaction& transaction) {
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
  co_return unreachable("4.4.2", fmt::format("The connection was lost: {}", trouble));
}

asio::awaitable<void> SmtpLink::converse(Transaction& transaction) {
  bool fits = co_await fit(transaction);
  if (!fits) co_return;
  if (std::exchange(needs_reset_, false)) {
    smtp::ServerReply reply = co_await command("RSET");
    if (reply.code != 250 || !connection_->is_quiet()) out_of_step(reply);
  }
  needs_reset_ = true;
  transaction.envelope_end = Steady::now() + settings().envelope_timeout;
  bool content = co_await send_envelope(transaction);
  if (!content) co_return;
  // The content is answered by 250 like what came before it: a reply too many would be taken for its answer.
  if (!connection_->is_quiet()) throw std::runtime_error("the server has closed, or says more than it was asked");
  co_await send_content(transaction);
  needs_reset_ = false;
}

// --- what this server can take

/// False where nobody is left to send to.
asio::awaitable<bool> SmtpLink::fit(Transaction& transaction) {
  const store::QueuedMessage& message = transaction.message;
  if (message.body == nullptr) {
    transaction.set_open(Outcome::temporary("4.3.0", "The message cannot be read in the queue"));
    co_return false;
  }
  transaction.content = {message.body, message.eight_bit && !message.binary && extensions_.has("8BITMIME"),
                         message.binary};
  if (!content_fits(message, extensions_)) {
    auto job = [&] { return fit_content(message, extensions_, settings().spool_directory); };
    FittedContent fitted;
    if (message.body->in_memory()) {
      fitted = job();
    } else {
      fitted = co_await parts_.workers.run(std::move(job));
    }
    transaction.content = std::move(fitted.content);
    if (fitted.utf8_header && !extensions_.has("SMTPUTF8")) {
      transaction.set_open(Outcome::permanent("5.6.7", fmt::format("{} takes no header fields in UTF-8", peer_.host)));
    } else if (!fitted.trouble.empty()) {
      transaction.set_open(Outcome::permanent(
          "5.6.3", fmt::format("{} does not take this message as it is, and it cannot be converted: {}", peer_.host,
                               fitted.trouble)));
    }
  }
  uint64_t limit = extensions_.size_limit();
  fit_addresses(transaction);
  uint64_t size = transaction.size();
  if (limit != 0 && size > limit) {
    transaction.set_open(
        Outcome::permanent("5.3.4", fmt::format("The message has {} octets, {} takes {}", size, peer_.host, limit)));
  }
  co_return transaction.has_open();
}

void SmtpLink::fit_addresses(Transaction& transaction) const {
  const bool utf8 = transaction.message.smtputf8 && extensions_.has("SMTPUTF8");
  // Addresses were parsed when they came; this is the last door before another server.
  const auto control = Outcome::permanent("5.1.3", "An address has control characters");
  const auto not_ascii = Outcome::permanent("5.6.7", fmt::format("{} takes no addresses in UTF-8", peer_.host));
  if (has_control(transaction.reverse_path)) transaction.set_open(control);
  if (!utf8 && has_8bit(transaction.reverse_path)) {
    transaction.reverse_path = ascii_address(transaction.reverse_path);
    if (transaction.reverse_path.empty()) transaction.set_open(not_ascii);
  }
  if (!utf8) transaction.forwarder = ascii_address(transaction.forwarder);
  if (auto forwarder = parse_mailbox(transaction.forwarder, Utf8::allowed))
    transaction.fields = format_delivered_to(*forwarder);
  for (Transaction::Recipient& one : transaction.recipients) {
    if (one.outcome) continue;
    if (has_control(one.address)) one.outcome = control;
    if (utf8) continue;
    one.address = ascii_address(one.address);
    if (one.address.empty()) one.outcome = not_ascii;
  }
}

// --- the envelope

std::string SmtpLink::mail_command(const Transaction& transaction) const {
  const store::QueuedMessage& message = transaction.message;
  std::string line = fmt::format("MAIL FROM:<{}>", transaction.reverse_path);
  if (extensions_.has("SIZE")) line += fmt::format(" SIZE={}", transaction.size());
  if (transaction.content.binary) {
    line += " BODY=BINARYMIME";
  } else if (transaction.content.eight_bit) {
    line += " BODY=8BITMIME";
  }
  if (message.smtputf8 && extensions_.has("SMTPUTF8")) line += " SMTPUTF8";
  if (message.tls == TlsNeed::required && extensions_.has("REQUIRETLS")) line += " REQUIRETLS";
  if (extensions_.has("DSN")) {
    if (!message.ret.empty()) line += " RET=" + message.ret;
    if (!message.envid.empty()) line += " ENVID=" + smtp::xtext_encode(message.envid);
  }
  return line;
}

std::string SmtpLink::rcpt_command(const Transaction& transaction, size_t recipient) const {
  const auto& [queued, address, outcome, later] = transaction.recipients[recipient];
  std::string line = fmt::format("RCPT TO:<{}>", address);
  if (extensions_.has("DSN")) {
    std::string notify = notify_text(queued.notify);
    if (!notify.empty()) line += " NOTIFY=" + notify;
    bool utf8 = transaction.message.smtputf8 && extensions_.has("SMTPUTF8");
    std::string orcpt = utf8 ? queued.orcpt : ascii_orcpt(queued.orcpt);
    if (!orcpt.empty() && !has_control(orcpt)) line += " ORCPT=" + orcpt;
  }
  return line;
}

/// True where the content is to be sent: somebody was accepted, and DATA too. Whoever has no outcome then was accepted.
asio::awaitable<bool> SmtpLink::send_envelope(Transaction& transaction) {
  bool pipelined = extensions_.has("PIPELINING");
  bool data = !transaction.content.binary;
  std::vector<std::pair<std::string, Transaction::Recipient*>> lines;
  lines.emplace_back(mail_command(transaction), nullptr);
  for (size_t i = 0; i < transaction.recipients.size(); ++i) {
    Transaction::Recipient& one = transaction.recipients[i];
    if (!one.outcome) lines.emplace_back(rcpt_command(transaction, i), &one);
  }
  if (pipelined) {
    for (const auto& [line, recipient] : lines) connection_->queue(line + "\r\n");
    if (data) connection_->queue("DATA\r\n");
    connection_->set_deadline(settings().command_timeout);
    co_await connection_->flush();
  }
  auto left = [&] {
    auto all = std::chrono::ceil<Milliseconds>(transaction.envelope_end - Steady::now());
    return std::clamp(all, Milliseconds(0), settings().command_timeout);
  };
  size_t accepted = 0;
  bool mail_refused = false;
  for (auto& [line, recipient] : lines) {
    if (!pipelined) {
      must_be_in_step();
      connection_->queue(line + "\r\n");
      connection_->set_deadline(left());
      co_await connection_->flush();
    }
    smtp::ServerReply reply = co_await read_reply(left());
    if (reply.code >= 300 && reply.code < 400) out_of_step(reply);
    bool positive = reply.code < 300;
    if (recipient == nullptr && !positive) {
      mail_refused = true;
      transaction.set_open(outcome_of(reply));
      if (!pipelined) co_return false;
    }
    if (recipient == nullptr || mail_refused) continue;
    if (positive) {
      ++accepted;
    } else if (reply.code == kTooManyRecipients && accepted > 0) {
      recipient->later = true;
      recipient->outcome = outcome_of(reply);
      most_recipients_ = std::min(most_recipients_, accepted);
    } else {
      recipient->outcome = outcome_of(reply);
    }
  }
  if (!data) co_return accepted > 0;
  if (!pipelined && accepted == 0) co_return false;
  co_return co_await take_data_reply(transaction, pipelined, accepted);
}

/// sent: DATA went with the envelope.
asio::awaitable<bool> SmtpLink::take_data_reply(Transaction& transaction, bool sent, size_t accepted) {
  smtp::ServerReply reply;
  if (sent) {
    reply = co_await read_reply(settings().command_timeout);
  } else {
    reply = co_await command("DATA");
  }
  if (reply.code != 354) {
    if (reply.code < 400) out_of_step(reply);
    transaction.set_open(outcome_of(reply));
    co_return false;
  }
  if (accepted > 0) co_return true;
  // It wants a message for nobody: an empty one, which it refuses.
  co_await command(".");
  co_return false;
}

// --- the content

asio::awaitable<void> SmtpLink::send_content(Transaction& transaction) {
  const store::Spool& body = *transaction.content.body;
  bool chunked = transaction.content.binary;
  smtp::DotEncoder encoder;
  std::string buffer;
  std::string encoded;
  if (chunked) {
    connection_->queue(fmt::format("BDAT {} LAST\r\n{}", transaction.size(), transaction.fields));
  } else {
    encoder.feed(transaction.fields, encoded);
    connection_->queue(encoded);
  }
  for (uint64_t offset = 0; offset < body.size();) {
    std::string_view piece;
    auto job = [&] { return body.read_at(offset, buffer); };
    if (body.in_memory()) {
      piece = job();
    } else {
      piece = co_await parts_.workers.run(std::move(job));
    }
    offset += piece.size();
    connection_->set_deadline(settings().block_timeout);
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
    encoded.clear();
    encoder.finish(encoded);
    connection_->queue(encoded);
  }
  co_await connection_->flush();
  co_await take_end_replies(transaction);
}

/// One reply for all; by LMTP one for each who was accepted (RFC 2033 4.2).
asio::awaitable<void> SmtpLink::take_end_replies(Transaction& transaction) {
  for (Transaction::Recipient& one : transaction.recipients) {
    if (one.outcome) continue;
    smtp::ServerReply reply = co_await read_reply(settings().end_timeout);
    if (reply.code >= 300 && reply.code < 400) out_of_step(reply);
    one.outcome = outcome_of(reply);
    if (!is_lmtp()) transaction.set_open(*one.outcome);
  }
}

}  // namespace postrider
