// GETMETADATA and SETMETADATA (RFC 5464).
#include <algorithm>

#include "common/base/ascii.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

/// RFC 5464 3.2; names are compared without case, and kept in lower case.
bool entry_name(Cursor& cursor, std::string& out, bool root_allowed) {
  if (!cursor.astring(out)) return false;
  out = lower(out);
  bool root = out == "/shared" || out == "/private";
  if (root ? !root_allowed : !out.starts_with("/shared/") && !out.starts_with("/private/"))
    return cursor.fail("The name of an entry begins with /shared/ or /private/.");
  auto bad = [](char c) { return is_ctl(c) || is_8bit(c) || c == '*' || c == '%'; };
  if (out.find("//") != std::string::npos || out.back() == '/' || std::any_of(out.begin(), out.end(), bad))
    return cursor.fail("The name of an entry is malformed.");
  return true;
}

bool option(Cursor& cursor, GetMetadataCommand& out) {
  std::string name, depth;
  if (!cursor.word(name) || !cursor.space()) return false;
  if (name == "MAXSIZE") return cursor.number(out.max_size.emplace());
  if (name != "DEPTH") return cursor.fail("GETMETADATA knows the options MAXSIZE and DEPTH.");
  if (!cursor.word(depth)) return false;
  if (depth != "0" && depth != "1" && depth != "INFINITY") return cursor.fail("DEPTH is 0, 1 or infinity.");
  out.depth = depth == "0" ? 0 : depth == "1" ? 1 : GetMetadataCommand::kInfinity;
  return true;
}

bool options(Cursor& cursor, GetMetadataCommand& out) {
  return cursor.list([&] { return option(cursor, out); });
}

/// Options come before the mailbox in the grammar of RFC 5464, and behind it in its examples.
bool options_follow(const Cursor& cursor) {
  return istarts_with(cursor.rest(), "(MAXSIZE ") || istarts_with(cursor.rest(), "(DEPTH ");
}

}  // namespace

bool parse_metadata_entries(Cursor& cursor, std::vector<std::string>& out, bool roots) {
  auto entry = [&] {
    std::string name;
    if (!entry_name(cursor, name, roots)) return false;
    if (out.size() >= kMaxMetadataEntries) return cursor.fail("There are too many entries.");
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
    return true;
  };
  return cursor.peek() == '(' ? cursor.list(entry) : entry();
}

bool parse_get_metadata(Cursor& cursor, GetMetadataCommand& out) {
  if (!cursor.space()) return false;
  if (options_follow(cursor) && !(options(cursor, out) && cursor.space())) return false;
  if (!cursor.mailbox(out.mailbox) || !cursor.space()) return false;
  if (options_follow(cursor) && !(options(cursor, out) && cursor.space())) return false;
  return parse_metadata_entries(cursor, out.entries, true) && cursor.end();
}

bool parse_set_metadata(Cursor& cursor, SetMetadataCommand& out) {
  auto value = [&] {
    if (out.values.size() >= kMaxMetadataEntries) return cursor.fail("There are too many entries.");
    auto& [name, text] = out.values.emplace_back();
    return entry_name(cursor, name, false) && cursor.space() && cursor.nstring8(text);
  };
  return cursor.space() && cursor.mailbox(out.mailbox) && cursor.space() && cursor.list(value) && cursor.end();
}

}  // namespace postrider::imap
