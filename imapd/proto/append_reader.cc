#include "imapd/proto/append_reader.h"

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

using Kind = AppendStep::Kind;

AppendStep step(Kind kind) {
  AppendStep made;
  made.kind = kind;
  return made;
}

/// Nothing where "%" stands before no two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return std::nullopt;
    out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
    i += 2;
  }
  return out;
}

/// Takes "name" from the front of text, in any case.
bool take(std::string_view& text, std::string_view name) {
  if (!istarts_with(text, name)) return false;
  text.remove_prefix(name.size());
  return true;
}

std::string_view up_to(std::string_view& text, char end) {
  std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(taken.size());
  return taken;
}

bool take_number(std::string_view& text, uint32_t& out) {
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  auto value = parse_number<uint32_t>(text.substr(0, digits));
  text.remove_prefix(digits);
  out = value.value_or(0);
  return value.has_value();
}

bool take_partial(std::string_view text, Partial& out) {
  return take_number(text, out.offset) && take(text, ".") && take_number(text, out.length) && text.empty() &&
         out.length > 0;
}

bool take_section(std::string_view text, Section& out) {
  auto decoded = percent_decoded(text);
  if (!decoded || decoded->empty()) return false;
  std::string bracketed = "[" + *decoded + "]";
  Cursor cursor(bracketed);
  return parse_section(cursor, out) && cursor.at_end() && out.fields.empty();
}

}  // namespace

bool AppendReader::read(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps) {
  literal_ = false;
  for (;;) {
    bool read = true;
    switch (at_) {
      case At::message:
        if (cursor.at_end() && !literal_follows && messages_ > 0) return true;
        read = begin_message(cursor, literal_follows, steps);
        break;
      case At::after_message:
        steps.push_back(step(Kind::end));
        at_ = At::message;
        break;
      case At::part:
        read = part(cursor, literal_follows, steps);
        break;
      case At::after_part:
        if (cursor.skip(' ')) {
          at_ = At::part;
          break;
        }
        [[fallthrough]];
      case At::after_utf8:
        read = end_of(cursor, steps);
        break;
    }
    if (!read || literal_) return read;
  }
}

bool AppendReader::end_of(Cursor& cursor, std::vector<AppendStep>& steps) {
  steps.push_back(step(Kind::end));
  at_ = At::message;
  return cursor.expect(')');
}

// append-message = [SP flag-list] [SP date-time] SP append-data
bool AppendReader::begin_message(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps) {
  if (++messages_ > kMaxAppendedMessages) return cursor.fail("One APPEND brings at most 1000 messages.");
  AppendStep& begin = steps.emplace_back();
  if (!cursor.space()) return false;
  if (cursor.peek() == '(' && (!cursor.flag_list(begin.flags) || !cursor.space())) return false;
  if (cursor.peek() == '"' && (!cursor.date_time(begin.date.emplace()) || !cursor.space())) return false;
  if (cursor.skip_word("CATENATE")) {
    at_ = At::part;
    return cursor.space() && cursor.expect('(');
  }
  bool utf8 = cursor.skip_word("UTF8");  // RFC 6855 4
  if (utf8 && (!cursor.space() || !cursor.expect('('))) return false;
  if (!cursor.at_end() || !literal_follows) return cursor.fail("The message is missing: a literal.");
  steps.push_back(step(Kind::literal));
  at_ = utf8 ? At::after_utf8 : At::after_message;
  return literal_ = true;
}

// cat-part = "TEXT" SP literal / "URL" SP astring
bool AppendReader::part(Cursor& cursor, bool literal_follows, std::vector<AppendStep>& steps) {
  if (++parts_ > kMaxCatenatedParts) return cursor.fail("One APPEND is put together from at most 10000 parts.");
  at_ = At::after_part;
  bool text = cursor.skip_word("TEXT");
  if (!text && !cursor.skip_word("URL")) return cursor.fail("CATENATE takes TEXT and URL.");
  if (!cursor.space()) return false;
  if (cursor.at_end() && literal_follows) {
    steps.push_back(step(text ? Kind::literal : Kind::url_literal));
    return literal_ = true;
  }
  if (text) return cursor.fail("TEXT takes a literal.");
  AppendStep url = step(Kind::url);
  if (!cursor.astring(url.url)) return false;
  steps.push_back(std::move(url));
  return true;
}

std::optional<MessageUrl> parse_message_url(std::string_view url) {
  MessageUrl out;
  if (take(url, "/")) {
    size_t end = std::min(url.find("/;"), url.find(';'));
    if (end == std::string_view::npos) return std::nullopt;
    auto name = percent_decoded(url.substr(0, end));
    if (!name || name->empty() || !is_utf8_name(*name)) return std::nullopt;
    out.mailbox = canonical_mailbox(std::move(*name));
    url.remove_prefix(end);
    if (take(url, ";UIDVALIDITY=") && !take_number(url, out.uid_validity.emplace())) return std::nullopt;
    if (!take(url, "/")) return std::nullopt;
  }
  if (!take(url, ";UID=") || !take_number(url, out.uid) || out.uid == 0) return std::nullopt;
  if (take(url, "/;SECTION=") && !take_section(up_to(url, '/'), out.section)) return std::nullopt;
  if (take(url, "/;PARTIAL=")) return take_partial(url, out.partial.emplace()) ? std::optional(out) : std::nullopt;
  return url.empty() ? std::optional(out) : std::nullopt;
}

}  // namespace postrider::imap
