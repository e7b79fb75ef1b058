// An SMTP or LMTP server for tests of the relay: says what it is told to, counts, and keeps what it got.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/net/tls.h"
#include "common/sasl/password.h"
#include "tests/store/temp_state.h"

namespace postrider {

class RelayServer {
 public:
  struct Got {
    std::vector<std::string> envelope;  // MAIL and RCPT lines that were accepted
    std::string content;                // dots taken out, without the last line
    std::string user;                   // who logged in
    bool encrypted = false;
  };

  /// In place of a reply: closes the connection, or says nothing and goes on reading.
  static constexpr const char* kClose = "";
  static constexpr const char* kSilence = "\x01";

  /// address: one of the loopback network. unix_path: listens there instead.
  explicit RelayServer(const std::string& address = "127.0.0.1", uint16_t port = 0, const std::string& unix_path = {});
  ~RelayServer();
  RelayServer(const RelayServer&) = delete;
  RelayServer& operator=(const RelayServer&) = delete;

  uint16_t port() const { return port_; }
  std::string address() const { return address_ + ":" + std::to_string(port_); }
  /// What is said to lines that begin so (the longest that fits). "GREETING" is the greeting, "\n." the final dot, and
  /// in LMTP "\n.<address>" the final dot for a recipient.
  void reply(const std::string& line, const std::string& text);
  /// The same for one time, before what reply() says.
  void reply_once(const std::string& line, const std::string& text);
  void reply_to_content(const std::string& text) { reply("\n.", text); }
  /// Between two octets of every reply.
  void set_slowness(std::chrono::milliseconds each) { slowness_ = each; }
  void speak_lmtp() { lmtp_ = true; }
  /// Offers STARTTLS with a certificate for that name; wrapped: TLS from the first octet.
  void use_tls(const std::string& host_name, bool wrapped = false);
  /// Knows nothing newer than TLS 1.0. After use_tls().
  void know_old_tls_only();
  /// The same with a certificate that is there.
  void use_certificate(const std::string& certificate, const std::string& key);
  /// The PEM file of that certificate, to be trusted.
  const std::string& certificate() const { return certificate_; }
  /// Offers AUTH with these mechanisms and wants this user.
  void want_login(const std::string& mechanisms, const std::string& user, const std::string& password);

  int connections() const { return connections_; }
  int most_at_once() const { return most_at_once_; }
  int resumed() const { return resumed_; }
  std::vector<std::string> commands();
  /// Waits until that many messages were taken.
  bool wait_for(size_t messages);
  bool wait_for_connections(int count);
  std::vector<Got> got();

 private:
  class Peer;
  void serve();
  void session(int descriptor);
  bool handle(Peer& peer, const std::string& line, Got& got);
  bool take_content(Peer& peer, Got& got, size_t chunk);
  bool log_in(Peer& peer, const std::string& line, Got& got);
  bool end_content(Peer& peer, Got& got);
  std::string reply_for(const std::string& line);

  std::string address_, unix_path_;
  uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> lmtp_ = false, wrapped_ = false;
  std::atomic<std::chrono::milliseconds> slowness_{};
  std::atomic<int> connections_ = 0, open_ = 0, most_at_once_ = 0, resumed_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> replies_;
  std::map<std::string, std::deque<std::string>> once_;
  std::vector<std::string> commands_;
  std::vector<Got> got_;
  std::vector<int> sockets_;
  std::vector<std::thread> sessions_;
  store::TempState folder_;
  std::string certificate_;
  std::shared_ptr<net::TlsServerContext> tls_;
  std::string mechanisms_, user_;
  sasl::PasswordRecord password_;
  std::thread thread_;
};

}  // namespace postrider
