// The FETCH command (RFC 9051 6.4.5; RFC 3516, 7162, 8474, 8514, 8970, 9394).
#include <fmt/format.h>

#include "common/base/ascii.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

using Kind = FetchItem::Kind;

struct ItemName {
  std::string_view name;
  Kind kind;
};
constexpr ItemName kItems[] = {
    {"FLAGS", Kind::flags},
    {"UID", Kind::uid},
    {"MODSEQ", Kind::modseq},
    {"INTERNALDATE", Kind::internal_date},
    {"SAVEDATE", Kind::save_date},
    {"EMAILID", Kind::email_id},
    {"THREADID", Kind::thread_id},
    {"RFC822.SIZE", Kind::size},
    {"ENVELOPE", Kind::envelope},
    {"BODY", Kind::body},
    {"BODYSTRUCTURE", Kind::body_structure},
    {"RFC822", Kind::rfc822},
    {"RFC822.HEADER", Kind::rfc822_header},
    {"RFC822.TEXT", Kind::rfc822_text},
};

bool header_list(Cursor& cursor, Section& out) {
  auto field = [&] {
    if (out.fields.size() >= kMaxHeaderFields) return cursor.fail("There are too many header fields.");
    return cursor.astring(out.fields.emplace_back());
  };
  return cursor.space() && cursor.list(field);
}

bool section_text(Cursor& cursor, Section& out) {
  if (cursor.skip_word("HEADER.FIELDS.NOT")) {
    out.text = Section::Text::header_fields_not;
    return header_list(cursor, out);
  }
  if (cursor.skip_word("HEADER.FIELDS")) {
    out.text = Section::Text::header_fields;
    return header_list(cursor, out);
  }
  if (cursor.skip_word("HEADER")) {
    out.text = Section::Text::header;
  } else if (cursor.skip_word("TEXT")) {
    out.text = Section::Text::text;
  } else if (cursor.skip_word("MIME")) {
    out.text = Section::Text::mime;
    if (out.part.empty()) return cursor.fail("MIME needs a part number before it.");
  } else {
    return cursor.fail("The section is malformed.");
  }
  return true;
}

// section-part = nz-number *("." nz-number)
/// text_follows: what stands behind it is a section-text.
bool section_part(Cursor& cursor, Section& out, bool& text_follows) {
  text_follows = true;
  while (cursor.peek() >= '0' && cursor.peek() <= '9') {
    if (out.part.size() >= kMaxSectionDepth) return cursor.fail("The section is too deep.");
    if (!cursor.nz_number(out.part.emplace_back())) return false;
    text_follows = cursor.skip('.');
    if (!text_follows) break;
  }
  return true;
}

// section = "[" [section-spec] "]"; section-binary = "[" [section-part] "]"
bool section(Cursor& cursor, Section& out, bool binary) {
  if (!cursor.expect('[')) return false;
  if (cursor.skip(']')) return true;
  bool text_follows = false;
  if (!section_part(cursor, out, text_follows)) return false;
  if (binary && text_follows) return cursor.fail("BINARY takes part numbers only.");
  return (!text_follows || section_text(cursor, out)) && cursor.expect(']');
}

bool partial(Cursor& cursor, FetchItem& item) {
  if (!cursor.skip('<')) return true;
  auto& range = item.partial.emplace();
  return cursor.number(range.offset) && cursor.expect('.') && cursor.nz_number(range.length) && cursor.expect('>');
}

bool preview_modifier(Cursor& cursor, FetchItem& item) {
  std::string name;
  if (!cursor.word(name)) return false;
  return name == "LAZY" ? (item.lazy = true) : cursor.fail(fmt::format("PREVIEW knows no modifier {}.", name));
}

bool item(Cursor& cursor, std::vector<FetchItem>& out) {
  if (out.size() >= kMaxFetchItems) return cursor.fail("There are too many data items.");
  std::string name;
  if (!cursor.word(name)) return false;
  FetchItem& next = out.emplace_back();
  if (cursor.peek() == '[' && (name == "BODY" || name == "BODY.PEEK")) {
    next.kind = Kind::section;
    next.peek = name == "BODY.PEEK";
    return section(cursor, next.section, false) && partial(cursor, next);
  }
  if (name == "BINARY" || name == "BINARY.PEEK") {
    next.kind = Kind::binary;
    next.peek = name == "BINARY.PEEK";
    return section(cursor, next.section, true) && partial(cursor, next);
  }
  if (name == "BINARY.SIZE") {
    next.kind = Kind::binary_size;
    next.peek = true;
    return section(cursor, next.section, true);
  }
  if (name == "PREVIEW") {
    next.kind = Kind::preview;
    if (!istarts_with(cursor.rest(), " (LAZY")) return true;  // else what follows is FETCH's own modifiers
    return cursor.space() && cursor.list([&] { return preview_modifier(cursor, next); });
  }
  for (const ItemName& known : kItems) {
    if (name == known.name) {
      next.kind = known.kind;
      return true;
    }
  }
  return cursor.fail(fmt::format("FETCH knows no data item {}.", name));
}

/// ALL, FAST and FULL stand alone, not in a list.
bool macro(Cursor& cursor, std::vector<FetchItem>& out) {
  auto add = [&out](Kind kind) { out.emplace_back().kind = kind; };
  bool full = cursor.skip_word("FULL");
  bool all = full || cursor.skip_word("ALL");
  if (!all && !cursor.skip_word("FAST")) return false;
  add(Kind::flags);
  add(Kind::internal_date);
  add(Kind::size);
  if (all) add(Kind::envelope);
  if (full) add(Kind::body);
  return true;
}

bool modifier(Cursor& cursor, FetchCommand& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  if (name == "CHANGEDSINCE") return cursor.space() && cursor.number64(out.changed_since.emplace());
  if (name == "VANISHED") return out.vanished = true;
  if (name == "PARTIAL") return cursor.space() && cursor.positions(out.partial.emplace());
  return cursor.fail(fmt::format("FETCH knows no modifier {}.", name));
}

}  // namespace

bool parse_section(Cursor& cursor, Section& out) {
  return section(cursor, out, false);
}

bool parse_fetch_items(Cursor& cursor, std::vector<FetchItem>& out) {
  return cursor.list([&] { return item(cursor, out); });
}

bool parse_fetch(Cursor& cursor, FetchCommand& out) {
  if (!cursor.space() || !cursor.sequence_set(out.set) || !cursor.space()) return false;
  if (cursor.peek() == '(') {
    if (!parse_fetch_items(cursor, out.items)) return false;
  } else if (!macro(cursor, out.items) && !item(cursor, out.items)) {
    return false;
  }
  if (cursor.skip(' ') && !cursor.list([&] { return modifier(cursor, out); })) return false;
  return cursor.end();
}

}  // namespace postrider::imap
