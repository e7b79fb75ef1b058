#include "imapd/fetch.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/base/number.h"
#include "common/mail/date.h"
#include "imapd/preview.h"
#include "imapd/proto/writer.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

using Kind = FetchItem::Kind;
using Text = Section::Text;

constexpr uint64_t kInline = 64 << 10;       // octets of a section that are read while the row is at hand
constexpr uint64_t kInlineBehind = 4 << 10;  // the same when larger ones wait to be sent already

constexpr bool is_header_selection(const Section& section) {
  return section.text == Text::header_fields || section.text == Text::header_fields_not;
}

/// The sections that RFC822, RFC822.HEADER and RFC822.TEXT are other names of.
FetchItem as_section(Kind kind) {
  FetchItem item;
  item.kind = Kind::section;
  item.peek = kind == Kind::rfc822_header;
  item.section.text = kind == Kind::rfc822 ? Text::whole : kind == Kind::rfc822_header ? Text::header : Text::text;
  return item;
}

std::string_view old_name(Kind kind) {
  return kind == Kind::rfc822 ? "RFC822" : kind == Kind::rfc822_header ? "RFC822.HEADER" : "RFC822.TEXT";
}

}  // namespace

void append_fetch_head(std::string& out, uint32_t number, store::Uid uid, bool uid_only) {
  append_format(out, "* {} {} (", uid_only ? uid : number, uid_only ? "UIDFETCH" : "FETCH");
}

namespace {

std::string object_id(char kind, store::MessageId message, store::AccountId owner) {
  return owner == 0 ? fmt::format("{}{}", kind, message) : fmt::format("{}{}-{}", kind, owner, message);
}

std::optional<store::MessageId> parse_object_id(char kind, std::string_view text, store::AccountId owner) {
  std::string head = owner == 0 ? std::string(1, kind) : fmt::format("{}{}-", kind, owner);
  if (!text.starts_with(head)) return std::nullopt;
  return parse_number<store::MessageId>(text.substr(head.size()));
}

}  // namespace

std::string email_id(store::MessageId message, store::AccountId owner) {
  return object_id('M', message, owner);
}

std::optional<store::MessageId> parse_email_id(std::string_view text, store::AccountId owner) {
  return parse_object_id('M', text, owner);
}

std::string thread_id(store::MessageId thread, store::AccountId owner) {
  return object_id('T', thread, owner);
}

std::optional<store::MessageId> parse_thread_id(std::string_view text, store::AccountId owner) {
  return parse_object_id('T', text, owner);
}

FetchRun::FetchRun(std::vector<FetchItem> items, FetchOptions options, const View& view, const NumberRanges& numbers,
                   AnnounceKeywords announce)
    : view_(view), options_(options), announce_(std::move(announce)), spans_(view.spans(numbers)) {
  for (FetchItem& item : items) add_item(std::move(item));
  for (const NumberRange& range : numbers) expected_ += range.last - range.first + 1;
  if (options_.descending) left_ = numbers;
}

void FetchRun::add_item(FetchItem fetch) {
  Item item{fetch.kind, {}, {}, {}};
  switch (fetch.kind) {
    case Kind::flags:
      has_flags_ = true;
      break;
    case Kind::uid:
      has_uid_ = true;
      break;
    case Kind::modseq:
      has_modseq_ = true;
      break;
    case Kind::size:
    case Kind::save_date:
    case Kind::email_id:
    case Kind::thread_id:
      break;
    case Kind::preview:
      wants_ |= store::kWantIndex;
      break;
    case Kind::binary:
    case Kind::binary_size:
      sets_seen_ |= !fetch.peek;
      wants_ |= store::kWantIndex;
      append_section_name(item.name, fetch);
      item.fetch = std::move(fetch);
      break;
    case Kind::internal_date:
      wants_ |= store::kWantDate;
      break;
    case Kind::envelope:
      wants_ |= store::kWantEnvelope;
      break;
    case Kind::body:
    case Kind::body_structure:
      wants_ |= store::kWantStructure;
      break;
    case Kind::rfc822:
    case Kind::rfc822_header:
    case Kind::rfc822_text:
      item.name = old_name(fetch.kind);
      fetch = as_section(fetch.kind);
      item.kind = Kind::section;
      break;
    case Kind::section:
      append_section_name(item.name, fetch);
      break;
  }
  if (item.kind == Kind::section) {
    want_section(fetch.section);
    sets_seen_ |= !fetch.peek;
    if (is_header_selection(fetch.section)) {
      bool only = fetch.section.text == Text::header_fields;
      item.selector.emplace(fetch.section.fields, only ? HeaderSelector::Mode::only : HeaderSelector::Mode::all_but);
    }
    item.fetch = std::move(fetch);
  }
  items_.push_back(std::move(item));
}

