// Transcripts: a daemon in this process, and sessions with it that read as they are written.
//
//   Transcript t;
//   t.play(R"(
//     A> a1 SELECT INBOX
//     A< * FLAGS ...
//     A< a1 OK [READ-WRITE] ...
//   )");
//
// A letter is a session; it connects and logs in when it is first named: a capital as alice, a small letter as bob, a
// digit as carol. "A>" is a line that it sends, "A<"
// the very next line that it must get; "..." in such a line stands for anything. "A<*" skips lines up to the one that
// fits.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/clock.h"
#include "imapd/service.h"

namespace postrider::imap {

/// A connection that fails the test when an answer does not come.
class Client {
 public:
  explicit Client(uint16_t port);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view octets);
  /// The next line without its end; "(closed)" at the end, "(nothing)" after a few seconds.
  std::string line();
  std::string octets(size_t count);

 private:
  bool fill();
  int socket_;
  std::string buffer_;
};

class Transcript {
 public:
  struct Options {
    uint64_t max_append_size = 50 << 20;
    uint64_t quota = 0;
    uint64_t max_messages = 0;
    std::string expunged_folder;
    uint64_t max_connections_per_user = 100;
    uint64_t message_limit = 0, save_limit = 0;
    bool tls = false;
  };
  Transcript() : Transcript(Options()) {}
  explicit Transcript(const Options& options);
  ~Transcript();

  void play(std::string_view script);
  /// Logs in, unless it is there already.
  Client& session(char name);
  /// A connection that has not logged in; the greeting is read.
  Client& stranger(char name);
  /// Puts a message in a mailbox as mta does: into the file, then a hint through the socket.
  store::Uid deliver(std::string_view mailbox, std::string_view message) {
    return deliver_to(account_, mailbox, message);
  }
  store::Uid deliver_to(store::AccountId account, std::string_view mailbox, std::string_view message);

  /// As SIGTERM does.
  void stop();

  uint16_t port() const { return port_; }
  store::AccountId account() const { return account_; }
  store::AccountId bob() const { return bob_; }
  ImapService& service() { return *service_; }

 private:
  std::filesystem::path state_;
  ManualClock clock_{1'800'000'000};  // 15 January 2027
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<ImapService> service_;
  std::unique_ptr<net::HintSender> hints_;
  std::thread thread_;
  bool stopped_ = false;
  std::map<char, std::unique_ptr<Client>> sessions_;
  store::AccountId account_ = 0, bob_ = 0;
  uint16_t port_ = 0;
};

/// "..." in the pattern stands for any text.
bool fits(std::string_view line, std::string_view pattern);

constexpr std::string_view kMessage =
    "From: Bob <bob@example.test>\r\n"
    "To: alice@example.test\r\n"
    "Subject: Lunch\r\n"
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    "Message-ID: <1@example.test>\r\n"
    "\r\n"
    "At noon?\r\n";

}  // namespace postrider::imap
