#include "imapd/proto/writer.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "imapd/proto/mailbox_name.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kSystemNames[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};

bool quotable(std::string_view text) {
  auto plain = [](char c) { return c != '\r' && c != '\n' && c != '\0' && !is_8bit(c); };
  return text.size() <= kMaxQuoted && std::all_of(text.begin(), text.end(), plain);
}

/// An opening bracket may stand in one (RFC 9051 9: ATOM-CHAR), but there are clients that look for the closing one.
bool is_atom(std::string_view text) {
  auto plain = [](char c) {
    return !is_ctl(c) && !is_8bit(c) && std::string_view("(){ %*\"\\[]").find(c) == std::string_view::npos;
  };
  return !text.empty() && text.size() <= kMaxQuoted && std::all_of(text.begin(), text.end(), plain) &&
         !iequals(text, "NIL");
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  if (quotable(text)) return append_quoted(out, text);
  append_literal_head(out, text.size());
  out.append(text);
}

void append_string8(std::string& out, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) out.push_back('~');
  append_string(out, text);
}

void append_astring(std::string& out, std::string_view text) {
  if (is_atom(text)) {
    out.append(text);
  } else {
    append_string(out, text);
  }
}

void append_nstring(std::string& out, const std::optional<std::string>& text) {
  if (text) {
    append_string(out, *text);
  } else {
    out += "NIL";
  }
}

void append_literal_head(std::string& out, uint64_t size) {
  append_format(out, "{{{}}}\r\n", size);
}

void append_mailbox(std::string& out, std::string_view name, bool utf8) {
  if (!utf8) return append_astring(out, encode_utf7(name));
  if (has_8bit(name)) return append_quoted(out, name);
  append_astring(out, name);
}

void append_flags(std::string& out, uint64_t bits, const std::vector<std::string>& keywords, int first_keyword_bit,
                  bool recent) {
  out.push_back('(');
  size_t begin = out.size();
  auto add = [&](std::string_view name) {
    if (out.size() != begin) out.push_back(' ');
    out.append(name);
  };
  for (size_t i = 0; i < std::size(kSystemNames); ++i) {
    if (bits & (uint64_t{1} << i)) add(kSystemNames[i]);
  }
  uint64_t rest = bits >> first_keyword_bit;
  for (size_t i = 0; rest != 0 && i < keywords.size(); ++i, rest >>= 1) {
    if (rest & 1) add(keywords[i]);
  }
  if (recent) add("\\Recent");
  out.push_back(')');
}

void append_section_name(std::string& out, const FetchItem& item) {
  using Text = Section::Text;
  const Section& section = item.section;
  out += item.kind == FetchItem::Kind::binary        ? "BINARY["
         : item.kind == FetchItem::Kind::binary_size ? "BINARY.SIZE["
                                                     : "BODY[";
  for (size_t i = 0; i < section.part.size(); ++i) append_format(out, "{}{}", i == 0 ? "" : ".", section.part[i]);
  if (section.text != Text::whole && !section.part.empty()) out.push_back('.');
  switch (section.text) {
    case Text::whole:
      break;
    case Text::header:
      out += "HEADER";
      break;
    case Text::header_fields:
      out += "HEADER.FIELDS";
      break;
    case Text::header_fields_not:
      out += "HEADER.FIELDS.NOT";
      break;
    case Text::text:
      out += "TEXT";
      break;
    case Text::mime:
      out += "MIME";
      break;
  }
  for (size_t i = 0; i < section.fields.size(); ++i) {
    out += i == 0 ? " (" : " ";
    append_astring(out, section.fields[i]);
  }
  if (!section.fields.empty()) out.push_back(')');
  out.push_back(']');
  if (item.partial) append_format(out, "<{}>", item.partial->offset);
}

void append_status(std::string& out, unsigned items, const StatusValues& values) {
  out.push_back('(');
  size_t begin = out.size();
  auto add = [&](StatusItem item, std::string_view name, uint64_t value) {
    if ((items & item) == 0) return;
    append_format(out, "{}{} {}", out.size() == begin ? "" : " ", name, value);
  };
  add(kStatusMessages, "MESSAGES", values.messages);
  add(kStatusRecent, "RECENT", values.recent);
  add(kStatusUidNext, "UIDNEXT", values.uid_next);
  add(kStatusUidValidity, "UIDVALIDITY", values.uid_validity);
  add(kStatusUnseen, "UNSEEN", values.unseen);
  add(kStatusHighestModSeq, "HIGHESTMODSEQ", values.highest_modseq);
  add(kStatusSize, "SIZE", values.size);
  add(kStatusDeleted, "DELETED", values.deleted);
  add(kStatusAppendLimit, "APPENDLIMIT", values.append_limit);
  add(kStatusDeletedStorage, "DELETED-STORAGE", values.deleted_size);
  if (items & kStatusMailboxId)
    append_format(out, "{}MAILBOXID ({})", out.size() == begin ? "" : " ", values.mailbox_id);
  out.push_back(')');
}

void append_text(std::string& out, std::string_view text) {
  if (text.empty()) out += "Done.";
  if (text.starts_with('[')) out.push_back(' ');
  for (char c : text) out.push_back(is_ctl(c) || is_8bit(c) ? '?' : c);
}

}  // namespace postrider::imap
