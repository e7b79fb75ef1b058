// IMAP's own forms, both ways: what we write, we read as the same, and the independent reader of imap_grammar.h too.
#include <algorithm>
#include <string>
#include <vector>

#include "common/mail/imap_string.h"
#include "common/mail/imap_url.h"
#include "imapd/proto/cursor.h"
#include "imapd/proto/list_pattern.h"
#include "imapd/proto/mailbox_filter.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/proto/parser.h"
#include "imapd/proto/sequence_set.h"
#include "imapd/proto/writer.h"
#include "tests/fuzz/imap_grammar.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using namespace postrider::imap;
using fuzz::must;
using fuzz::must_be_items;

namespace {

constexpr uint32_t kGreatest = 1'000;

void check_strings(const std::string& text) {
  std::string out, read;
  append_astring(out, text);
  if (text.find('\0') == std::string::npos) {
    Cursor cursor(out);
    must(cursor.astring(read) && cursor.at_end() && read == text, "an astring both ways");
    must(must_be_items(out).size() == 1, "an astring is one item");
  }
  out.clear();
  append_string8(out, text);
  Cursor cursor(out);
  std::optional<std::string> value;
  must(cursor.nstring8(value) && cursor.at_end() && value == text, "a string of any octets both ways");
  out.clear();
  append_imap_string(text, out);
  must(must_be_items(out).size() == 1, "a string is one item");
  out = "a OK ";
  append_text(out, text);
  out += "\r\n";
  std::string_view stream = out;
  must(fuzz::take_response(stream).has_value() && stream.empty(), "a text is one line");
}

void check_names(const std::string& text) {
  if (const auto name = decode_utf7(text)) {
    must(is_utf8_name(*name) && encode_utf7(*name) == text, "a name has one form");
  }
  const std::string encoded = encode_utf7(text);
  if (is_utf8_name(text)) must(decode_utf7(encoded) == text, "a name both ways");
  for (const bool utf8 : {false, true}) {
    if (!is_utf8_name(text)) continue;  // the store keeps no others
    std::string out;
    append_mailbox(out, text, utf8);
    const auto items = must_be_items(out);
    must(items.size() == 1, "a mailbox is one item");
  }
  must(canonical_mailbox(canonical_mailbox(text)) == canonical_mailbox(text), "one form is enough");
}

void check_patterns(fuzz::Input input) {
  const std::string_view reference = input.line().substr(0, 200), pattern = input.line().substr(0, 2'000);
  const std::string name(input.line().substr(0, 2'000));
  const ListPattern whole(reference, pattern);
  whole.matches(name);
  must(ListPattern("", "*").matches(name), "a star is everything");
  must(ListPattern("", "%").matches(name) == (name.find('/') == std::string::npos), "a percent sign is one level");
}

void check_sets(std::string_view text) {
  Cursor cursor(text);
  SequenceSet set;
  if (!cursor.sequence_set(set)) {
    must(!cursor.error().empty(), "an error is a sentence");
    return;
  }
  must(set.ranges.size() <= kMaxSequenceRanges, "a set has a limit");
  const NumberRanges ranges = set.resolve(kGreatest);
  uint32_t last = 0;
  for (const NumberRange& range : ranges) {
    must(range.first > last && range.first <= range.last, "ranges ascend and do not touch");
    last = range.last == UINT32_MAX ? UINT32_MAX : range.last + 1;
  }
  if (ranges.empty()) return;
  const std::string written = format_set(ranges);
  Cursor again(written);
  SequenceSet same;
  must(again.sequence_set(same) && again.at_end() && same.resolve(kGreatest) == ranges, "a set both ways");
}

void check_sections(std::string_view text) {
  Cursor cursor(text);
  Section section;
  if (parse_section(cursor, section)) {
    FetchItem item;
    item.section = section;
    std::string out;
    append_section_name(out, item);
    must(must_be_items(out).size() == 1, "a section's name is one item");
  }
  std::vector<FetchItem> items;
  Cursor fetch(text);
  if (parse_fetch_items(fetch, items)) must(items.size() <= kMaxFetchItems, "items have a limit");
  if (const auto url = parse_imap_url(text)) {
    must(url->uid != 0 && text.starts_with(url->rump), "a URL names a message");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const std::string text(input.rest().substr(0, 10'000));
  check_strings(text);
  check_names(text);
  check_patterns(input);
  check_sets(text);
  check_sections(text);
  return 0;
}
