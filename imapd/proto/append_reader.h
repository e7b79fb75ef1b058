// What APPEND and REPLACE say between their literals (RFC 9051 6.3.12; RFC 3502, 4469, 8508, 9755): literals of
// messages are streamed by the session, so the text comes in stretches, each up to the next literal.
#pragma once

#include <string>
#include <vector>

#include "imapd/proto/command.h"
#include "imapd/proto/cursor.h"

namespace postrider::imap {

constexpr size_t kMaxAppendedMessages = 1'000;  // in one APPEND
constexpr size_t kMaxCatenatedParts = 10'000;   // in one APPEND

/// What to do next, in this order.
struct AppendStep {
  enum class Kind : uint8_t {
    begin,        // a message, with flags and date
    literal,      // the literal that follows belongs to it
    url,          // what a URL names belongs to it
    url_literal,  // the literal that follows is such a URL
    end,          // of the message
  };
  Kind kind = Kind::begin;
  FlagNames flags;
  std::optional<UnixTime> date;
  std::string url;
};

class AppendReader {
 public:
  /// One stretch, the first from behind the mailbox name on. literal_follows: it ended at a literal. Appends to steps.
  bool read(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps);
  /// Messages that were begun.
  size_t messages() const { return messages_; }

 private:
  enum class At : uint8_t { message, after_message, part, after_part, after_utf8 };
  bool begin_message(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps);
  bool part(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps);
  bool end_of(Cursor& cursor, std::vector<AppendStep>& steps);

  At at_ = At::message;
  size_t messages_ = 0, parts_ = 0;
  bool literal_ = false;  // the stretch is done with: its literal comes next
};

}  // namespace postrider::imap
