// One connection to another server, as a client of SMTP (RFC 5321) or LMTP (RFC 2033), kept from message to message.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/net/connection.h"
#include "common/net/worker_pool.h"
#include "common/smtp/extensions.h"
#include "common/smtp/reply.h"
#include "mta/forwarding.h"
#include "mta/relay_content.h"
#include "mta/relay_dial.h"
#include "mta/relay_route.h"
#include "mta/transport.h"

namespace postrider {

constexpr size_t kMaxRelayRecipients = 100;  // of one transaction (RFC 5321 4.5.3.1.10)
constexpr size_t kMaxGreetedHosts = 5;       // that take a connection and then fail, in one attempt
constexpr int kMaxAuthSteps = 6;

struct RelaySettings {
  std::string hostname;         // for EHLO
  std::string spool_directory;  // where a large message is converted
  std::chrono::milliseconds connect_timeout{30'000};
  std::chrono::milliseconds command_timeout{300'000};   // RFC 5321 4.5.3.2
  std::chrono::milliseconds envelope_timeout{900'000};  // for all replies before the content
  std::chrono::milliseconds block_timeout{180'000};     // 4.5.3.2.5
  std::chrono::milliseconds end_timeout{600'000};       // 4.5.3.2.6: some check the message before they answer
  uint64_t max_messages_per_connection = 500;
};

class TlsReporter;

/// What all links share; outlives them.
struct RelayParts {
  Router& router;
  const RelaySettings& settings;
  net::WorkerPool& workers;  // for what reads files or computes long
  std::shared_ptr<net::TlsClientContext> tls;
  TlsReporter* reporter = nullptr;   // hears how each connection was protected
  Forwarding* forwarding = nullptr;  // null: everything leaves as it came
};

class SmtpLink final : public Link {
 public:
  explicit SmtpLink(const RelayParts& parts) : parts_(parts) {}
  ~SmtpLink() override;

  asio::awaitable<std::vector<Outcome>> attempt(RoutePtr route, const store::QueuedMessage& message,
                                                std::span<const size_t> recipients) override;
  bool is_open() const override { return connection_ != nullptr; }
  asio::awaitable<void> close() override;

 private:
  struct Transaction;
  using Failure = std::optional<Outcome>;
  using Milliseconds = std::chrono::milliseconds;
  const RelaySettings& settings() const { return parts_.settings; }
  bool is_lmtp() const { return route_->protocol == config::RouteTarget::Protocol::lmtp; }

  // Connecting (relay_client.cc).
  asio::awaitable<Failure> open(TlsNeed need);
  asio::awaitable<Failure> open_local();
  asio::awaitable<Failure> greet();
  asio::awaitable<bool> redial_without_tls();
  asio::awaitable<Failure> say_hello();
  asio::awaitable<Failure> protect();
  asio::awaitable<void> start_tls();
  std::string because() const;
  // How it was protected (relay_report.cc). trouble: why there is no TLS to speak of.
  void tell_reporter(const TlsRequirement& wanted, const net::TlsSession& session, const std::string& trouble) const;
  Failure judge(const net::TlsSession& session) const;
  const TlsRequirement& wanted() const;
  asio::awaitable<Failure> log_in();

  // A transaction (relay_transaction.cc). What ends the connection is thrown: net::ConnectionEnded, or a
  // std::runtime_error for a server that is out of step.
  asio::awaitable<std::vector<Departure>> departures(const store::QueuedMessage& message,
                                                     std::span<const size_t> recipients);
  std::vector<size_t> choose(const store::QueuedMessage& message, std::span<const size_t> recipients,
                             const std::vector<Departure>& departures, const std::vector<size_t>& positions,
                             std::vector<size_t>& later) const;
  asio::awaitable<Failure> transact(Transaction& transaction);
  asio::awaitable<void> converse(Transaction& transaction);
  asio::awaitable<bool> fit(Transaction& transaction);
  void fit_addresses(Transaction& transaction) const;
  asio::awaitable<bool> send_envelope(Transaction& transaction);
  asio::awaitable<bool> take_data_reply(Transaction& transaction, bool sent, size_t accepted);
  asio::awaitable<void> send_content(Transaction& transaction);
  asio::awaitable<void> take_end_replies(Transaction& transaction);
  std::string mail_command(const Transaction& transaction) const;
  std::string rcpt_command(const Transaction& transaction, size_t recipient) const;
  size_t max_recipients() const;
  uint64_t max_messages() const;

  asio::awaitable<smtp::ServerReply> command(std::string line);
  void must_be_in_step() const;
  asio::awaitable<smtp::ServerReply> read_reply(Milliseconds timeout);
  Outcome outcome_of(const smtp::ServerReply& reply) const;
  Outcome unreachable(std::string status, std::string text) const;
  void drop();

  const RelayParts parts_;
  SmtpRoutePtr route_;  // as of the last attempt
  std::shared_ptr<net::Connection> connection_;
  RelayAddress peer_;
  TlsNeed need_ = TlsNeed::as_policy;  // of the message that it was opened for
  std::string tls_;                    // how the connection is protected, for people
  smtp::Extensions extensions_;
  bool plain_ = false;        // TLS was offered and did not work: opportunistic is better than nothing (RFC 7435)
  bool needs_reset_ = false;  // a transaction was left half-way
  bool leaving_ = false;      // it said 421
  bool unheard_ = false;      // a kept connection was taken up, and nothing was said on it yet
  uint64_t messages_ = 0;     // over this connection
  size_t most_recipients_ = kMaxRelayRecipients;  // as far as the server let us know
};

}  // namespace postrider
