// Header blocks and what stands in their fields: stepped through without losing an octet, folded, decoded, dated; and
// what IMAP is told of them is IMAP.
#include <algorithm>
#include <string>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/mail/address_list.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "common/mail/envelope.h"
#include "common/mail/header.h"
#include "common/mail/part_header.h"
#include "common/mail/structured.h"
#include "tests/fuzz/imap_grammar.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;
using fuzz::must_be_items;

namespace {

void check_value(std::string_view value) {
  const std::string line = unfold(value);
  must(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "unfolded is one line");
  must(line.empty() || (!is_wsp(line.front()) && !is_wsp(line.back())), "unfolded is trimmed");
  must(unfold(line) == line, "unfolding once is enough");
  const std::string decoded = decode_encoded_words(line);
  must(decoded.size() <= 4 * line.size() + 16, "decoded words stay small");
  must(!is_valid_utf8(line) || is_valid_utf8(decoded), "decoded words are UTF-8");
  const std::string folded = fold_for_search(decoded);
  must(is_valid_utf8(folded) && folded.size() <= 18 * decoded.size() + 16, "text for search is UTF-8 and stays small");
  for (const ListedAddress& listed : parse_address_list(line)) {
    must(listed.mailbox.size() + listed.host.size() + listed.name.size() <= line.size(), "an address is in its list");
  }
  StructuredCursor cursor(value);
  for (size_t steps = 0; !cursor.at_end(); ++steps) {
    must(steps <= value.size(), "a cursor goes on");
    cursor.skip_cfws();
    if (cursor.at('"')) {
      cursor.quoted_string();
    } else if (!cursor.at_end()) {
      cursor.advance();
    }
  }
}

void check_dates(std::string_view text) {
  if (const auto date = parse_date_time(text)) {
    const auto again = parse_date_time(format_date_time(date->time));
    must(again && again->time == date->time, "a date that is written is read");
  }
  if (const auto date = parse_imap_date_time(text)) {
    const auto again = parse_imap_date_time(format_imap_date_time(date->time, date->zone_minutes));
    must(!again || again->time == date->time, "an IMAP date that is written is read");
  }
  parse_imap_date(text);
  parse_internet_date_time(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view block(reinterpret_cast<const char*>(data), size);
  must(header_block_size(block) <= size, "the header is in the message");
  HeaderReader reader(block);
  size_t octets = 0, names = 0;
  std::vector<std::string> wanted;
  while (const auto field = reader.next()) {
    must(!field->raw.empty() && field->raw.data() == block.data() + octets, "fields follow each other");
    octets += field->raw.size();
    if (!field->name.empty()) ++names;
    if (names % 2 == 1 && wanted.size() < 20) wanted.emplace_back(field->name);
    if (names <= 200) check_value(field->value);
  }
  must(octets <= size, "fields are in their block");
  std::string only, others;
  HeaderSelector(wanted, HeaderSelector::Mode::only).append(block, only);
  HeaderSelector(wanted, HeaderSelector::Mode::all_but).append(block, others);
  must(only.size() + others.size() <= octets + 8, "a field is selected or it is not");
  must(only.size() + others.size() >= octets, "no field is lost");
  check_dates(block);
  must_be_items(make_envelope(block));
  for (const bool in_digest : {false, true}) {
    const PartHeader part = read_part_header(block, in_digest);
    must_be_items(part.parameters + " " + part.identity + " " + part.md5 + " " + part.extension);
  }
  return 0;
}
