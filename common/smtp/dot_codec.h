// The text of DATA (RFC 5321 4.1.1.4, 4.5.2): dots taken out on the way in, put in on the way out. Only CR LF . CR LF
// ends it; whoever takes anything else for the end lets strangers smuggle messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postrider::smtp {

/// Decodes a stream that is cut anywhere. A bare CR or LF, or an over-long line, is noticed and kept in mind, and
/// decoding goes on to the real end, so that the session stays in step.
class DotDecoder {
 public:
  /// max_line: octets of one line with its CRLF.
  explicit DotDecoder(size_t max_line) : max_line_(max_line) {}

  /// Appends decoded octets to out; gives how many of the input were taken, which is all unless the end came.
  size_t feed(std::string_view input, std::string& out);

  bool ended() const { return state_ == State::ended; }
  bool bare_line_end() const { return bare_line_end_; }
  bool line_too_long() const { return longest_ > max_line_; }

 private:
  enum class State { line_start, text, cr, dot, dot_cr, ended };

  size_t take_text(std::string_view input, std::string& out);
  void count(size_t octets) {
    length_ += octets;
    if (length_ > longest_) longest_ = length_;
  }

  State state_ = State::line_start;
  bool bare_line_end_ = false;
  size_t max_line_;
  size_t length_ = 0;  // octets of the line so far
  size_t longest_ = 0;
};

/// The same watch over text that needs no decoding, because it came by BDAT (RFC 3030).
class LineEndScanner {
 public:
  void feed(std::string_view input);
  /// Of all that was fed, taken as complete.
  bool bare_line_end() const { return bare_line_end_ || after_cr_; }

 private:
  bool bare_line_end_ = false;
  bool after_cr_ = false;
};

/// Encodes for DATA. What leaves has CRLF line ends only: a bare CR or LF in a stored message becomes CRLF, so that no
/// receiver can see an end in it.
class DotEncoder {
 public:
  void feed(std::string_view input, std::string& out);
  /// Ends the last line if it is open, and appends the final dot.
  void finish(std::string& out);

 private:
  bool line_start_ = true;
  bool after_cr_ = false;  // a CR was read and not yet written
};

}  // namespace postrider::smtp
