// Words that the whole store shares.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"

namespace postrider::store {

using AccountId = int64_t;  // row of the directory; the file is accounts/xx/ID.db
using MailboxId = int64_t;  // row of an account file; never used again
using MessageId = int64_t;  // row of an account file; never used again
using QueueId = int64_t;    // an accepted message in the queue; grows with time; see queue_id_text()
using Uid = uint32_t;
using ModSeq = int64_t;

constexpr size_t kChunkSize = 256 << 10;     // octets of body in one row, and the most of a message in memory at once
constexpr size_t kMaxInlineHead = 64 << 10;  // octets of a root header kept apart from the body

/// Eight letters and digits or more, for logs, Received fields and people.
std::string queue_id_text(QueueId id);
/// -1 where the text is no queue id.
QueueId parse_queue_id(std::string_view text);

/// Flags of a message: the low byte is the system flags, above it one bit for each keyword of the account.
class Flags {
 public:
  static constexpr uint64_t kSeen = 1, kAnswered = 2, kFlagged = 4, kDeleted = 8, kDraft = 16;
  static constexpr uint64_t kSystem = 0xff;
  static constexpr int kFirstKeywordBit = 8;
  static constexpr int kMaxKeywords = 54;  // bits 8 to 61: SQLite's integers are signed

  Flags() = default;
  explicit Flags(uint64_t bits) : bits_(bits) {}
  uint64_t bits() const { return bits_; }
  bool has(uint64_t mask) const { return (bits_ & mask) == mask; }
  Flags with(uint64_t mask) const { return Flags(bits_ | mask); }
  Flags without(uint64_t mask) const { return Flags(bits_ & ~mask); }
  bool operator==(const Flags&) const = default;

 private:
  uint64_t bits_ = 0;
};

/// A set of UIDs as ascending, not touching runs.
struct UidRange {
  Uid first = 0;
  Uid last = 0;  // inclusive
  bool operator==(const UidRange&) const = default;
};
using UidRanges = std::vector<UidRange>;

/// Adds one UID that is greater than every other one of the set.
void append_uid(UidRanges& ranges, Uid uid);
/// Sorted, with neighbours joined.
UidRanges normalize(UidRanges ranges);
/// What is in from and not in removed; both normalized.
UidRanges subtract(const UidRanges& from, const UidRanges& removed);
/// How many UIDs the ranges span.
uint64_t count(const UidRanges& ranges);
/// "1:5,9", for storing; the empty set is "".
std::string format_ranges(const UidRanges& ranges);
UidRanges parse_ranges(std::string_view text);

/// Says that something was flushed to disk. Only the store makes one; whoever acknowledges anything must show it.
class Flushed {
 private:
  friend class Account;
  friend class Edit;
  friend class Queue;
  Flushed() = default;
};

}  // namespace postrider::store
