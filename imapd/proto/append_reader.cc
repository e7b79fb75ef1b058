#include "imapd/proto/append_reader.h"

#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

using Kind = AppendStep::Kind;

AppendStep step(Kind kind) {
  AppendStep made;
  made.kind = kind;
  return made;
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

}  // namespace postrider::imap
