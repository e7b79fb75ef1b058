#include "imapd/proto/sequence_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/format.h"

namespace postrider::imap {

NumberRanges normalised(NumberRanges ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  NumberRanges out;
  for (const NumberRange& range : ranges) {
    if (!out.empty() && (out.back().last == UINT32_MAX || range.first <= out.back().last + 1)) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

NumberRanges SequenceSet::resolve(uint32_t greatest) const {
  if (greatest == 0) return {};
  NumberRanges out;
  out.reserve(ranges.size());
  for (NumberRange range : ranges) {
    if (range.first == kStar) range.first = greatest;
    if (range.last == kStar) range.last = greatest;
    if (range.first > range.last) std::swap(range.first, range.last);
    out.push_back(range);
  }
  return normalised(std::move(out));
}

uint32_t SequenceSet::greatest_written() const {
  uint32_t greatest = 0;
  for (const NumberRange& range : ranges) greatest = std::max({greatest, range.first, range.last});
  return greatest;
}

std::string format_set(const NumberRanges& ranges) {
  std::string out;
  for (const NumberRange& range : ranges) {
    if (!out.empty()) out += ',';
    if (range.first == range.last) {
      append_format(out, "{}", range.first);
    } else {
      append_format(out, "{}:{}", range.first, range.last);
    }
  }
  return out;
}

}  // namespace postrider::imap
