// What the sendmail command leaves in STATE/drop for mta: an envelope in lines of "name value", an empty line, and the
// message as it came from the program that sends. Written and read here, side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace postrider {

constexpr size_t kMaxDropEnvelope = 256 << 10;  // octets
constexpr size_t kMaxDropRecipients = 5'000;
constexpr size_t kMaxDropValue = 1'000;  // octets of one value

struct DropEnvelope {
  std::string key;                      // letters and digits: this message and no other
  std::optional<std::string> sender;    // "": the null reverse-path; nothing: the user's own address
  std::string full_name;                // of the sender, for a From field; may be empty
  std::vector<std::string> recipients;  // addresses as given: a local user has no domain
  std::string notify;                   // RFC 3461, as "success,failure"; empty: not given
  std::string ret;                      // "FULL", "HDRS" or empty
  std::string envid;                    // decoded
};

/// Control characters in values become blanks: no value brings a line of its own.
std::string format_drop_envelope(const DropEnvelope& envelope);

struct DropHead {
  DropEnvelope envelope;
  size_t size = 0;  // octets of it; the message follows
};
/// head: the beginning of a file, kMaxDropEnvelope octets or all of it. The error is a sentence.
Result<DropHead> parse_drop_envelope(std::string_view head);

/// NOTIFY= as it is written on the command line ("success,delay", "never"), as store::Notify bits; nothing where it is
/// wrong.
std::optional<uint8_t> parse_notify(std::string_view text);

/// Turns whatever line ends a program wrote (LF, CRLF, a lone CR) into CRLF, piece by piece.
class LineEndNormalizer {
 public:
  void feed(std::string_view piece, std::string& out);
  /// Ends the last line where it has no end.
  void finish(std::string& out);

 private:
  bool after_cr_ = false;
  bool in_line_ = false;
};

}  // namespace postrider
