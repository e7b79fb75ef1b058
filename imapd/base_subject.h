// The base subject of a message: what its Subject is without the marks of replies and forwards (RFC 5256 2.1).
#pragma once

#include <string>
#include <string_view>

namespace postrider::imap {

struct BaseSubject {
  std::string text;               // UTF-8, blanks joined
  bool reply_or_forward = false;  // a mark was taken off
};

/// subject: the unfolded value of the field.
BaseSubject base_subject(std::string_view subject);

}  // namespace postrider::imap
