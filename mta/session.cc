#include "mta/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "mta/milter_chain.h"
#include "mta/session_rules.h"

namespace postrider {

using net::ConnectionEnded;
using net::EndReason;
using smtp::LineReader;
using smtp::Verb;

// In the order of smtp::Verb.
constexpr Session::CommandRule Session::kCommands[] = {
    {Verb::helo, &Session::helo, kNothing},
    {Verb::ehlo, &Session::ehlo, kNothing},
    {Verb::mail, &Session::mail, kGreeted | kAuthenticated | kNoTransaction},
    {Verb::rcpt, &Session::rcpt, kGreeted | kAuthenticated | kMail | kNoChunks},
    {Verb::data, &Session::data, kGreeted | kAuthenticated | kMail | kNoChunks | kRecipient | kNoArgument},
    {Verb::bdat, &Session::bdat, kIsWork},  // looks for itself, since its chunk has to be read in any case
    {Verb::burl, &Session::burl, kGreeted | kAuthenticated | kMail | kRecipient},
    {Verb::rset, &Session::rset, kNoArgument},
    {Verb::vrfy, &Session::vrfy, kGreeted | kAuthenticated},
    {Verb::expn, &Session::expn, kGreeted | kAuthenticated},
    {Verb::help, &Session::help, kNothing},
    {Verb::noop, &Session::noop, kNothing},
    {Verb::quit, &Session::quit, kNoArgument},
    {Verb::starttls, &Session::starttls, kExtended | kNoArgument},
    {Verb::auth, &Session::auth, kExtended | kNoTransaction},
};

Session::Session(SmtpService& service, std::shared_ptr<net::Connection> connection, size_t loop, Role role)
    : service_(service),
      connection_(std::move(connection)),
      settings_(service.settings()),
      answers_(service.answers(loop, settings_->config.address.separators)),
      role_(role),
      number_(service.next_connection()),
      trusted_(role == Role::smtp && settings_->trusted.contains(connection_->remote_address())),
      reader_(settings_->config.smtp.max_command_line) {}

asio::awaitable<void> Session::run() {
  std::string reason;
  try {
    co_await talk();
    reason = end_reason_;
  } catch (const ConnectionEnded& ended) {
    reason = ended.what();
    if (ended.reason() == EndReason::timed_out) {
      end_with(421, smtp::status::kTimedOut, "you said nothing for too long; good-bye");
    } else if (ended.reason() == EndReason::shutting_down) {
      end_with(421, smtp::status::kShuttingDown, "the server is going down; try again in a minute");
    }
  }
  if (filters_) filters_->quit();
  connection_->close();  // sends what is queued
  log_end(reason);
}

asio::awaitable<void> Session::talk() {
  if (role_ == Role::submissions) {
    connection_->set_deadline(config().smtp.command_timeout);
    co_await connection_->start_tls(settings_->tls->current(), true);
  }
  const bool greeted = co_await greet();
  while (greeted && !ending_) {
    if (connection_->queued() > kMaxQueuedReplies) {
      connection_->set_deadline(config().smtp.command_timeout);  // for who sends and never reads
      co_await connection_->flush();
    }
    const LineReader::Status status = co_await next_line(reader_);
    connection_->clear_deadline();
    if (status == LineReader::Status::line) {
      co_await obey(line_);
    } else if (status == LineReader::Status::too_long) {
      reply(500, smtp::status::kSyntax, "the line is too long");
    } else {
      reply(500, smtp::status::kSyntax, "a command ends with CRLF and has no other CR, LF or NUL in it");
    }
    if (errors_ > kTarpitErrors && config().smtp.error_delay.count() > 0) co_await tarpit();
    if (ending_) break;
    if (errors_ > config().smtp.max_errors) end_with(421, smtp::status::kPolicyTemporary, "too many errors; good-bye");
    if (idle_commands_ > config().smtp.max_commands) {
      end_with(421, smtp::status::kPolicyTemporary, "too many commands and no message; good-bye");
    }
  }
  connection_->set_deadline(config().smtp.command_timeout);
  co_await connection_->flush();
}

/// The banner, unless the client talks before it (RFC 5321 3.1): then it is no mail server.
asio::awaitable<bool> Session::greet() {
  // The word to go on comes behind whatever the socket already has.
  auto timer = std::make_shared<asio::steady_timer>(connection_->executor(), config().smtp.greeting_delay);
  timer->async_wait([timer, connection = connection_](asio::error_code) { connection->notify(); });
  connection_->set_deadline(config().smtp.command_timeout);
  if (co_await connection_->wait_input_or_notify() == net::Connection::Wake::input) {
    timer->cancel();
    ++all_errors_;
    end_with(554, smtp::status::kBadSequence, "you spoke before the greeting; good-bye");
    co_await connection_->flush();
    co_return false;
  }
  reply(220, smtp::status::kNone, config().server.hostname + " ESMTP Postrider");
  co_return true;
}

/// The next line of the client is put into line_. What is queued is sent before there is any waiting.
asio::awaitable<LineReader::Status> Session::next_line(LineReader& reader) {
  for (bool waited = false;; waited = true) {
    const auto line = reader.next(connection_->input());
    if (line.status != LineReader::Status::incomplete) {
      line_.assign(line.text);
      connection_->consume(line.taken);
      co_return line.status;
    }
    connection_->consume(line.taken);
    if (!waited) connection_->set_deadline(config().smtp.command_timeout);
    if (connection_->queued() > 0) co_await connection_->flush();
    co_await connection_->read_more(net::Connection::kMaxInput + kMaxAuthLine);
  }
}

asio::awaitable<void> Session::obey(std::string_view line) {
  const auto command = smtp::split_command(line);
  if (command.verb == Verb::unknown) {
    // A browser that was led here; its next lines are somebody else's idea of commands.
    if (istarts_with(line, "GET ") || istarts_with(line, "POST ") || istarts_with(line, "CONNECT ")) {
      ++all_errors_;
      end_with(421, smtp::status::kPolicyTemporary, "this is a mail server; good-bye");
    } else {
      reply(500, smtp::status::kBadSequence, "that command is not known here; HELP names those that are");
      if (filters_ && transaction_) co_await filter_unknown(std::string(line));
    }
    co_return;
  }
  const CommandRule& rule = kCommands[static_cast<size_t>(command.verb)];
  if ((rule.needs & (kNoTransaction | kMail | kIsWork)) == 0) ++idle_commands_;
  if ((rule.needs & kNoArgument) != 0 && !command.argument.empty()) {
    reply(501, smtp::status::kBadArguments, fmt::format("{} takes no argument", smtp::to_string(command.verb)));
  } else if (const auto wrong = missing(rule.needs)) {
    reply(*wrong);
  } else {
    co_await dispatch(rule, command.argument);
  }
}

/// A failure within a command (a disk, a database) is an answer, not the end; but in the middle of a message we no
/// longer know where it ends.
asio::awaitable<void> Session::dispatch(const CommandRule& rule, std::string_view argument) {
  std::string trouble;
  try {
    co_await (this->*rule.handler)(argument);
    co_return;
  } catch (const ConnectionEnded&) {
    throw;
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  log_error("smtp_command_failed",
            {{"connection", number_}, {"command", smtp::to_string(rule.verb)}, {"reason", trouble}});
  if (transaction_ && transaction_->message) transaction_.reset();  // nobody knows how much of it there is
  if (in_message_) {
    end_with(421, smtp::status::kSystemTrouble, "something failed here; try again later");
  } else {
    reply(451, smtp::status::kSystemTrouble, "something failed here; try again later");
  }
}

std::optional<smtp::Reply> Session::missing(unsigned needs) const {
  using smtp::Reply;
  namespace status = smtp::status;
  const auto lacks = [needs](unsigned need, bool there) { return (needs & need) != 0 && !there; };
  if (lacks(kGreeted, !helo_.empty())) return Reply(503, status::kBadSequence, "say EHLO first");
  if (lacks(kExtended, extended_)) return Reply(503, status::kBadSequence, "say EHLO first");
  if (lacks(kAuthenticated, role_ == Role::smtp || account_)) {
    return Reply(530, status::kSecurity, "log in first: AUTH");
  }
  if (lacks(kNoTransaction, !transaction_)) return Reply(503, status::kBadSequence, "not within a mail transaction");
  if (lacks(kMail, transaction_.has_value())) return Reply(503, status::kBadSequence, "say MAIL first");
  if (lacks(kNoChunks, !transaction_ || !transaction_->message)) {
    return Reply(503, status::kBadSequence, "the message has begun with BDAT or BURL and goes on with these");
  }
  if (lacks(kRecipient, transaction_ && transaction_->accepted > 0)) {
    if (transaction_->refused > 0) return Reply(554, status::kBadSequence, "no recipient was accepted");
    return Reply(503, status::kBadSequence, "say RCPT first");
  }
  return std::nullopt;
}

void Session::log_end(std::string_view reason) const {
  log_info("smtp_end", {{"connection", number_},
                        {"role", to_string(role_)},
                        {"client", connection_->remote_address()},
                        {"helo", helo_},
                        {"tls", connection_->encrypted()},
                        {"user", account_ ? account_->address : std::string()},
                        {"accepted", accepted_messages_},
                        {"octets", octets_},
                        {"errors", all_errors_},
                        {"reason", reason}});
}

}  // namespace postrider
