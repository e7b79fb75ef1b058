#include "common/mail/header.h"

#include <algorithm>
#include <cstring>

#include "common/base/ascii.h"

namespace postrider {
namespace {

/// Octets up to and with the next LF, or all.
size_t line_size(std::string_view text) {
  if (text.empty()) return 0;
  const void* lf = std::memchr(text.data(), '\n', text.size());
  return lf == nullptr ? text.size() : static_cast<size_t>(static_cast<const char*>(lf) - text.data()) + 1;
}

bool is_empty_line(std::string_view text) {
  return text.starts_with("\r\n") || text.starts_with('\n');
}

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

/// Whether text can be a field name: printable ASCII (RFC 5322 3.6.8).
bool is_field_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

uint64_t length_bit(size_t length) {
  return uint64_t{1} << std::min<size_t>(length, 63);
}

}  // namespace

std::string HeaderField::unfolded() const {
  return unfold(value);
}

std::optional<HeaderField> HeaderReader::next() {
  if (rest_.empty() || is_empty_line(rest_)) return std::nullopt;
  size_t size = line_size(rest_);
  while (size < rest_.size() && is_wsp(rest_[size])) size += line_size(rest_.substr(size));
  HeaderField field;
  field.raw = rest_.substr(0, size);
  rest_.remove_prefix(size);

  auto first_line = field.raw.substr(0, line_size(field.raw));
  size_t colon = first_line.find(':');
  if (colon == std::string_view::npos || is_wsp(field.raw.front())) return field;
  auto name = first_line.substr(0, colon);
  while (!name.empty() && is_wsp(name.back())) name.remove_suffix(1);  // obsolete: blanks before the colon
  if (!is_field_name(name)) return field;
  field.name = name;
  field.value = without_line_end(field.raw.substr(colon + 1));
  return field;
}

std::string unfold(std::string_view value) {
  value = trim(value);
  if (std::none_of(value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; })) {
    return std::string(value);
  }
  std::string out;
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (c == '\r' || c == '\n') {
      size_t next = c == '\r' && i + 1 < value.size() && value[i + 1] == '\n' ? i + 1 : i;
      bool folds = next + 1 < value.size() && is_wsp(value[next + 1]) && value[next] == '\n';
      i = next;
      if (folds) continue;  // the blank that follows stays
      c = ' ';
    }
    out += c == '\0' ? ' ' : c;
  }
  return std::string(trim(out));  // a NUL may have stood at an end
}

std::optional<std::string> find_header(std::string_view block, std::string_view name) {
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    if (iequals(field->name, name)) return field->unfolded();
  }
  return std::nullopt;
}

size_t count_headers(std::string_view block, std::string_view name) {
  size_t count = 0;
  HeaderReader reader(block);
  while (auto field = reader.next()) count += iequals(field->name, name) ? 1 : 0;
  return count;
}

size_t header_block_size(std::string_view message) {
  size_t position = 0;
  while (position < message.size()) {
    auto line = message.substr(position);
    if (is_empty_line(line)) return position + (line.front() == '\r' ? 2 : 1);
    position += line_size(line);
  }
  return message.size();
}

HeaderSelector::HeaderSelector(const std::vector<std::string>& names, Mode mode) : mode_(mode) {
  for (const auto& name : names) {
    names_.push_back(lower(name));
    lengths_ |= length_bit(name.size());
  }
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

bool HeaderSelector::selects(std::string_view name) const {
  bool named = (lengths_ & length_bit(name.size())) != 0 &&
               std::any_of(names_.begin(), names_.end(), [&](const auto& known) { return iequals(known, name); });
  return named == (mode_ == Mode::only);
}

void HeaderSelector::append(std::string_view block, std::string& out) const {
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    if (field->name.empty() ? mode_ == Mode::only : !selects(field->name)) continue;
    out += field->raw;
    if (!field->raw.ends_with('\n')) out += "\r\n";  // the message ends inside its header
  }
  out += "\r\n";
}

}  // namespace postrider