void FetchRun::want_section(const Section& section) {
  bool root = section.part.empty();
  if (root && section.text == Text::whole) return;  // its size is in the narrow table
  if (root && section.text != Text::text) {
    wants_ |= store::kWantHead;
  } else {
    wants_ |= store::kWantIndex;
  }
}

/// What is to be scanned now; nothing: that is all.
std::optional<store::UidRange> FetchRun::next_span() const {
  if (options_.descending) {
    if (left_.empty()) return std::nullopt;
    const store::Uid uid = view_.uid_of(left_.back().last);
    return store::UidRange{uid, uid};
  }
  if (span_ == spans_.size()) return std::nullopt;
  return spans_[span_];
}

void FetchRun::span_done() {
  if (!options_.descending) {
    ++span_;
  } else if (left_.back().last-- == left_.back().first) {
    left_.pop_back();
  }
}

bool FetchRun::fill(store::Account& account, std::string& out) {
  out_ = &out;
  while (drain(account)) {
    if (out.size() >= kWorkSlice) return true;
    std::optional<store::UidRange> span = next_span();
    if (!span) return false;
    store::UidRange range = *span;
    if (resume_at_ != 0) range.first = resume_at_;
    bool stopped = false;
    account.scan(view_.mailbox(), range, wants_, [&](const store::MessageRow& row) {
      bool go_on = visit(account, row);
      stopped = !go_on && row.uid != range.last;
      if (stopped) resume_at_ = row.uid + 1;
      return go_on;
    });
    if (stopped) continue;
    span_done();
    resume_at_ = 0;
  }
  return true;
}

/// False: put down the scan, because there is enough to send, or something too large to be read meanwhile.
bool FetchRun::visit(store::Account& account, const store::MessageRow& row) {
  uint32_t number = view_.number_of(row.uid);
  if (number == 0) return true;
  ++visited_;
  if (options_.changed_since && row.modseq <= *options_.changed_since) return true;
  compose(account, row, number);
  return pending_.empty() && out_->size() < kWorkSlice;
}

void FetchRun::compose(store::Account& account, const store::MessageRow& row, uint32_t number) {
  index_.reset();
  const bool tell_flags = !has_flags_ && contains(tell_flags_, row.uid);
  if ((has_flags_ || tell_flags) && !view_.knows_keywords_of(row.flags)) announce_(account);
  append_fetch_head(*out_, number, row.uid, options_.uid_only);
  bool first = true;
  auto separate = [&] {
    if (!first) text().push_back(' ');
    first = false;
  };
  if (options_.uid && !has_uid_ && !options_.uid_only) {
    separate();
    append_format(text(), "UID {}", row.uid);
  }
  for (const Item& item : items_) {
    separate();
    append_item(account, item, row);
  }
  if (tell_flags) {
    separate();
    append_flags_item(row);
  }
  if (options_.modseq && !has_modseq_) {
    separate();
    append_format(text(), "MODSEQ ({})", row.modseq);
  }
  text() += ")\r\n";
}

