// A mail server in this process for tests of sessions: real sockets on the loopback, a real directory and queue in a
// temporary folder, and an acceptor that remembers what it was handed. Conversations are written as they go over the
// wire:
//
//   talk(R"(
//     S: 220 mx.example.test ESMTP *
//     C: EHLO client.example
//     S: 250 ...
//     C: QUIT
//     S: 221 2.0.0 *
//     END)");
//
// C: sends a line; lines that follow each other go out in one write. C+ sends octets without a line end. \r \n \0
// \\ are escapes in both; \u is a non-ASCII letter in UTF-8. S: expects a line; * stands for anything. "S: 250 ..." is
// a whole reply of any number of lines. TLS makes the handshake. END expects that the server closes.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/net/server.h"
#include "mta/forwarding.h"
#include "mta/session.h"
#include "mta/smtp_service.h"
#include "store/queue.h"
#include "tests/mailauth/table.h"

namespace postrider {

/// What a session handed over.
struct Taken {
  store::QueuedMessage envelope;
  std::string text;
};

/// Commits to a real queue, since nothing else can make a store::Flushed.
class RecordingAcceptor final : public Acceptor {
 public:
  RecordingAcceptor(const std::string& state, const Clock& clock);
  store::QueueId next_id() override;
  const std::string& spool_directory() const override { return spool_directory_; }
  asio::awaitable<Acceptance> accept(store::QueuedMessage message) override;

  std::vector<Taken> taken();
  void refuse_with(NotAccepted::Reason reason);

 private:
  std::mutex mutex_;
  store::Queue queue_;
  std::string spool_directory_;
  std::vector<Taken> taken_;
  std::optional<NotAccepted> refusal_;
};

/// A blocking client.
class Client {
 public:
  Client(uint16_t port, std::string address = "127.0.0.1");
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view octets);
  /// Without its CRLF. Nothing: the server closed. Fails the test when nothing comes for a long time.
  std::optional<std::string> line();
  /// The last line of a reply.
  std::optional<std::string> reply();
  void start_tls();
  void close();

 private:
  int receive(char* to, int size);
  int socket_ = -1;
  SSL* tls_ = nullptr;
  std::string buffer_;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest();
  ~SessionTest() override;

  /// Changes the configuration; before the first connection.
  void configure(const std::function<void(Config&)>& change);
  uint16_t port(Role role);
  std::vector<Taken> taken() { return acceptor->taken(); }
  /// The one message that was taken.
  Taken only_message();

  /// Runs a conversation on a new connection.
  void talk(std::string_view conversation, Role role = Role::smtp);
  /// Goes on with one.
  void go_on(Client& client, std::string_view conversation);

  void start();
  void stop();

  /// Mail is checked by these answers and signed with the keys of the state folder; before the first connection.
  void authenticate(DnsTable& answers) { answers_ = &answers; }

  std::filesystem::path folder;
  SystemClock clock;
  Config config;
  std::unique_ptr<store::DirectoryService> directory;
  std::unique_ptr<store::Accounts> accounts;
  std::unique_ptr<RecordingAcceptor> acceptor;
  std::unique_ptr<net::WorkerPool> workers, password_workers;
  std::unique_ptr<net::Server> server;
  std::unique_ptr<SmtpService> service;
  std::unique_ptr<Forwarding> forwarding;

 private:
  DnsTable* answers_ = nullptr;  // asked from one thread
  std::unique_ptr<CheckDns> check_dns_;
  std::unique_ptr<InboundChecks> checks_;
  std::unique_ptr<Signer> signer_;
  std::thread thread_;
  std::vector<uint16_t> ports_;
};

std::string base64(std::string_view text);

}  // namespace postrider
