// Files have LF, mail has CRLF: in pieces of any size. Pure.
#pragma once

#include <string>
#include <string_view>

namespace postrider::mailctl {

/// LF becomes CRLF; CRLF, and CR that stands alone, stay.
class ToCrlf {
 public:
  void append(std::string_view piece, std::string& out) {
    for (char c : piece) {
      if (c == '\n' && last_ != '\r') out += '\r';
      out += c;
      last_ = c;
    }
  }

 private:
  char last_ = '\0';
};

/// CRLF becomes LF; CR that stands alone stays.
class ToLf {
 public:
  void append(std::string_view piece, std::string& out) {
    for (char c : piece) {
      if (held_ && c != '\n') out += '\r';
      held_ = c == '\r';
      if (!held_) out += c;
    }
  }
  /// The message ends here.
  void finish(std::string& out) {
    if (held_) out += '\r';
    held_ = false;
  }

 private:
  bool held_ = false;  // a CR that may belong to an LF
};

}  // namespace postrider::mailctl
