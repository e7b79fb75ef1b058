#include "imapd/proto/cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/date.h"
#include "imapd/proto/mailbox_name.h"

namespace postrider::imap {
namespace {

constexpr bool one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

// atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
bool is_atom_char(char c) {
  return !is_ctl(c) && !is_8bit(c) && !one_of(c, "(){ %*\"\\]");
}
bool is_astring_char(char c) {
  return is_atom_char(c) || c == ']';
}
bool is_list_char(char c) {
  return is_astring_char(c) || c == '%' || c == '*';
}
bool is_tag_char(char c) {
  return is_astring_char(c) && c != '+';
}
/// Words of lists and sections end at "[" and "<" too.
bool is_word_char(char c) {
  return is_atom_char(c) && c != '[' && c != '<';
}

struct SystemFlag {
  std::string_view name;
  uint8_t bit;
};
constexpr SystemFlag kSystemFlags[] = {{"Seen", flag::kSeen},
                                       {"Answered", flag::kAnswered},
                                       {"Flagged", flag::kFlagged},
                                       {"Deleted", flag::kDeleted},
                                       {"Draft", flag::kDraft}};

}  // namespace

bool Cursor::fail(std::string_view what, Fault fault) {
  if (error_.empty()) {
    error_ = what;
    fault_ = fault;
  }
  return false;
}

bool Cursor::skip(char c) {
  if (at_end() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool Cursor::skip_word(std::string_view word) {
  std::string_view here = rest();
  if (!istarts_with(here, word)) return false;
  if (here.size() > word.size() && is_word_char(here[word.size()])) return false;
  at_ += word.size();
  return true;
}

bool Cursor::expect(char c) {
  if (skip(c)) return true;
  if (c == ' ') return fail(at_end() ? "An argument is missing." : "A space is missing.");
  return fail(fmt::format("\"{}\" is missing.", c));
}

bool Cursor::end() {
  return at_end() || fail("There is more than this command takes.");
}

bool Cursor::run(std::string_view& out, bool (*allowed)(char), std::string_view what) {
  size_t from = at_;
  while (at_ < text_.size() && allowed(text_[at_])) ++at_;
  out = text_.substr(from, at_ - from);
  return !out.empty() || fail(what);
}

bool Cursor::tag(std::string& out) {
  std::string_view text;
  if (!run(text, is_tag_char, "A command begins with a tag.")) return false;
  if (text.size() > kMaxTag) return fail("The tag is too long.");
  out = text;
  return true;
}

bool Cursor::atom(std::string_view& out) {
  return run(out, is_atom_char, "An atom is missing.");
}

bool Cursor::word(std::string& out) {
  std::string_view text;
  if (!run(text, is_word_char, "A word is missing.")) return false;
  out = upper(text);
  return true;
}

bool Cursor::number64(uint64_t& out) {
  std::string_view digits;
  if (!run(digits, is_digit, "A number is missing.")) return false;
  auto value = parse_number<uint64_t>(digits);
  if (!value || *value > INT64_MAX) return fail("The number is too large.");
  out = *value;
  return true;
}

bool Cursor::number(uint32_t& out) {
  uint64_t value = 0;
  if (!number64(value)) return false;
  if (value > UINT32_MAX) return fail("The number is too large.");
  out = static_cast<uint32_t>(value);
  return true;
}

bool Cursor::nz_number(uint32_t& out) {
  return number(out) && (out != 0 || fail("The number must not be 0."));
}

bool Cursor::quoted(std::string& out) {
  ++at_;
  out.clear();
  while (at_ < text_.size()) {
    char c = text_[at_++];
    if (c == '"') return true;
    if (c == '\\') {
      c = peek();
      if (c != '"' && c != '\\') return fail("A backslash in a quoted string stands before \" or \\ only.");
      ++at_;
    }
    if (c == '\0' || c == '\r' || c == '\n') return fail("A quoted string holds no line end and no NUL.");
    out.push_back(c);
  }
  return fail("A quoted string has no end.");
}

/// The framer has seen to it that the octets are there.
bool Cursor::literal(std::string& out, bool nul_allowed) {
  size_t close = text_.find("}\r\n", at_);
  if (close == std::string_view::npos) return fail("A literal is malformed.");
  std::string_view digits = text_.substr(at_ + 1, close - at_ - 1);
  if (!digits.empty() && digits.back() == '+') digits.remove_suffix(1);
  auto size = parse_number<size_t>(digits);
  size_t from = close + 3;
  if (!size || *size > text_.size() - from) return fail("A literal is malformed.");
  out = text_.substr(from, *size);
  at_ = from + *size;
  return nul_allowed || out.find('\0') == std::string::npos || fail("A literal here must not hold NUL.");
}

bool Cursor::string(std::string& out) {
  if (peek() == '"') return quoted(out);
  if (peek() == '{') return literal(out);
  return fail("A string is missing.");
}

bool Cursor::astring(std::string& out) {
  if (peek() == '"' || peek() == '{') return string(out);
  std::string_view text;
  if (!run(text, is_astring_char, "A string is missing.")) return false;
  out = text;
  return true;
}

bool Cursor::nstring(std::optional<std::string>& out) {
  if (skip_word("NIL")) {
    out.reset();
    return true;
  }
  return string(out.emplace());
}

bool Cursor::nstring8(std::optional<std::string>& out) {
  return skip('~') ? peek() == '{' ? literal(out.emplace(), true) : fail("A literal is missing.") : nstring(out);
}

bool Cursor::mailbox_text(std::string& text) {
  if (text.size() > kMaxMailboxArgument) return fail("The mailbox name is too long.", Fault::cannot);
  if (utf8_) {
    if (!is_utf8_name(text)) return fail("The mailbox name is not valid UTF-8.", Fault::cannot);
  } else {
    auto decoded = decode_utf7(text);
    if (!decoded) return fail("The mailbox name is not valid modified UTF-7.", Fault::cannot);
    text = std::move(*decoded);
  }
  text = canonical_mailbox(std::move(text));
  return true;
}

bool Cursor::mailbox(std::string& out) {
  return astring(out) && mailbox_text(out);
}

bool Cursor::list_mailbox(std::string& out) {
  if (peek() == '"' || peek() == '{') {
    if (!string(out)) return false;
  } else {
    std::string_view text;
    if (!run(text, is_list_char, "A mailbox pattern is missing.")) return false;
    out = text;
  }
  if (out.size() > kMaxMailboxArgument) return fail("The pattern is too long.", Fault::cannot);
  if (utf8_) return is_utf8_name(out) || fail("The pattern is not valid UTF-8.", Fault::cannot);
  auto decoded = decode_utf7(out);
  if (!decoded) return fail("The pattern is not valid modified UTF-7.", Fault::cannot);
  out = std::move(*decoded);
  return true;
}

bool Cursor::sequence_number(uint32_t& out) {
  if (skip('*')) {
    out = kStar;
    return true;
  }
  return nz_number(out);
}

bool Cursor::sequence_set(SequenceSet& out) {
  if (skip('$')) return out.saved = true;
  do {
    NumberRange range;
    if (out.ranges.size() >= kMaxSequenceRanges) return fail("The sequence set has too many ranges.");
    if (!sequence_number(range.first)) return false;
    range.last = range.first;
    if (skip(':') && !sequence_number(range.last)) return false;
    out.ranges.push_back(range);
  } while (skip(','));
  return true;
}

bool Cursor::positions(Positions& out) {
  bool from_end = peek() == '-';
  auto place = [&](int64_t& value) {
    uint32_t number = 0;
    if (from_end && !expect('-')) return false;
    if (!nz_number(number)) return false;
    value = from_end ? -int64_t{number} : int64_t{number};
    return true;
  };
  return place(out.first) && expect(':') && place(out.last);
}

bool Cursor::flag(FlagNames& out) {
  std::string_view name;
  if (skip('\\')) {
    if (!run(name, is_atom_char, "A flag is missing.")) return false;
    for (const SystemFlag& known : kSystemFlags) {
      if (!iequals(name, known.name)) continue;
      out.system |= known.bit;
      return true;
    }
    return fail(fmt::format("There is no flag \\{} that a client could set.", name));
  }
  if (!run(name, is_atom_char, "A flag is missing.")) return false;
  if (name.size() > kMaxKeywordLength) return fail("The keyword is too long.");
  if (out.keywords.size() >= kMaxFlagsInCommand) return fail("There are too many flags.");
  auto same = [&](const std::string& other) { return iequals(other, name); };
  if (std::none_of(out.keywords.begin(), out.keywords.end(), same)) out.keywords.emplace_back(name);
  return true;
}

bool Cursor::flag_list(FlagNames& out) {
  return list([&] { return flag(out); }, true);
}

bool Cursor::date(int64_t& out) {
  bool in_quotes = skip('"');
  std::string_view text;
  if (!run(text, is_atom_char, "A date is missing.")) return false;
  auto days = parse_imap_date(text);
  if (!days) return fail("A date is written like 1-Feb-1994.");
  out = *days;
  return !in_quotes || expect('"');
}

bool Cursor::date_time(UnixTime& out) {
  std::string text;
  if (peek() != '"') return fail("A date is missing.");
  if (!quoted(text)) return false;
  auto time = parse_imap_date_time(text);
  if (!time) return fail("A date and time is written like \" 1-Feb-1994 21:52:25 -0800\".");
  out = time->time;
  return true;
}

}  // namespace postrider::imap
