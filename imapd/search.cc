#include "imapd/search.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "imapd/fetch.h"
#include "imapd/index_run.h"
#include "imapd/search_text.h"

namespace postrider::imap {
namespace {

using Kind = SearchKey::Kind;
using Clock = std::chrono::steady_clock;

constexpr size_t kRowsAtOnce = 4'096;  // of the narrow table, between looks at the clock

bool contains(const NumberRanges& ranges, uint32_t number) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), number,
                                [](uint32_t value, const NumberRange& range) { return value < range.first; });
  return after != ranges.begin() && number <= std::prev(after)->last;
}

}  // namespace

/// A row, and what was read for it so far. Without an account only the row's own columns can be asked.
class SearchRun::Message {
 public:
  Message(const store::MessageRow& message_row, uint32_t message_number, store::Account* from)
      : row(message_row), number(message_number), account(from) {}
  const store::MessageRow& row;
  const uint32_t number;
  store::Account* const account;

  const std::string& header() {
    if (!header_) header_ = root_header(*account, row);
    return *header_;
  }
  /// The day of the Date field as it was written (RFC 3501 6.4.4: disregarding time and timezone).
  std::optional<int64_t> sent_day() {
    auto value = find_header(header(), "Date");
    if (!value) return std::nullopt;
    auto date = parse_date_time(*value);
    if (!date) return std::nullopt;
    return date->local_day();
  }
  bool body_contains(std::string_view needle) {
    if (!index_) index_ = MimeIndex::deserialize(row.index).value_or(MimeIndex{});
    auto read = [this](uint64_t offset, uint64_t length, std::string& out) {
      account->read(row.message, row.prefix_size + offset, length, out);
    };
    return imap::body_contains(*index_, read, needle);
  }

 private:
  std::optional<std::string> header_;
  std::optional<MimeIndex> index_;
};

SearchRun::SearchRun(SearchKey key, const View& view, const std::vector<std::string>& keywords, UnixTime now,
                     bool ranked)
    : view_(view), now_(now), ranked_(ranked), key_(prepare(std::move(key), keywords)), wants_(wants_of(key_)) {
  if (ranked_) wants_ |= store::kWantHead | store::kWantIndex;
}

SearchRun::Key SearchRun::prepare(SearchKey key, const std::vector<std::string>& keywords) {
  Key out;
  out.kind = key.kind;
  out.negated = key.negated;
  out.system = key.system;
  out.day = key.day;
  out.number = key.number;
  out.field = std::move(key.field);
  if (key.kind == Kind::sequence) out.set = view_.numbers(key.set, false);
  if (key.kind == Kind::uid) out.set = view_.numbers(key.set, true);
  if (key.kind == Kind::keyword) {
    auto same = [&](const std::string& name) { return iequals(name, key.value); };
    auto known = std::find_if(keywords.begin(), keywords.end(), same);
    if (known != keywords.end())
      out.keyword = uint64_t{1} << (known - keywords.begin() + store::Flags::kFirstKeywordBit);
  } else if (key.kind == Kind::email_id) {
    auto id = parse_email_id(key.value, view_.owner());
    if (!id) out.kind = Kind::none;
    out.number = static_cast<uint64_t>(id.value_or(0));
  } else {
    out.needle = fold_for_search(key.value);
  }
  for (SearchKey& child : key.children) out.children.push_back(prepare(std::move(child), keywords));
  if (key.fuzzy) loosen(out);
  // What costs little is asked first.
  std::stable_sort(out.children.begin(), out.children.end(),
                   [](const Key& a, const Key& b) { return cost(a) < cost(b); });
  return out;
}

/// Below FUZZY a text is found where its words are, in any order and at any distance.
void SearchRun::loosen(Key& key) {
  if (key.kind != Kind::header && key.kind != Kind::body && key.kind != Kind::text) return;
  const std::vector<std::string> words = words_of(key.needle);
  if (words.empty()) return;
  Key& said = sought_.emplace_back();
  said.kind = Kind::text;
  said.needle = key.needle;
  if (words.size() == 1) {
    key.needle = words.front();
    return;
  }
  for (const std::string& word : words) {
    Key& child = key.children.emplace_back();
    child.kind = key.kind;
    child.field = key.field;
    child.needle = word;
  }
  key.kind = Kind::all_of;
}

