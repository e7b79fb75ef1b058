// A cursor over a structured header field body (RFC 5322 3.2, RFC 2045 5.1): blanks, nested comments, quoted strings,
// words. Every octet is read once and nothing recurses, so hostile text costs no more than its length.
#pragma once

#include <string>
#include <string_view>

namespace postrider {

class StructuredCursor {
 public:
  explicit StructuredCursor(std::string_view text) : text_(text) {}

  bool at_end() const { return position_ >= text_.size(); }
  bool at(char c) const { return !at_end() && text_[position_] == c; }
  /// The octet at the cursor; NUL at the end.
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  void advance() { ++position_; }
  bool take(char c);

  /// Skips blanks, line ends and comments. Where comment is given and there was one with text, its last one is put
  /// there without its parentheses and quoting. True where anything was skipped.
  bool skip_cfws(std::string* comment = nullptr);

  /// At a double quote: what is between the quotes, unescaped; line ends inside are dropped. Without a closing quote:
  /// all the rest.
  std::string quoted_string();

  /// The octets up to the first of stops, or all the rest.
  std::string_view until(std::string_view stops);

  /// Skips to the next octet c outside of quotes and comments, or to the end.
  void skip_to(char c);

 private:
  void skip_comment(std::string* comment);

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace postrider
