// What joins messages to threads (RFC 8474 5.4): the Message-IDs of a message, of the first one of its thread and of
// the one it answers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace postrider::store {

constexpr size_t kMaxThreadKeys = 4;

/// head: a root header. Hashes, the message's own first, then the nearest reference; the same in every build.
std::vector<int64_t> thread_keys(std::string_view head);

}  // namespace postrider::store
