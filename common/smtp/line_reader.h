// Lines of commands out of a buffer that somebody else fills: CRLF ends a line, and a line that is too long is skipped
// to its end, so that the session stays in step.
#pragma once

#include <cstddef>
#include <string_view>

namespace postrider::smtp {

class LineReader {
 public:
  enum class Status {
    incomplete,  // consume `taken` octets, read more, ask again
    line,
    bare,  // a bare CR or LF in it, or NUL: not to be obeyed
    too_long
  };
  struct Line {
    Status status = Status::incomplete;
    std::string_view text;  // without line end; within the input that was given
    size_t taken = 0;       // octets of the input to consume
  };

  /// max_line: octets of a line with its CRLF.
  explicit LineReader(size_t max_line) : max_line_(max_line) {}

  /// input: all that is buffered. A bare LF is answered at once, for people who type; what came with it up to the next
  /// CRLF goes with it, since another reader would take that for one line.
  Line next(std::string_view input);

  /// Whether next() would give something other than incomplete.
  bool has_line(std::string_view input) const { return input.find('\n') != std::string_view::npos; }

 private:
  size_t max_line_;
  bool skipping_ = false;
};

}  // namespace postrider::smtp
