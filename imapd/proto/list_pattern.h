// The patterns of LIST and LSUB (RFC 3501 6.3.8): "*" is anything, "%" anything within one level.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postrider::imap {

class ListPattern {
 public:
  /// Both in UTF-8. The reference is put before the pattern, unless the pattern begins with the delimiter.
  ListPattern(std::string_view reference, std::string_view pattern);

  /// Time grows with the product of both lengths, whatever the pattern is.
  bool matches(std::string_view name) const;

  /// Names matching this pattern begin with this text (INBOX apart).
  const std::string& text() const { return pattern_; }

 private:
  std::string pattern_;
};

}  // namespace postrider::imap
