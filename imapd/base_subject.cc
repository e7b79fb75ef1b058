#include "imapd/base_subject.h"

#include "common/base/ascii.h"
#include "common/mail/charset.h"

namespace postrider::imap {
namespace {

std::string joined_blanks(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
}

// subj-blob = "[" *BLOBCHAR "]" *WSP
bool take_blob(std::string_view& text) {
  if (text.empty() || text.front() != '[') return false;
  size_t end = text.find_first_of("[]", 1);
  if (end == std::string_view::npos || text[end] == '[') return false;
  text.remove_prefix(end + 1);
  skip_blanks(text);
  return true;
}

// subj-leader = (*subj-blob subj-refwd) / WSP; subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
bool take_leader(std::string_view& text) {
  std::string_view rest = text;
  while (take_blob(rest)) {
  }
  size_t mark = istarts_with(rest, "re") ? 2 : istarts_with(rest, "fwd") ? 3 : istarts_with(rest, "fw") ? 2 : 0;
  if (mark == 0) return false;
  rest.remove_prefix(mark);
  skip_blanks(rest);
  take_blob(rest);
  if (rest.empty() || rest.front() != ':') return false;
  rest.remove_prefix(1);
  skip_blanks(rest);
  text = rest;
  return true;
}

bool take_trailer(std::string_view& text) {
  constexpr std::string_view kForwarded = "(fwd)";
  if (text.size() < kForwarded.size() || !iequals(text.substr(text.size() - kForwarded.size()), kForwarded))
    return false;
  text.remove_suffix(kForwarded.size());
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return true;
}

}  // namespace

BaseSubject base_subject(std::string_view subject) {
  std::string decoded = joined_blanks(decode_encoded_words(subject));
  std::string_view text = decoded;
  BaseSubject base;
  for (;;) {
    while (take_trailer(text)) base.reply_or_forward = true;
    for (bool more = true; more;) {
      more = take_leader(text);
      base.reply_or_forward |= more;
      std::string_view rest = text;
      if (take_blob(rest) && !rest.empty()) {
        text = rest;
        more = true;
      }
    }
    constexpr std::string_view kForward = "[fwd:";
    if (!istarts_with(text, kForward) || text.back() != ']') break;
    text.remove_prefix(kForward.size());
    text.remove_suffix(1);
    text = trim(text);
    base.reply_or_forward = true;
  }
  base.text = text;
  return base;
}

}  // namespace postrider::imap
