// A connection to an IMAP server that mail is taken over from; it blocks, and nothing else runs. Everything that the
// server sends is bounded, but for the text of a message, which goes into a spool.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mailctl/context.h"
#include "store/message_source.h"

namespace postrider::mailctl {

constexpr size_t kMaxAnswer = 1 << 20;              // octets of an answer without a message's text
constexpr uint64_t kMaxRemoteMessage = 4ULL << 30;  // octets
constexpr int kRemotePatience = 120;                // seconds that a server may be silent

struct RemoteServer {
  std::string host, port;
  bool tls = true, starttls = false;
  bool any_certificate = false;
};

/// "host", "host:port", "[::1]:port". Throws CommandFailed.
RemoteServer parse_server(const std::string& text, bool starttls, bool no_tls);

struct ImapAnswer {
  std::string text;                  // without its line end; the text of a message stands there as ""
  std::optional<store::Spool> body;  // that text
};

class ImapConnection {
 public:
  using Visit = std::function<void(ImapAnswer&)>;
  using MakeSpool = std::function<store::Spool()>;

  /// Connects, with TLS before anything is sent that matters, and reads the greeting. Throws CommandFailed.
  ImapConnection(const RemoteServer& server, MakeSpool make_spool);
  ~ImapConnection();

  /// Throws CommandFailed, also where the password would go in the clear to another machine.
  void log_in(const std::string& user, const std::string& password);
  bool has(std::string_view capability) const;
  /// Sends a command and visits the answers before its end. The error is what the server said. Throws CommandFailed
  /// where it does not speak IMAP, or is gone.
  Result<void> command(std::string_view text, const Visit& visit = {});

 private:
  struct Socket;
  Result<void> finish(const std::string& tag, const Visit& visit, const std::string& continuation);
  ImapAnswer read_answer();
  std::string read_line(size_t room);
  void read_literal(uint64_t size, const std::function<void(std::string_view)>& sink);
  void ask_capabilities();
  [[noreturn]] void fail(const std::string& what) const;

  RemoteServer server_;
  MakeSpool make_spool_;
  std::unique_ptr<Socket> socket_;
  std::string buffer_;  // what was read and is not looked at yet
  std::string capabilities_;
  bool logged_in_ = false;
  unsigned next_tag_ = 1;
};

/// As a quoted string or, where it cannot be one, as nothing.
std::optional<std::string> imap_quoted(std::string_view text);

}  // namespace postrider::mailctl
