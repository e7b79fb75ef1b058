#include "imapd/sort.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "imapd/base_subject.h"
#include "imapd/proto/cursor.h"

namespace postrider::imap {
namespace {

using Kind = SortKey::Kind;
using Addresses = std::vector<EnvelopeFields::Address>;

constexpr size_t kMaxSortText = 256;  // octets of a text that take part in the comparison
constexpr size_t kMaxAddresses = 2;   // of a field: SORT looks at the first

bool text_or_nil(Cursor& cursor, std::string& out) {
  std::optional<std::string> text;
  if (!cursor.nstring(text)) return false;
  out = std::move(text).value_or("");
  return true;
}

bool addresses(Cursor& cursor, Addresses& out) {
  if (cursor.skip_word("NIL")) return true;
  if (!cursor.expect('(')) return false;
  while (!cursor.skip(')')) {
    EnvelopeFields::Address address;
    std::string route;
    if (!cursor.expect('(') || !text_or_nil(cursor, address.name) || !cursor.space() || !text_or_nil(cursor, route) ||
        !cursor.space() || !text_or_nil(cursor, address.mailbox) || !cursor.space() ||
        !text_or_nil(cursor, address.host) || !cursor.expect(')'))
      return false;
    if (out.size() < kMaxAddresses) out.push_back(std::move(address));
  }
  return true;
}

std::string sort_text(std::string_view utf8) {
  std::string folded = fold_for_search(utf8);
  if (folded.size() > kMaxSortText) folded.resize(kMaxSortText);
  // i;unicode-casemap compares title case: "_" stands behind all letters (RFC 5051 2).
  return upper(folded);
}

std::string mailbox_of(const Addresses& list) {
  return list.empty() ? std::string() : sort_text(list.front().mailbox);
}

/// RFC 5957 3: the name as people see it, else the address.
std::string display_of(const Addresses& list) {
  if (list.empty()) return {};
  const auto& first = list.front();
  if (!first.name.empty()) return sort_text(decode_encoded_words(first.name));
  if (first.host.empty()) return sort_text(first.mailbox);
  return sort_text(first.mailbox + "@" + first.host);
}

}  // namespace

EnvelopeFields parse_envelope(std::string_view envelope) {
  EnvelopeFields fields;
  Addresses ignored;
  Cursor cursor(envelope);
  // envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP in-reply-to SP message-id ")"
  static_cast<void>(cursor.expect('(') && text_or_nil(cursor, fields.date) && cursor.space() &&
                    text_or_nil(cursor, fields.subject) && cursor.space() && addresses(cursor, fields.from) &&
                    cursor.space() && addresses(cursor, ignored) && cursor.space() && addresses(cursor, ignored) &&
                    cursor.space() && addresses(cursor, fields.to) && cursor.space() && addresses(cursor, fields.cc));
  return fields;
}

UnixTime sent_date(std::string_view date_field, UnixTime internal_date) {
  auto date = parse_date_time(date_field);
  return date ? date->time : internal_date;
}

SortRun::SortRun(std::vector<SortKey> keys, store::MailboxId mailbox, const std::vector<SearchRun::Found>& found)
    : keys_(std::move(keys)), mailbox_(mailbox), scan_(mailbox, found, wants_of(keys_)) {
  if (!found.empty() && found.front().relevancy != 0) ranked_ = found;
  rows_.reserve(found.size());
}

unsigned SortRun::wants_of(const std::vector<SortKey>& keys) {
  unsigned wants = store::kWantEntry;
  for (const SortKey& key : keys) {
    if (key.kind == Kind::size || key.kind == Kind::relevancy) continue;
    wants |= store::kWantDate;
    if (key.kind != Kind::arrival) wants |= store::kWantEnvelope;
  }
  return wants;
}

uint8_t SortRun::relevancy_of(store::Uid uid) const {
  auto place = std::lower_bound(ranked_.begin(), ranked_.end(), uid,
                                [](const SearchRun::Found& found, store::Uid value) { return found.uid < value; });
  return place != ranked_.end() && place->uid == uid ? place->relevancy : 0;
}

void SortRun::take(const store::MessageRow& row) {
  EnvelopeFields fields = parse_envelope(row.envelope);
  Row taken{{row.uid, row.modseq, relevancy_of(row.uid)}, {}};
  for (const SortKey& key : keys_) {
    Value& value = taken.values.emplace_back();
    switch (key.kind) {
      case Kind::arrival:
        value.number = row.internal_date;
        break;
      case Kind::date:
        value.number = sent_date(fields.date, row.internal_date);
        break;
      case Kind::relevancy:
        value.number = -static_cast<int64_t>(taken.found.relevancy);  // the best first (RFC 6203 6)
        break;
      case Kind::size:
        value.number = static_cast<int64_t>(row.size);
        break;
      case Kind::subject:
        value.text = sort_text(base_subject(fields.subject).text);
        break;
      case Kind::cc:
        value.text = mailbox_of(fields.cc);
        break;
      case Kind::from:
        value.text = mailbox_of(fields.from);
        break;
      case Kind::to:
        value.text = mailbox_of(fields.to);
        break;
      case Kind::display_from:
        value.text = display_of(fields.from);
        break;
      case Kind::display_to:
        value.text = display_of(fields.to);
        break;
    }
  }
  rows_.push_back(std::move(taken));
}

/// What is the same in all keys is in the order of the mailbox (RFC 5256 3).
bool SortRun::before(const Row& a, const Row& b) const {
  for (size_t i = 0; i < keys_.size(); ++i) {
    const Value& left = keys_[i].reverse ? b.values[i] : a.values[i];
    const Value& right = keys_[i].reverse ? a.values[i] : b.values[i];
    if (left.number != right.number) return left.number < right.number;
    if (int order = left.text.compare(right.text); order != 0) return order < 0;
  }
  return a.found.uid < b.found.uid;
}

bool SortRun::step(store::Account& account) {
  if (scan_.step(account, [this](const store::MessageRow& row) { take(row); })) return true;
  std::sort(rows_.begin(), rows_.end(), [this](const Row& a, const Row& b) { return before(a, b); });
  for (const Row& row : rows_) sorted_.push_back(row.found);
  return false;
}

std::optional<size_t> SortRun::insert(store::Account& account, store::Uid uid) {
  bool there = false;
  account.scan(mailbox_, {uid, uid}, wants_of(keys_), [&](const store::MessageRow& row) {
    take(row);
    there = true;
    return false;
  });
  if (!there) return std::nullopt;
  Row row = std::move(rows_.back());
  rows_.pop_back();
  auto place =
      std::upper_bound(rows_.begin(), rows_.end(), row, [this](const Row& a, const Row& b) { return before(a, b); });
  auto index = static_cast<size_t>(place - rows_.begin());
  rows_.insert(place, std::move(row));
  return index;
}

std::optional<size_t> SortRun::remove(store::Uid uid) {
  auto place = std::find_if(rows_.begin(), rows_.end(), [uid](const Row& row) { return row.found.uid == uid; });
  if (place == rows_.end()) return std::nullopt;
  auto index = static_cast<size_t>(place - rows_.begin());
  rows_.erase(place);
  return index;
}

}  // namespace postrider::imap
