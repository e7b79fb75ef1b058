#include "imapd/message_limit.h"

#include <algorithm>

namespace postrider::imap {
namespace {

using Kind = SearchKey::Kind;

/// Drops from the front until that many are left.
template <class Ranges>
void keep_last(Ranges& ranges, uint64_t most) {
  auto range = ranges.end();
  while (range != ranges.begin() && most > 0) {
    --range;
    const uint64_t size = uint64_t{range->last} - range->first + 1;
    if (size > most) range->first = static_cast<uint32_t>(range->last - (most - 1));
    most -= std::min(size, most);
  }
  ranges.erase(ranges.begin(), range);
}

NumberRanges intersect(const NumberRanges& a, const NumberRanges& b) {
  NumberRanges both;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    const NumberRange range{std::max(i->first, j->first), std::min(i->last, j->last)};
    if (range.first <= range.last) both.push_back(range);
    i->last < j->last ? ++i : ++j;
  }
  return both;
}

}  // namespace

uint64_t MessageLimit::count(const NumberRanges& numbers) {
  uint64_t sum = 0;
  for (const NumberRange& range : numbers) sum += uint64_t{range.last} - range.first + 1;
  return sum;
}

void MessageLimit::cut(NumberRanges& numbers, const View& view) {
  if (!exceeded_by(numbers)) return;
  keep_last(numbers, most_);
  lowest_ = view.uid_of(numbers.front().first);
}

void MessageLimit::cut(store::UidRanges& uids) {
  if (!exceeded_by(store::count(uids))) return;
  keep_last(uids, most_);
  lowest_ = uids.front().first;
}

std::string MessageLimit::code() const {
  return was_cut() ? fmt::format("MESSAGELIMIT {} {}", most_, lowest_) : fmt::format("MESSAGELIMIT {}", most_);
}

Reply MessageLimit::refusal() const {
  return Reply::no(fmt::format("One command may mean {} messages at most; name fewer.", most_)).code(code());
}

Reply MessageLimit::tell(Reply reply, std::string& out) const {
  if (!was_cut()) return reply;
  if (reply.is_ok() && !reply.has_code()) return reply.code(code());
  append_format(out, "* NO [{}] Only the last {} messages were looked at.\r\n", code(), most_);
  return reply;
}

NumberRanges searched(const SearchKey& key, const View& view) {
  NumberRanges all;
  if (view.count() != 0) all.push_back({1, view.count()});
  if (key.negated) return all;
  if (key.kind == Kind::sequence || key.kind == Kind::uid) return view.numbers(key.set, key.kind == Kind::uid);
  if (key.kind != Kind::all_of) return all;
  for (const SearchKey& child : key.children) all = intersect(all, searched(child, view));
  return all;
}

void search_from(SearchKey& key, store::Uid lowest) {
  SearchKey& from = key.children.emplace_back();  // the outermost key holds those that must all be so
  from.kind = Kind::uid;
  from.set.ranges.push_back({lowest, UINT32_MAX});
}

}  // namespace postrider::imap
