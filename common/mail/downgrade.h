// A message rewritten for a host that takes less than it has: 8-bit content for one without 8BITMIME (RFC 6152 3),
// binary content for one without BINARYMIME (RFC 3030). Parts are encoded anew (RFC 2045 6), everything else stays
// octet by octet.
//
// The message is read three times: once to index it, once to see what needs an encoding, once to write it. Memory is
// bounded by the limits of the indexer, not by the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace postrider {

constexpr size_t kMaxTextLine = 998;  // octets of a line without its CRLF (RFC 5322 2.1.1); more is binary

/// What a host takes.
enum class ContentLimit {
  seven_bit,
  eight_bit,  // lines of octets, but nothing binary
};

/// What there is in some octets, fed in pieces.
class ContentScanner {
 public:
  void feed(std::string_view piece);
  bool has_8bit() const { return eight_bit_ > 0; }
  /// NUL, a CR or LF that stands alone, or a line too long. The end of what was fed counts as the end of a line.
  bool is_binary() const { return binary_ || after_cr_; }
  uint64_t eight_bit_octets() const { return eight_bit_; }
  uint64_t octets() const { return octets_; }

 private:
  uint64_t eight_bit_ = 0, octets_ = 0;
  size_t line_ = 0;
  bool binary_ = false;
  bool after_cr_ = false;
};

/// Hands all of a message to the function, in pieces, from the beginning each time.
using ReadMessage = std::function<void(const std::function<void(std::string_view)>&)>;

/// What is to be changed where. Offsets are octets from the beginning of the message.
struct DowngradePlan {
  struct Edit {
    enum class Kind : uint8_t { replace, mask, quoted_printable, base64 };
    Kind kind = Kind::replace;
    uint64_t begin = 0, end = 0;
    std::string text;  // replace: by this
  };
  std::vector<Edit> edits;  // ascending, none touching another
};

/// The error is a sentence that says what cannot be converted: header fields in 8-bit, what a signature covers
/// (multipart/signed), a message/ type that must not be encoded, content that is not what its encoding says.
/// binary: content with NUL, bare line ends or long lines has to be encoded too.
Result<DowngradePlan> plan_downgrade(const ReadMessage& read, ContentLimit limit, bool binary);

/// Applies a plan to the same message, in pieces of any size.
class Downgrader {
 public:
  explicit Downgrader(DowngradePlan plan);
  ~Downgrader();
  Downgrader(const Downgrader&) = delete;
  Downgrader& operator=(const Downgrader&) = delete;

  /// Appends to out.
  void feed(std::string_view piece, std::string& out);
  void finish(std::string& out);

 private:
  class Encoder;
  class QuotedPrintable;
  class Base64;
  void begin_edit(std::string& out);
  void end_edit(std::string& out);
  void apply(std::string_view piece, std::string& out);

  const DowngradePlan plan_;
  size_t next_ = 0;      // edit
  uint64_t offset_ = 0;  // of the octet that comes next
  bool inside_ = false;  // of edit next_
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace postrider