void FetchRun::append_item(store::Account& account, const Item& item, const store::MessageRow& row) {
  std::string& out = text();
  switch (item.kind) {
    case Kind::flags:
      append_flags_item(row);
      break;
    case Kind::uid:
      append_format(out, "UID {}", row.uid);
      break;
    case Kind::modseq:
      append_format(out, "MODSEQ ({})", row.modseq);
      break;
    case Kind::size:
      append_format(out, "RFC822.SIZE {}", row.size);
      break;
    case Kind::save_date:
      append_format(out, "SAVEDATE \"{}\"", format_imap_date_time(row.saved));
      break;
    case Kind::email_id:
      append_format(out, "EMAILID ({})", email_id(row.message, view_.owner()));
      break;
    case Kind::thread_id:
      append_format(out, "THREADID ({})", thread_id(account.thread_of(row.message), view_.owner()));
      break;
    case Kind::preview:
      out += "PREVIEW ";
      append_string(out, preview(account, row));
      break;
    case Kind::binary:
    case Kind::binary_size:
      append_binary(account, item, row);
      break;
    case Kind::internal_date:
      append_format(out, "INTERNALDATE \"{}\"", format_imap_date_time(row.internal_date));
      break;
    case Kind::envelope:
      out += "ENVELOPE ";
      out += row.envelope;
      break;
    case Kind::body:
      out += "BODY ";
      out += body_from_bodystructure(row.bodystructure);
      break;
    case Kind::body_structure:
      out += "BODYSTRUCTURE ";
      out += row.bodystructure;
      break;
    default:
      append_section(account, item, row);
      break;
  }
}

void FetchRun::append_flags_item(const store::MessageRow& row) {
  std::string& out = text();
  out += "FLAGS ";
  append_flags(out, row.flags.bits(), view_.keywords(), store::Flags::kFirstKeywordBit, view_.is_recent(row.uid));
}

void FetchRun::append_section(store::Account& account, const Item& item, const store::MessageRow& row) {
  const Section& section = item.fetch.section;
  text() += item.name;
  text() += ' ';
  bool root = section.part.empty();
  if (root && section.text == Text::whole) {
    return append_octets(account, row.message, cut({0, row.size}, item.fetch.partial));
  }
  if (root && section.text != Text::text && row.head.size() == row.head_size) {
    scratch_.assign(row.prefix);
    scratch_ += row.head;
    return append_header_text(scratch_, item);
  }
  std::optional<Octets> octets;
  if (root && section.text != Text::text) {
    octets = Octets{0, row.prefix_size + row.head_size};
  } else {
    octets = find_octets(section, index_of(row), row.prefix_size, row.size);
  }
  if (!octets) {
    text() += "NIL";
  } else if (item.selector) {
    scratch_.clear();
    account.read(row.message, octets->offset, std::min<uint64_t>(octets->length, kMaxHeaderBlock), scratch_);
    append_header_text(scratch_, item);
  } else {
    append_octets(account, row.message, cut(*octets, item.fetch.partial));
  }
}

const MimeIndex& FetchRun::index_of(const store::MessageRow& row) {
  if (!index_) index_ = MimeIndex::deserialize(row.index).value_or(MimeIndex{});
  return *index_;
}

std::string FetchRun::preview(store::Account& account, const store::MessageRow& row) {
  auto read = [&](uint64_t offset, uint64_t length, std::string& out) {
    account.read(row.message, row.prefix_size + offset, length, out);
  };
  return make_preview(index_of(row), read);
}

