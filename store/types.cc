#include "store/types.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/format.h"
#include "common/base/number.h"

namespace postrider::store {
namespace {

// Base 32 without the letters that are taken for digits (Crockford's choice).
constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

std::string queue_id_text(QueueId id) {
  std::string text;
  for (auto rest = static_cast<uint64_t>(id); rest != 0 || text.size() < 8; rest >>= 5) {
    text.insert(text.begin(), kDigits[rest & 31]);
  }
  return text;
}

QueueId parse_queue_id(std::string_view text) {
  if (text.empty() || text.size() > 13) return -1;
  uint64_t value = 0;
  for (char c : text) {
    size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos || value >> 58 != 0) return -1;
    value = value << 5 | digit;
  }
  return static_cast<QueueId>(value);
}

void append_uid(UidRanges& ranges, Uid uid) {
  if (!ranges.empty() && ranges.back().last + 1 == uid) {
    ranges.back().last = uid;
  } else {
    ranges.push_back({uid, uid});
  }
}

UidRanges normalize(UidRanges ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const UidRange& a, const UidRange& b) { return a.first < b.first; });
  UidRanges out;
  for (const UidRange& range : ranges) {
    if (!out.empty() && range.first <= uint64_t{out.back().last} + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

UidRanges subtract(const UidRanges& from, const UidRanges& removed) {
  UidRanges out;
  auto hole = removed.begin();
  for (UidRange range : from) {
    while (hole != removed.end() && hole->last < range.first) ++hole;
    bool left = true;
    for (auto it = hole; it != removed.end() && it->first <= range.last; ++it) {
      if (it->first > range.first) out.push_back({range.first, it->first - 1});
      if (it->last >= range.last) {
        left = false;
        break;
      }
      range.first = it->last + 1;
    }
    if (left) out.push_back(range);
  }
  return out;
}

uint64_t count(const UidRanges& ranges) {
  uint64_t total = 0;
  for (const UidRange& range : ranges) total += uint64_t{range.last} - range.first + 1;
  return total;
}

std::string format_ranges(const UidRanges& ranges) {
  std::string text;
  for (const UidRange& range : ranges) {
    if (!text.empty()) text += ',';
    if (range.first == range.last) {
      append_format(text, "{}", range.first);
    } else {
      append_format(text, "{}:{}", range.first, range.last);
    }
  }
  return text;
}

UidRanges parse_ranges(std::string_view text) {
  UidRanges ranges;
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    size_t colon = item.find(':');
    auto first = parse_number<Uid>(item.substr(0, colon));
    auto last = colon == std::string_view::npos ? first : parse_number<Uid>(item.substr(colon + 1));
    if (first && last && *first <= *last) ranges.push_back({*first, *last});
  }
  return ranges;
}

}  // namespace postrider::store
