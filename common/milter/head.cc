#include "common/milter/head.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/header.h"

namespace postrider::milter {
namespace {

/// Whatever a filter sends: CRLF at the ends of lines, a blank at the beginnings of all but the first, no control
/// characters, so that it stays one field.
std::string folded(std::string_view value) {
  std::string out;
  for (size_t at = 0; at < value.size(); ++at) {
    const char c = value[at];
    if (c == '\r' && at + 1 < value.size() && value[at + 1] == '\n') continue;
    if (c == '\r' || c == '\n') {
      // The next line, unless there is nothing on it.
      const size_t next = value.find_first_not_of("\r\n", at);
      if (next == std::string_view::npos) break;
      out += "\r\n";
      if (!is_wsp(value[next])) out += '\t';
      at = next - 1;
    } else if (c != '\0') {
      out += c;
    }
  }
  return out;
}

Head::Field make_field(std::string_view name, std::string_view value, bool leading_space) {
  Head::Field field;
  field.name = name;
  field.value = (leading_space ? "" : " ") + folded(value);
  field.raw = field.name + ':' + field.value + "\r\n";
  return field;
}

}  // namespace

Head::Head(std::string_view block) {
  HeaderReader reader(block);
  size_t read = 0;
  while (auto field = reader.next()) {
    read += field->raw.size();
    fields_.push_back({std::string(field->name), std::string(field->value), std::string(field->raw)});
  }
  has_end_ = read < block.size();
}

std::string Head::shown(const Field& field, bool leading_space) {
  std::string out;
  std::string_view value = field.value;
  if (!leading_space && !value.empty() && is_wsp(value.front())) value.remove_prefix(1);
  for (size_t at = 0; at < value.size(); ++at) {
    if (value[at] == '\r' && at + 1 < value.size() && value[at + 1] == '\n') continue;
    out += value[at];
  }
  return out;
}

bool Head::add(std::string_view name, std::string_view value, bool leading_space) {
  return insert(static_cast<uint32_t>(fields_.size()), name, value, leading_space);
}

bool Head::insert(uint32_t index, std::string_view name, std::string_view value, bool leading_space) {
  if (++changes_ > kMaxHeadChanges) return false;
  const auto at = static_cast<std::ptrdiff_t>(std::min<size_t>(index, fields_.size()));
  // A last line without its end would run into what follows.
  if (!fields_.empty() && !fields_.back().raw.ends_with('\n')) fields_.back().raw += "\r\n";
  fields_.insert(fields_.begin() + at, make_field(name, value, leading_space));
  return true;
}

bool Head::change(uint32_t index, std::string_view name, std::string_view value, bool leading_space) {
  uint32_t seen = 0;
  for (auto field = fields_.begin(); field != fields_.end(); ++field) {
    if (!iequals(field->name, name) || ++seen != std::max<uint32_t>(index, 1)) continue;
    if (++changes_ > kMaxHeadChanges) return false;
    if (value.empty()) {
      fields_.erase(field);
    } else {
      *field = make_field(field->name, value, leading_space);
    }
    return true;
  }
  return value.empty() || add(name, value, leading_space);
}

std::string Head::text() const {
  std::string out;
  for (const Field& field : fields_) out += field.raw;
  // Without an empty line a body would become part of the header, unless there is no body at all.
  if (has_end_ || changed()) out += "\r\n";
  return out;
}

}  // namespace postrider::milter
