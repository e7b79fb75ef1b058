// Annotations of mailboxes and of the server (RFC 5464): names that begin with /shared or /private, and values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/types.h"

namespace postrider::store {

constexpr size_t kMaxAnnotationName = 250;        // octets
constexpr size_t kMaxAnnotationValue = 32 << 10;  // octets
constexpr size_t kMaxAnnotations = 200;           // of one mailbox, or of the server, for one user
constexpr MailboxId kServerAnnotations = 0;       // instead of a mailbox

struct Annotation {
  MailboxId mailbox = kServerAnnotations;
  std::string name;                  // in lower case
  std::optional<std::string> value;  // nothing: it was removed
};

/// "/private/...": each user has their own.
inline bool is_private(std::string_view name) {
  return name.starts_with("/private/");
}

}  // namespace postrider::store
