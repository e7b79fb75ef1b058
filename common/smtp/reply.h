// Replies of a server (RFC 5321 4.2): formatted here for our server, parsed here for our client.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/smtp/status.h"

namespace postrider::smtp {

/// A reply on its way out. The status code is one of the table in status.h.
struct Reply {
  Reply() = default;
  Reply(int reply_code, status::Code status_code, std::string reply_text)
      : code(reply_code), status(status_code), text(std::move(reply_text)) {}

  int code = 250;
  status::Code status;
  std::string text;  // lines are parted by '\n'

  bool is_failure() const { return code >= 400; }
};

/// Something parsed out of a command, or the reply that says what is wrong with the command.
template <class T>
using Parsed = tl::expected<T, Reply>;

inline tl::unexpected<Reply> refuse(int code, status::Code status, std::string text) {
  return tl::unexpected<Reply>(Reply(code, status, std::move(text)));
}

/// Appends the whole reply: every line with code, status code (unless none) and CRLF; all but the last with a hyphen.
/// Control characters of the text become '?', a line that would exceed 512 octets is cut.
void append_reply(std::string& out, const Reply& reply);
/// The same for a reply that is one constant line.
void append_reply(std::string& out, int code, status::Code status, std::string_view line);
std::string format_reply(const Reply& reply);

/// A reply that came in.
struct ServerReply {
  int code = 0;
  std::string status;              // "5.1.1", or empty where the first line has none
  std::vector<std::string> lines;  // without code, status and line end; control characters are '?'

  bool is_positive() const { return code >= 200 && code < 400; }
  bool is_temporary() const { return code >= 400 && code < 500; }
  bool is_permanent() const { return code >= 500; }
  /// On one line, for logs and reports: "550 5.1.1 no such user".
  std::string to_string() const;
};

/// Reads replies out of a stream that is cut anywhere. Takes a bare LF as a line end, as RFC 5321 does not but servers
/// do.
class ReplyParser {
 public:
  static constexpr size_t kMaxLine = 4'096;  // octets of one line; RFC 5321 4.5.3.1.5 promises 512
  static constexpr size_t kMaxLines = 200;

  enum class State { incomplete, complete, malformed };

  /// Takes octets up to the end of one reply; gives how many it took. After complete, take() begins the next one; after
  /// malformed the connection is of no more use.
  size_t feed(std::string_view input);
  State state() const { return state_; }
  ServerReply take();

 private:
  void end_line();

  State state_ = State::incomplete;
  std::string line_;
  ServerReply reply_;
};

}  // namespace postrider::smtp
