#include "imapd/view.h"

#include <algorithm>

namespace postrider::imap {

using store::Uid;
using store::UidRange;
using store::UidRanges;

bool contains(const UidRanges& ranges, Uid uid) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), uid,
                                [](Uid value, const UidRange& range) { return value < range.first; });
  return after != ranges.begin() && uid <= std::prev(after)->last;
}

View::View(const store::MailboxSnapshot& snapshot, std::vector<std::string> keywords, bool read_only,
           store::AccountId owner)
    : mailbox_(snapshot.mailbox.id),
      owner_(owner),
      uid_validity_(snapshot.mailbox.uid_validity),
      read_only_(read_only),
      modseq_(snapshot.modseq),
      keywords_(std::move(keywords)) {
  rebuild(snapshot.uids);
}

void View::rebuild(const UidRanges& ranges) {
  runs_.clear();
  runs_.reserve(ranges.size());
  uint32_t before = 0;
  for (const UidRange& range : ranges) {
    runs_.push_back(Run{range.first, range.last, before});
    before += size_of(runs_.back());
  }
}

uint32_t View::number_of(Uid uid) const {
  auto after =
      std::upper_bound(runs_.begin(), runs_.end(), uid, [](Uid value, const Run& run) { return value < run.first; });
  if (after == runs_.begin()) return 0;
  const Run& run = *std::prev(after);
  return uid <= run.last ? run.before + (uid - run.first) + 1 : 0;
}

Uid View::uid_of(uint32_t number) const {
  auto after = std::upper_bound(runs_.begin(), runs_.end(), number - 1,
                                [](uint32_t value, const Run& run) { return value < run.before; });
  const Run& run = *std::prev(after);
  return run.first + (number - 1 - run.before);
}

uint32_t View::count_from(Uid uid) const {
  auto at =
      std::lower_bound(runs_.begin(), runs_.end(), uid, [](const Run& run, Uid value) { return run.last < value; });
  if (at == runs_.end()) return 0;
  return count() - at->before - (uid > at->first ? uid - at->first : 0);
}

NumberRanges View::known(const UidRanges& uids) const {
  NumberRanges numbers;
  for (const UidRange& range : uids) {
    uint32_t from_first = count_from(range.first);
    uint32_t after_last = range.last == UINT32_MAX ? 0 : count_from(range.last + 1);
    if (from_first > after_last) numbers.push_back({count() - from_first + 1, count() - after_last});
  }
  return normalised(std::move(numbers));
}

UidRanges View::known_uids(const UidRanges& uids) const {
  UidRanges unknown = store::subtract(uids, this->uids());
  return store::subtract(uids, unknown);
}

NumberRanges View::numbers(const SequenceSet& set, bool uids) const {
  if (set.saved) return known(saved_);
  if (uids) {
    UidRanges ranges;
    for (const NumberRange& range : set.resolve(last_uid())) ranges.push_back({range.first, range.last});
    return known(ranges);
  }
  NumberRanges numbers;
  for (NumberRange range : set.resolve(count())) {
    range.last = std::min(range.last, count());
    if (range.first <= range.last) numbers.push_back(range);
  }
  return numbers;
}

UidRanges View::spans(const NumberRanges& numbers) const {
  UidRanges spans;
  for (const NumberRange& range : numbers) spans.push_back({uid_of(range.first), uid_of(range.last)});
  return spans;
}

UidRanges View::uids() const {
  UidRanges all;
  for (const Run& run : runs_) all.push_back({run.first, run.last});
  return all;
}

void View::add_recent(const UidRanges& uids) {
  recent_.insert(recent_.end(), uids.begin(), uids.end());
  recent_ = store::normalize(std::move(recent_));
}

uint32_t View::recent() const {
  uint32_t count = 0;
  for (const NumberRange& range : known(recent_)) count += range.last - range.first + 1;
  return count;
}

bool View::is_recent(Uid uid) const {
  return contains(recent_, uid);
}

void View::add(const UidRanges& uids) {
  for (UidRange range : uids) {
    range.first = std::max(range.first, last_uid() + 1);
    if (range.first > range.last) continue;
    if (!runs_.empty() && runs_.back().last + 1 == range.first) {
      runs_.back().last = range.last;
    } else {
      runs_.push_back(Run{range.first, range.last, count()});
    }
  }
}

void View::remove(const UidRanges& uids) {
  rebuild(store::subtract(this->uids(), uids));
}

}  // namespace postrider::imap
