// One SMTP session (RFC 5321) as the server has it: one coroutine, one table of commands, one loop.
//
// Replies are queued, and sent when nothing more of what the client has pipelined waits to be read (RFC 2920): many
// commands, one write. Session is what lasts as long as the connection, Transaction as long as one envelope.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/connection.h"
#include "common/sasl/authenticator.h"
#include "common/smtp/command.h"
#include "common/smtp/extensions.h"
#include "common/smtp/line_reader.h"
#include "common/smtp/reply.h"
#include "mta/smtp_service.h"
#include "mta/transaction.h"

namespace postrider {

constexpr size_t kMaxQueuedReplies = 64 << 10;     // octets of replies before they are sent whatever else waits
constexpr size_t kMaxAuthLine = 12'288;            // RFC 4954 section 4
constexpr size_t kMaxRefusedRecipients = 10'000;   // RCPTs beyond the limit of one transaction
constexpr size_t kMaxExpandedRecipients = 10'000;  // queue recipients that one transaction's aliases may become
constexpr size_t kMaxAuthFailures = 5;             // in one session
constexpr size_t kTarpitErrors = 5;                // since the last message, before answers are held back
constexpr size_t kProgress = 4 << 10;              // octets of a message that renew its deadline

namespace store {
struct UrlPart;
}
struct ClientFacts;
class MilterChain;
struct MilterAnswer;
struct MilterMessage;

class Session {
 public:
  Session(SmtpService& service, std::shared_ptr<net::Connection> connection, size_t loop, Role role);

  /// The whole session. Ends by itself when the connection does.
  asio::awaitable<void> run();

 private:
  using Handler = asio::awaitable<void> (Session::*)(std::string_view argument);
  struct CommandRule;
  static const CommandRule kCommands[];

  // session.cc
  asio::awaitable<void> talk();
  asio::awaitable<bool> greet();
  asio::awaitable<void> obey(std::string_view line);
  asio::awaitable<void> dispatch(const CommandRule& rule, std::string_view argument);
  std::optional<smtp::Reply> missing(unsigned needs) const;
  asio::awaitable<smtp::LineReader::Status> next_line(smtp::LineReader& reader);
  void log_end(std::string_view reason) const;

  // session_replies.cc
  void reply(const smtp::Reply& reply);
  void reply(int code, smtp::status::Code status, std::string_view line);
  void reply_accepted(const store::Flushed& proof, store::QueueId id);
  void end_with(int code, smtp::status::Code status, std::string_view line);
  void count_error();
  smtp::Extensions extensions() const;

  // session_commands.cc: what is no mail
  asio::awaitable<void> helo(std::string_view argument);
  asio::awaitable<void> ehlo(std::string_view argument);
  asio::awaitable<void> rset(std::string_view argument);
  asio::awaitable<void> vrfy(std::string_view argument);
  asio::awaitable<void> expn(std::string_view argument);
  asio::awaitable<void> help(std::string_view argument);
  asio::awaitable<void> noop(std::string_view argument);
  asio::awaitable<void> quit(std::string_view argument);
  asio::awaitable<void> starttls(std::string_view argument);

  // session_mail.cc: the envelope
  asio::awaitable<void> mail(std::string_view argument);
  asio::awaitable<void> rcpt(std::string_view argument);
  asio::awaitable<bool> sender_is_ours(const Address& sender);
  asio::awaitable<store::Resolution> resolve(const Address& path);
  asio::awaitable<std::optional<smtp::Reply>> resolve_sender(smtp::RcptCommand& rcpt, store::Resolution& resolution);
  asio::awaitable<std::optional<smtp::Reply>> check_quota(const store::Resolution& resolution);
  void add_recipients(const smtp::RcptCommand& rcpt, const store::Resolution& resolution);
  bool add_recipient(const smtp::RcptCommand& rcpt, store::AccountId account, std::string address);
  bool may_relay() const { return account_.has_value() || trusted_; }

  // session_data.cc: the message
  asio::awaitable<void> data(std::string_view argument);
  asio::awaitable<void> bdat(std::string_view argument);
  asio::awaitable<void> take_chunk(uint64_t size, bool wanted);
  asio::awaitable<void> end_chunk(bool last, uint64_t size);
  asio::awaitable<void> more_of_message();
  asio::awaitable<void> store_tail();
  asio::awaitable<void> finish_message();
  asio::awaitable<void> check();
  asio::awaitable<void> sign();
  asio::awaitable<void> hand_over();
  void begin_message();
  void take_head();
  std::string own_fields(std::string_view head);
  void check_room();
  void check_circles();