void SearchRun::take(Message& message) {
  Found& found = found_.emplace_back(Found{message.row.uid, message.row.modseq});
  if (!ranked_) return;
  size_t sum = 0;
  for (const Key& said : sought_) {
    // As it was said: worth more than its words.
    const bool whole = evaluate_plain(said, message) == Truth::yes;
    sum += relevancy_of(message.header(), said.needle, whole);
  }
  found.relevancy = static_cast<uint8_t>(sought_.empty() ? kMaxRelevancy : sum / sought_.size());
}

unsigned SearchRun::wants_of(const Key& key) {
  unsigned wants = store::kWantEntry;
  switch (key.kind) {
    case Kind::internal_before:
    case Kind::internal_on:
    case Kind::internal_since:
    case Kind::older:
    case Kind::younger:
      wants = store::kWantDate;
      break;
    case Kind::sent_before:
    case Kind::sent_on:
    case Kind::sent_since:
    case Kind::header:
      wants = store::kWantHead;
      break;
    case Kind::body:
      wants = store::kWantIndex;
      break;
    case Kind::text:
      wants = store::kWantHead | store::kWantIndex;
      break;
    default:
      break;
  }
  for (const Key& child : key.children) wants |= wants_of(child);
  return wants;
}

int SearchRun::cost(const Key& key) {
  unsigned wants = wants_of(key);
  if (wants & store::kWantIndex) return 3;
  if (wants & store::kWantHead) return 2;
  return wants & store::kWantDate ? 1 : 0;
}

SearchRun::Truth SearchRun::evaluate(const Key& key, Message& message) const {
  Truth truth = key.kind == Kind::all_of || key.kind == Kind::any_of ? evaluate_children(key, message)
                                                                     : evaluate_plain(key, message);
  if (!key.negated || truth == Truth::open) return truth;
  return truth == Truth::yes ? Truth::no : Truth::yes;
}

SearchRun::Truth SearchRun::evaluate_children(const Key& key, Message& message) const {
  Truth decisive = key.kind == Kind::all_of ? Truth::no : Truth::yes;
  bool open = false;
  for (const Key& child : key.children) {
    Truth truth = evaluate(child, message);
    if (truth == decisive) return decisive;
    open |= truth == Truth::open;
  }
  if (open) return Truth::open;
  return decisive == Truth::no ? Truth::yes : Truth::no;
}

SearchRun::Truth SearchRun::evaluate_plain(const Key& key, Message& message) const {
  const store::MessageRow& row = message.row;
  if (key.candidates && !key.candidates->may_hold(row.message)) return Truth::no;
  if (message.account == nullptr && wants_of(key) != store::kWantEntry) return Truth::open;
  auto is = [](bool value) { return value ? Truth::yes : Truth::no; };
  auto sent = [&](auto compare) {
    auto day = message.sent_day();
    return is(day && compare(*day));
  };
  switch (key.kind) {
    case Kind::all:
      return Truth::yes;
    case Kind::sequence:
    case Kind::uid:
      return is(contains(key.set, message.number));
    case Kind::flag:
      return is(row.flags.has(key.system));
    case Kind::keyword:
      return is(key.keyword != 0 && row.flags.has(key.keyword));
    case Kind::recent:
      return is(view_.is_recent(row.uid));
    case Kind::larger:
      return is(row.size > key.number);
    case Kind::smaller:
      return is(row.size < key.number);
    case Kind::modseq:
      return is(static_cast<uint64_t>(row.modseq) >= key.number);
    case Kind::email_id:
      return is(static_cast<uint64_t>(row.message) == key.number);
    case Kind::none:
    case Kind::thread_id:  // became messages before (Session::resolved)
    case Kind::filter:
      return Truth::no;
    case Kind::saved_before:
      return is(day_of(row.saved) < key.day);
    case Kind::saved_on:
      return is(day_of(row.saved) == key.day);
    case Kind::saved_since:
      return is(day_of(row.saved) >= key.day);
    case Kind::internal_before:
      return is(day_of(row.internal_date) < key.day);
    case Kind::internal_on:
      return is(day_of(row.internal_date) == key.day);
    case Kind::internal_since:
      return is(day_of(row.internal_date) >= key.day);
    case Kind::older:
      return is(row.internal_date <= now_ - static_cast<int64_t>(key.number));
    case Kind::younger:
      return is(row.internal_date >= now_ - static_cast<int64_t>(key.number));
    case Kind::sent_before:
      return sent([&](int64_t day) { return day < key.day; });
    case Kind::sent_on:
      return sent([&](int64_t day) { return day == key.day; });
    case Kind::sent_since:
      return sent([&](int64_t day) { return day >= key.day; });
    case Kind::header:
      return is(field_contains(message.header(), key.field, key.needle));
    case Kind::body:
      return is(message.body_contains(key.needle));
    case Kind::text:
      return is(header_contains(message.header(), key.needle) || message.body_contains(key.needle));
    case Kind::all_of:
    case Kind::any_of:
      break;
  }
  return Truth::no;
}

