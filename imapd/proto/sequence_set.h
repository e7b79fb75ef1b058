// Sequence sets (RFC 3501 9): "1,3:5,7:*", of message numbers or of UIDs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace postrider::imap {

/// Both ends included.
struct NumberRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool operator==(const NumberRange&) const = default;
};
using NumberRanges = std::vector<NumberRange>;

/// "*", the greatest number in use, is kept as 0 until it is known.
constexpr uint32_t kStar = 0;

struct SequenceSet {
  std::vector<NumberRange> ranges;  // as written: either end may be the greater one, or kStar
  bool saved = false;               // "$": what the last SEARCH with SAVE found (RFC 5182); no ranges then

  /// Ascending and not touching, with "*" put in; empty when greatest is 0 (nothing is there).
  NumberRanges resolve(uint32_t greatest) const;
  /// The greatest number that is written out; 0 where there is none but "*".
  uint32_t greatest_written() const;
};

/// Sorts, and joins what touches.
NumberRanges normalised(NumberRanges ranges);

/// "1:5,9"; the empty set is "".
std::string format_set(const NumberRanges& ranges);

}  // namespace postrider::imap