  // session_burl.cc: parts of it that lie in a mailbox here
  asio::awaitable<void> burl(std::string_view argument);
  asio::awaitable<void> take_part(store::UrlPart part);
  bool offers_burl() const;

  // session_policy.cc: how much is taken, and from whom
  asio::awaitable<std::optional<smtp::Reply>> admit_sender();
  asio::awaitable<std::optional<smtp::Reply>> admit_recipient(const Address& path, const store::Resolution& resolution);
  asio::awaitable<void> examine();
  asio::awaitable<std::optional<smtp::Reply>> greylisted(const Address& path);
  std::optional<smtp::Reply> beyond_rate(store::RateLayer layer, const std::string& key, std::string_view whose);
  asio::awaitable<void> tarpit();
  bool from_elsewhere() const { return role_ == Role::smtp && !trusted_; }

  // session_filters.cc: milters
  asio::awaitable<std::optional<smtp::Reply>> filter_mail(std::string_view argument);
  asio::awaitable<std::optional<smtp::Reply>> filter_rcpt(std::string_view argument, const Address& path);
  asio::awaitable<void> show_refused_rcpt(std::string_view argument, const smtp::Reply& refusal);
  asio::awaitable<std::optional<smtp::Reply>> filter_data();
  asio::awaitable<void> filter_unknown(std::string line);
  asio::awaitable<void> filter_message();
  asio::awaitable<void> apply_changes(MilterMessage& changed);
  asio::awaitable<void> add_filtered_recipient(const std::string& address);
  void open_filters();
  std::optional<smtp::Reply> obey_filter(MilterAnswer answer);

  // session_auth.cc
  asio::awaitable<void> auth(std::string_view argument);
  asio::awaitable<std::optional<smtp::Reply>> exchange(sasl::Authenticator& authenticator, sasl::Outcome outcome);
  asio::awaitable<std::optional<store::Directory::Login>> find_login(std::string user);
  asio::awaitable<std::optional<smtp::Reply>> banned(std::string user);
  asio::awaitable<void> note_failure();
  asio::awaitable<void> note_success();
  asio::awaitable<bool> check_password(std::string user, std::string password);
  asio::awaitable<bool> is_app_password(store::AccountId account, std::string password);
  std::string with_domain(const std::string& user) const;
  sasl::Channel channel() const;
  bool offers_auth() const { return role_ != Role::smtp; }
  bool may_reveal_password() const { return connection_->encrypted() || connection_->from_loopback(); }
  bool offers_tls() const { return settings_->tls != nullptr && !connection_->encrypted(); }

  const Config& config() const { return settings_->config; }

  SmtpService& service_;
  const std::shared_ptr<net::Connection> connection_;
  const std::shared_ptr<const SessionSettings> settings_;
  const std::shared_ptr<store::DirectoryCache> answers_;
  const Role role_;
  const uint64_t number_;  // of the connection, for log lines
  const bool trusted_;     // the client is in smtp.trusted_networks
  smtp::LineReader reader_;
  std::string line_;  // the command being obeyed

  std::string helo_;                                   // empty: not greeted
  bool extended_ = false;                              // by EHLO
  std::optional<store::AccountInfo> account_;          // authenticated
  std::string_view mechanism_;                         // by which
  std::string tried_user_;                             // in the login at hand, as it was given
  std::chrono::steady_clock::time_point login_asked_;  // when the client had said all that was checked
  std::string checked_sender_;                         // that may_send_as() said yes to last
  std::optional<Transaction> transaction_;
  std::shared_ptr<ClientFacts> facts_;    // null: not looked up
  std::shared_ptr<MilterChain> filters_;  // null until the first message, and where there are none
  size_t since_deadline_ = 0;             // octets of the message since its deadline was set
  bool in_message_ = false;               // octets of a message are expected, not commands
  bool ending_ = false;                   // no more commands
  std::string end_reason_;                // for the log

  size_t messages_ = 0, accepted_messages_ = 0;
  size_t errors_ = 0;  // since the last message
  size_t all_errors_ = 0;
  size_t idle_commands_ = 0;
  size_t auth_failures_ = 0;
  uint64_t octets_ = 0;  // of accepted messages
};

}  // namespace postrider
