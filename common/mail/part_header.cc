#include "common/mail/part_header.h"

#include <algorithm>
#include <optional>

#include "common/base/ascii.h"
#include "common/mail/envelope.h"
#include "common/mail/header.h"
#include "common/mail/imap_string.h"
#include "common/mail/structured.h"

namespace postrider {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

/// RFC 2045 token characters, and 8-bit ones nowhere.
bool is_token(std::string_view text) {
  if (text.empty() || text.size() > kMaxMimeToken) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
  });
}

/// *(";" name "=" value), from whatever stands before the first semicolon.
std::vector<MimeParameter> take_parameters(StructuredCursor& cursor) {
  std::vector<MimeParameter> list;
  for (;;) {
    cursor.skip_to(';');
    if (!cursor.take(';') || list.size() == kMaxParameters) return list;
    cursor.skip_cfws();
    std::string name(cursor.until("=;( \t\r\n\""));
    cursor.skip_cfws();
    if (name.empty() || !cursor.take('=')) continue;
    cursor.skip_cfws();
    // An unquoted value ends at a blank only, not at every character that is not allowed in it: many are in use.
    std::string value = cursor.at('"') ? cursor.quoted_string() : std::string(cursor.until("; \t\r\n"));
    list.push_back({std::move(name), std::move(value)});
  }
}

std::string parameter_list(const std::vector<MimeParameter>& list) {
  if (list.empty()) return "NIL";
  std::string out;
  for (const auto& parameter : list) {
    out += out.empty() ? '(' : ' ';
    append_imap_string(parameter.name, out);
    out += ' ';
    append_imap_string(parameter.value, out);
  }
  out += ')';
  return out;
}

std::string_view find_parameter(const std::vector<MimeParameter>& list, std::string_view name) {
  for (const auto& parameter : list) {
    if (iequals(parameter.name, name)) return parameter.value;
  }
  return {};
}

/// False where the value is no Content-Type.
bool read_content_type(std::string_view value, PartHeader& part) {
  StructuredCursor cursor(value);
  cursor.skip_cfws();
  std::string type = lower(cursor.until("/;( \t\r\n\""));
  cursor.skip_cfws();
  if (!is_token(type) || !cursor.take('/')) return false;
  cursor.skip_cfws();
  std::string subtype = lower(cursor.until("/;( \t\r\n\""));
  if (!is_token(subtype)) return false;
  auto parameters = take_parameters(cursor);
  part.type = std::move(type);
  part.subtype = std::move(subtype);
  part.parameters = parameter_list(parameters);
  if (auto charset = find_parameter(parameters, "charset"); charset.size() <= kMaxMimeToken)
    part.charset = lower(charset);
  if (part.type != "multipart") return true;
  auto boundary = find_parameter(parameters, "boundary");
  if (size_t last = boundary.find_last_not_of(kBlanks); last != std::string_view::npos && last < kMaxBoundary) {
    part.boundary = boundary.substr(0, last + 1);
  }
  return true;
}

std::string disposition_value(const std::optional<std::string>& value) {
  if (!value) return "NIL";
  StructuredCursor cursor(*value);
  cursor.skip_cfws();
  std::string type(cursor.until(";( \t\r\n\""));
  if (!is_token(type)) return "NIL";
  std::string out = "(";
  append_imap_string(type, out);
  out += ' ' + parameter_list(take_parameters(cursor)) + ')';
  return out;
}

/// One language is a string, more are a list (RFC 3501 body-fld-lang).
std::string language_value(const std::optional<std::string>& value) {
  std::string out;
  size_t count = 0;
  StructuredCursor cursor(value ? std::string_view(*value) : std::string_view());
  while (!cursor.at_end() && count < kMaxParameters) {
    cursor.skip_cfws();
    auto tag = cursor.until(",( \t\r\n");
    cursor.skip_cfws();
    cursor.take(',');
    if (tag.empty()) continue;
    if (count++ > 0) out += ' ';
    append_imap_string(tag, out);
  }
  if (count == 0) return "NIL";
  return count == 1 ? out : "(" + out + ")";
}

std::string nstring(const std::optional<std::string>& value) {
  std::string out;
  append_imap_nstring(value, out);
  return out;
}

/// The first of each Content- field, unfolded.
struct ContentFields {
  std::optional<std::string> type, transfer_encoding, id, description, md5, disposition, language, location;

  std::optional<std::string>* named(std::string_view name) {
    if (iequals(name, "type")) return &type;
    if (iequals(name, "transfer-encoding")) return &transfer_encoding;
    if (iequals(name, "id")) return &id;
    if (iequals(name, "description")) return &description;
    if (iequals(name, "md5")) return &md5;
    if (iequals(name, "disposition")) return &disposition;
    if (iequals(name, "language")) return &language;
    if (iequals(name, "location")) return &location;
    return nullptr;
  }
};

ContentFields content_fields(std::string_view header_block) {
  constexpr std::string_view kPrefix = "content-";
  ContentFields fields;
  HeaderReader reader(header_block);
  for (size_t count = 0; count < kMaxHeaderFields; ++count) {
    auto field = reader.next();
    if (!field) break;
    if (!istarts_with(field->name, kPrefix)) continue;
    auto* value = fields.named(field->name.substr(kPrefix.size()));
    if (value != nullptr && !*value) *value = field->unfolded();
  }
  return fields;
}

}  // namespace

PartHeader read_part_header(std::string_view header_block, bool in_digest) {
  PartHeader part;
  ContentFields fields = content_fields(header_block);
  if (!fields.type || !read_content_type(*fields.type, part)) {
    if (in_digest && !fields.type) {
      part.type = "message";
      part.subtype = "rfc822";
    } else {
      part.parameters = kAsciiParameters;
    }
  }
  if (fields.transfer_encoding) {
    StructuredCursor cursor(*fields.transfer_encoding);
    cursor.skip_cfws();
    auto encoding = cursor.until("; (\t\r\n");
    if (is_token(encoding)) part.encoding = lower(encoding);
  }
  part.identity = nstring(fields.id) + " " + nstring(fields.description);
  part.md5 = nstring(fields.md5);
  part.extension =
      disposition_value(fields.disposition) + " " + language_value(fields.language) + " " + nstring(fields.location);
  return part;
}

}  // namespace postrider