/// Texts that the index can tell something of: their candidates. A field's name is text too, where nothing else is.
void SearchRun::ask_index(Key& key, store::SearchIndex& index) {
  for (Key& child : key.children) ask_index(child, index);
  if (key.kind != Kind::header && key.kind != Kind::body && key.kind != Kind::text) return;
  key.candidates = index.candidates(key.needle);
  if (!key.candidates && key.kind == Kind::header && !has_8bit(key.field))
    key.candidates = index.candidates(lower(key.field) + ": ");
}

/// Over the narrow table alone; what stays open goes to the second pass.
void SearchRun::scan_entries(store::Account& account, store::Uid from) {
  size_t rows = 0;
  bool full = false;
  account.scan(view_.mailbox(), {from, view_.last_uid()}, store::kWantEntry, [&](const store::MessageRow& row) {
    uint32_t number = view_.number_of(row.uid);
    if (number != 0) {
      Message message(row, number, nullptr);
      Truth truth = evaluate(key_, message);
      if (ranked_ && truth == Truth::yes) truth = Truth::open;  // its header is read for the score
      if (truth == Truth::yes) take(message);
      if (truth == Truth::open) store::append_uid(open_, row.uid);
    }
    next_ = row.uid + 1;
    full = ++rows == kRowsAtOnce;
    return !full;
  });
  if (!full) next_ = 0;
}

/// False: the mailbox has ended.
bool SearchRun::first_pass(store::Account& account) {
  if (next_ == 0 || next_ > view_.last_uid()) return false;
  const store::Uid from = next_;
  const size_t before = found_.size();
  scan_entries(account, from);
  if (asked_ || store::count(open_) < kWorthAsking) return true;
  asked_ = true;
  store::SearchIndex index(account);
  ask_index(key_, index);
  for (Key& said : sought_) ask_index(said, index);
  found_.resize(before);
  open_.clear();
  scan_entries(account, from);
  return true;
}

bool SearchRun::step(store::Account& account) {
  auto deadline = Clock::now() + kSlice;
  while (Clock::now() < deadline) {
    if (open_.empty() && !first_pass(account)) {
      auto by_uid = [](const Found& a, const Found& b) { return a.uid < b.uid; };
      if (!std::is_sorted(found_.begin(), found_.end(), by_uid)) std::sort(found_.begin(), found_.end(), by_uid);
      return false;
    }
    second_pass(account, deadline);
  }
  return true;
}

void SearchRun::second_pass(store::Account& account, Clock::time_point deadline) {
  size_t done = 0;  // ranges
  for (store::UidRange& range : open_) {
    store::Uid resume = 0;
    account.scan(view_.mailbox(), range, wants_, [&](const store::MessageRow& row) {
      Message message(row, view_.number_of(row.uid), &account);
      if (evaluate(key_, message) == Truth::yes) take(message);
      if (row.uid == range.last || Clock::now() < deadline) return true;
      resume = row.uid + 1;
      return false;
    });
    if (resume != 0) {
      range.first = resume;
      break;
    }
    ++done;
    if (Clock::now() >= deadline) break;
  }
  open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace postrider::imap
