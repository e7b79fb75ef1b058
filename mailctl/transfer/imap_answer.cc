#include "mailctl/transfer/imap_answer.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/imap_string.h"
#include "imapd/proto/cursor.h"
#include "imapd/proto/mailbox_name.h"

namespace postrider::mailctl {
namespace {

using imap::Cursor;
using store::Flags;

constexpr size_t kMaxFlags = 200;  // of a message
constexpr size_t kMaxNesting = 20;

/// All up to a blank or a parenthesis.
std::string token(Cursor& cursor) {
  std::string out;
  for (char c = cursor.peek(); !cursor.at_end() && c != ' ' && c != '(' && c != ')'; c = cursor.peek()) {
    out += c;
    cursor.skip(c);
  }
  return out;
}

/// "(" words ")".
bool words(Cursor& cursor, std::vector<std::string>& out) {
  if (!cursor.expect('(')) return false;
  while (!cursor.skip(')')) {
    std::string word = token(cursor);
    if (word.empty() || out.size() >= kMaxFlags) return false;
    out.push_back(std::move(word));
    cursor.skip(' ');
  }
  return true;
}

/// Any value: a string, an atom or a list of values.
bool pass_value(Cursor& cursor) {
  size_t depth = 0;
  std::string ignored;
  do {
    if (cursor.skip('(')) {
      if (++depth > kMaxNesting) return false;
    } else if (cursor.skip(')')) {
      if (depth == 0) return false;
      --depth;
    } else if (cursor.peek() == '"' || cursor.peek() == '{') {
      if (!cursor.string(ignored)) return false;
    } else if (token(cursor).empty() && !cursor.skip(' ')) {
      return false;
    }
    if (depth > 0) cursor.skip(' ');
  } while (depth > 0);
  return true;
}

void take_flags(const std::vector<std::string>& names, FetchedMessage& message) {
  constexpr std::pair<std::string_view, uint64_t> kFlags[] = {{"\\Seen", Flags::kSeen},
                                                              {"\\Answered", Flags::kAnswered},
                                                              {"\\Flagged", Flags::kFlagged},
                                                              {"\\Deleted", Flags::kDeleted},
                                                              {"\\Draft", Flags::kDraft}};
  for (const std::string& name : names) {
    for (const auto& [text, flag] : kFlags) {
      if (iequals(name, text)) message.flags |= flag;
    }
    if (!name.starts_with('\\')) message.keywords.push_back(name);
  }
}

/// "NIL" or "((prefix delimiter ...)...)".
bool prefixes(Cursor& cursor, std::vector<std::string>& out) {
  if (cursor.skip_word("NIL")) return true;
  return cursor.list([&] {
    std::string prefix;
    std::optional<std::string> delimiter;
    if (!cursor.expect('(') || !cursor.string(prefix) || !cursor.space() || !cursor.nstring(delimiter)) return false;
    while (cursor.skip(' ')) {
      if (!pass_value(cursor)) return false;
    }
    out.push_back(prefix);
    cursor.skip(' ');
    return out.size() < kMaxFlags && cursor.expect(')');
  });
}

}  // namespace

std::optional<RemoteMailbox> parse_list(std::string_view answer) {
  Cursor cursor(answer);
  RemoteMailbox mailbox;
  std::vector<std::string> attributes;
  std::optional<std::string> delimiter;
  if (!cursor.skip('*') || !cursor.skip(' ') || !(cursor.skip_word("LIST") || cursor.skip_word("LSUB")) ||
      !cursor.space() || !words(cursor, attributes) || !cursor.space() || !cursor.nstring(delimiter) ||
      !cursor.space()) {
    return std::nullopt;
  }
  const bool in_string = cursor.peek() == '"' || cursor.peek() == '{';
  if (in_string ? !cursor.string(mailbox.wire) : (mailbox.wire = token(cursor)).empty()) return std::nullopt;
  mailbox.delimiter = delimiter.value_or("");
  if (mailbox.delimiter.size() > 1) return std::nullopt;
  for (const std::string& name : attributes) {
    if (iequals(name, "\\Noselect") || iequals(name, "\\NonExistent")) mailbox.selectable = false;
    if (iequals(name, "\\Subscribed")) mailbox.subscribed = true;
    for (const char* use : {"\\Sent", "\\Drafts", "\\Trash", "\\Junk", "\\Archive"}) {
      if (iequals(name, use)) mailbox.special_use = use;
    }
  }
  return mailbox;
}

std::optional<Namespaces> parse_namespaces(std::string_view answer) {
  Cursor cursor(answer);
  std::vector<std::string> personal;
  Namespaces found;
  if (!cursor.skip('*') || !cursor.skip(' ') || !cursor.skip_word("NAMESPACE") || !cursor.space() ||
      !prefixes(cursor, personal) || !cursor.space() || !prefixes(cursor, found.foreign) || !cursor.space() ||
      !prefixes(cursor, found.foreign)) {
    return std::nullopt;
  }
  if (!personal.empty()) found.personal = personal.front();
  return found;
}

std::optional<std::string> local_name(const RemoteMailbox& mailbox, std::string_view prefix) {
  std::string_view wire = mailbox.wire;
  if (!iequals(wire, "INBOX") && !prefix.empty() && wire.size() > prefix.size() && wire.starts_with(prefix))
    wire.remove_prefix(prefix.size());
  std::string out;
  while (true) {
    const size_t end = mailbox.delimiter.empty() ? std::string_view::npos : wire.find(mailbox.delimiter);
    const std::string_view text = wire.substr(0, end);
    std::string level = imap::decode_utf7(text).value_or(std::string(text));
    if (level.empty() || !imap::is_utf8_name(level)) return std::nullopt;
    std::replace(level.begin(), level.end(), '/', '_');
    if (!out.empty()) out += '/';
    out += level;
    if (end == std::string_view::npos) return canonical_mailbox(std::move(out));
    wire.remove_prefix(end + 1);
  }
}

std::optional<FetchedMessage> parse_fetched(std::string_view answer) {
  Cursor cursor(answer);
  FetchedMessage message;
  uint32_t number = 0;
  if (!cursor.skip('*') || !cursor.skip(' ') || !cursor.number(number) || !cursor.space() ||
      !cursor.skip_word("FETCH") || !cursor.space() || !cursor.expect('(')) {
    return std::nullopt;
  }
  while (!cursor.skip(')')) {
    const std::string item = upper(token(cursor));
    bool taken = !item.empty() && cursor.space();
    if (!taken) return std::nullopt;
    if (item == "UID") {
      taken = cursor.nz_number(message.uid);
    } else if (item == "FLAGS") {
      std::vector<std::string> names;
      taken = words(cursor, names);
      take_flags(names, message);
    } else if (item == "INTERNALDATE") {
      UnixTime date = 0;
      taken = cursor.date_time(date);
      if (taken) message.date = date;
    } else {
      taken = pass_value(cursor);
    }
    if (!taken) return std::nullopt;
    cursor.skip(' ');
  }
  return message;
}

std::optional<uint32_t> parse_count(std::string_view answer, std::string_view word) {
  Cursor cursor(answer);
  uint32_t number = 0;
  if (!cursor.skip('*') || !cursor.skip(' ') || !cursor.number(number) || !cursor.space() || !cursor.skip_word(word))
    return std::nullopt;
  return number;
}

std::optional<uint32_t> parse_code(std::string_view answer, std::string_view code) {
  Cursor cursor(answer);
  uint32_t number = 0;
  if (!cursor.skip('*') || !cursor.skip(' ') || !cursor.skip_word("OK") || !cursor.skip(' ') || !cursor.skip('[') ||
      !cursor.skip_word(code) || !cursor.space() || !cursor.number(number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<std::string> parse_capabilities(std::string_view answer) {
  constexpr std::string_view kWord = "* CAPABILITY ";
  if (!istarts_with(answer, kWord)) return std::nullopt;
  return ' ' + upper(answer.substr(kWord.size())) + ' ';
}

std::optional<uint64_t> literal_size(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  const size_t open = line.rfind('{');
  if (open == std::string_view::npos) return std::nullopt;
  return parse_number(line.substr(open + 1, line.size() - open - 2));
}

}  // namespace postrider::mailctl
