// THREAD (RFC 5256 3): messages as trees of who answers whom.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "imapd/base_subject.h"

namespace postrider::imap {

constexpr size_t kMaxReferences = 30;  // of a message: the nearest ones
constexpr size_t kMaxThreadDepth = 1'000;

/// What threading looks at.
struct ThreadMessage {
  uint32_t number = 0;  // that is told of it; ascending
  UnixTime sent = 0;
  BaseSubject subject;                  // folded for comparison
  std::string id;                       // Message-ID without its brackets; empty: none
  std::vector<std::string> references;  // the farthest first, without brackets
};

/// The References field, or where that has none the first of In-Reply-To; at most kMaxReferences, the last ones.
std::vector<std::string> parse_references(std::string_view references, std::string_view in_reply_to);
/// The first msg-id of a field, without its brackets.
std::string first_message_id(std::string_view field);

/// "(2)(3 6 (4 23)(44 7 96))"; the messages in the order of their numbers.
std::string thread_by_subject(std::vector<ThreadMessage> messages);
std::string thread_by_references(const std::vector<ThreadMessage>& messages);

}  // namespace postrider::imap
