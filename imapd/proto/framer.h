// Finds the end of a command in what a client sends: lines, and literals between them (RFC 3501 4.3, RFC 7888).
//
// The messages of APPEND and REPLACE are announced and not collected: the session streams them. Bad input ends in
// `bad`, after which the framer is in sync with the client, or in `fatal`, after a non-synchronising literal that is
// not taken: its octets are on their way and must never be read as commands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "imapd/proto/limits.h"

namespace postrider::imap {

struct FramerLimits {
  size_t line = kMaxLineBeforeLogin;
  size_t literal = kMaxLiteralBeforeLogin;
  size_t command = kMaxCommandBeforeLogin;
  bool stream_messages = false;  // APPEND's message literal is announced (after login only)
};
constexpr FramerLimits kLimitsBeforeLogin{};
constexpr FramerLimits kLimitsAfterLogin{kMaxLine, kMaxLiteral, kMaxCommandSize, true};

/// "{42}", "{42+}", "~{42}" (literal8).
struct LiteralHead {
  uint64_t size = 0;
  bool synchronising = true;
  bool binary = false;
};

class Framer {
 public:
  enum class Event {
    need_more,     // all input was taken; the command is not complete
    continuation,  // the client waits for "+ ..." before it sends a literal
    command,       // text() is a complete command, literals in it, without the last line end
    message,       // text() is an APPEND up to its message literal, message() describes that literal
    line,          // text() is the line that expect_line() asked for, without its end
    bad,           // tag() and problem(): answer BAD; in sync
    fatal,         // tag() and problem(): answer BAD and BYE, then close
  };
  struct Step {
    Event event;
    size_t consumed;  // octets of the input that are done with
  };

  explicit Framer(FramerLimits limits = kLimitsBeforeLogin) : limits_(limits) {}
  void set_limits(FramerLimits limits) { limits_ = limits; }

  /// Takes what it can of input. Every event but need_more and continuation ends a command; the next call begins a new
  /// one.
  Step next(std::string_view input);

  /// The next line is not a command: a SASL response, or DONE. Goes back to commands after that line.
  void expect_line() { expect_line_ = true; }

  /// After `message`: the session has taken the octets of the literal itself. What follows is either the empty end of
  /// the command (`command` with the rest as text()) or a further message (RFC 3502).
  void message_taken();

  std::string_view text() const { return text_; }
  const LiteralHead& message() const { return message_; }
  /// The tag of the command in hand, or "*" where none can be made out (RFC 3501 7.1.3).
  std::string_view tag() const;
  std::string_view problem() const { return problem_; }
  /// Nothing of a command has arrived yet.
  bool between_commands() const { return delivered_ || (text_.empty() && !skipping_ && !after_message_); }

 private:
  void begin();
  bool take_literal(std::string_view input, size_t& used);
  /// True when a line end was reached.
  bool take_line(std::string_view input, size_t& used);
  std::optional<Event> line_complete();
  Event literal_announced(const std::optional<LiteralHead>& head, std::string_view raw);
  bool is_message_literal() const;
  Event deliver(Event event);

  FramerLimits limits_;
  std::string text_;
  std::string skipped_tail_;  // the end of a line that is skipped
  std::string_view problem_;
  LiteralHead message_;
  size_t line_start_ = 0;
  uint64_t literal_left_ = 0;
  bool expect_line_ = false;
  bool skipping_ = false;
  bool delivered_ = false;
  bool after_message_ = false;
};

}  // namespace postrider::imap