/// Multiparts, messages within messages and the whole have no transfer encoding of their own.
void FetchRun::append_binary(store::Account& account, const Item& item, const store::MessageRow& row) {
  const Section& section = item.fetch.section;
  const MimePart* part = section.part.empty() ? nullptr : index_of(row).find(section.part);
  auto octets = find_octets(section, index_of(row), row.prefix_size, row.size);
  std::string_view encoding = part != nullptr && part->kind == PartKind::leaf ? part->encoding : std::string_view();
  Encoding kind = encoding_kind(encoding);
  text() += item.name;
  text() += ' ';
  unknown_encoding_ |= octets && kind == Encoding::unknown;
  bool size_only = item.kind == Kind::binary_size;
  if (!octets || kind == Encoding::unknown) {
    text() += size_only ? "0" : "NIL";
  } else if (kind == Encoding::encoded) {
    append_decoded(account, item, DecodedPart(row.message, *octets, encoding), octets->length);
  } else if (size_only) {
    append_format(text(), "{}", octets->length);
  } else {
    text() += '~';  // a literal8 may hold anything
    append_octets(account, row.message, cut(*octets, item.fetch.partial));
  }
}

void FetchRun::append_decoded(store::Account& account, const Item& item, DecodedPart part, uint64_t encoded_size) {
  if (item.kind == Kind::binary_size) {
    append_format(text(), "{}", part.measure(account));
    return;
  }
  text() += '~';
  if (encoded_size <= kInline) {
    scratch_.clear();
    while (part.next(account, scratch_)) {
    }
    Octets octets = cut({0, scratch_.size()}, item.fetch.partial);
    append_literal_head(text(), octets.length);
    text() += std::string_view(scratch_).substr(octets.offset, octets.length);
    return;
  }
  Octets octets = cut({0, part.measure(account)}, item.fetch.partial);
  append_literal_head(text(), octets.length);
  pending_.push_back(Pending{0, octets, {}, std::move(part)});
}

/// The header, or the fields that were asked for.
void FetchRun::append_header_text(std::string_view header, const Item& item) {
  if (item.selector) {
    selected_.clear();
    item.selector->append(header, selected_);
    header = selected_;
  }
  Octets octets = cut({0, header.size()}, item.fetch.partial);
  append_literal_head(text(), octets.length);
  text() += header.substr(octets.offset, octets.length);
}

void FetchRun::append_octets(store::Account& account, store::MessageId message, Octets octets) {
  append_literal_head(text(), octets.length);
  bool room = pending_.empty() && out_->size() < kWorkSlice;
  if (octets.length > (room ? kInline : kInlineBehind)) {
    pending_.push_back(Pending{message, octets, {}});
    return;
  }
  std::string& out = text();
  size_t end = out.size() + octets.length;
  account.read(message, octets.offset, octets.length, out);
  out.resize(end, ' ');
}

/// False: there is more to send than a slice holds.
bool FetchRun::drain(store::Account& account) {
  while (!pending_.empty()) {
    Pending& next = pending_.front();
    while (next.octets.length > 0) {
      if (out_->size() >= kWorkSlice) return false;
      if (next.decoded) {
        drain_decoded(account, next);
        continue;
      }
      uint64_t length = std::min<uint64_t>(next.octets.length, kInline);
      size_t end = out_->size() + length;
      account.read(next.message, next.octets.offset, length, *out_);
      if (out_->size() < end) {
        log_error("body_short", {{"account", account.id()}, {"message", next.message}, {"offset", next.octets.offset}});
        out_->resize(end, ' ');  // as many octets as were announced
      }
      next.octets.offset += length;
      next.octets.length -= length;
    }
    *out_ += next.text;
    pending_.pop_front();
  }
  return true;
}

/// One piece of a part's content.
void FetchRun::drain_decoded(store::Account& account, Pending& next) {
  scratch_.clear();
  if (!next.decoded->next(account, scratch_)) scratch_.assign(next.octets.length, ' ');  // as many as were announced
  uint64_t skipped = std::min<uint64_t>(next.octets.offset, scratch_.size());
  next.octets.offset -= skipped;
  uint64_t taken = std::min<uint64_t>(next.octets.length, scratch_.size() - skipped);
  *out_ += std::string_view(scratch_).substr(skipped, taken);
  next.octets.length -= taken;
}

}  // namespace postrider::imap
