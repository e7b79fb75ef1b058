// One SMTP connection to a destination, as a client (RFC 5321), kept from message to message.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/net/connection.h"
#include "common/smtp/extensions.h"
#include "common/smtp/reply.h"
#include "mta/relay_route.h"
#include "mta/transport.h"

namespace postrider {

constexpr size_t kMaxRelayRecipients = 100;                 // of one transaction (RFC 5321 4.5.3.1.10)
constexpr std::chrono::milliseconds kHeadStart{250};        // of an address before the next one is dialled too (RFC 8305)

struct RelaySettings {
  std::string hostname;                    // for EHLO
  std::chrono::seconds connect_timeout{30};
  std::chrono::seconds command_timeout{300};
  uint64_t max_messages_per_connection = 100;
};

class SmtpLink final : public Link {
 public:
  /// Router and settings must outlive every attempt.
  SmtpLink(std::string destination, Router& router, const RelaySettings& settings,
           std::shared_ptr<net::TlsClientContext> tls);
  ~SmtpLink() override;

  asio::awaitable<std::vector<Outcome>> attempt(const store::QueuedMessage& message,
                                                std::span<const size_t> recipients) override;
  bool is_open() const override { return connection_ != nullptr; }
  asio::awaitable<void> close() override;

 private:
  struct Transaction;
  struct Race;

  // Connecting.
  asio::awaitable<std::optional<Outcome>> open();
  asio::awaitable<bool> dial(const Route& route, size_t& next, std::string& error);
  static asio::awaitable<void> run_dial(std::shared_ptr<Race> race, RelayAddress address, std::chrono::seconds timeout);
  asio::awaitable<std::optional<Outcome>> greet();
  asio::awaitable<std::optional<Outcome>> say_hello();
  asio::awaitable<bool> redial_without_tls();

  // A transaction. What ends the connection is thrown: net::ConnectionEnded, or Broken for a server that is out of step.
  asio::awaitable<std::optional<Outcome>> transact(Transaction& transaction);
  asio::awaitable<void> converse(Transaction& transaction);
  asio::awaitable<bool> send_envelope(Transaction& transaction);
  asio::awaitable<void> send_content(Transaction& transaction);
  std::optional<Outcome> unfit(const Transaction& transaction) const;
  std::string mail_command(const Transaction& transaction) const;
  std::string rcpt_command(const store::QueuedRecipient& recipient) const;

  asio::awaitable<smtp::ServerReply> command(std::string line);
  asio::awaitable<smtp::ServerReply> read_reply(std::chrono::seconds timeout);
  std::string tls_text() const;
  Outcome outcome_of(const smtp::ServerReply& reply) const;
  Outcome unreachable(std::string status, std::string text) const;
  void drop();

  const std::string destination_;
  Router& router_;
  const RelaySettings& settings_;
  const std::shared_ptr<net::TlsClientContext> tls_;

  std::shared_ptr<net::Connection> connection_;
  RelayAddress peer_;
  smtp::Extensions extensions_;
  bool plain_ = false;         // TLS was offered and did not work: opportunistic is better than nothing (RFC 7435)
  bool needs_reset_ = false;   // a transaction was left half-way
  bool leaving_ = false;       // it said 421
  uint64_t messages_ = 0;      // over this connection
  uint64_t replies_ = 0;       // read in this transaction
};

}  // namespace postrider
