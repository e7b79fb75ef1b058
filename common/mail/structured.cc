#include "common/mail/structured.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/base/ascii.h"

namespace postrider {
namespace {

constexpr bool is_blank(char c) {
  return is_wsp(c) || c == '\r' || c == '\n';
}

/// A set of ASCII characters that is asked for each octet of a text: find_first_of would search its whole list each
/// time.
class AsciiSet {
 public:
  explicit AsciiSet(std::string_view members) {
    for (char c : members) bits_[c >> 6 & 1] |= uint64_t{1} << (c & 63);
  }
  bool has(char c) const { return !is_8bit(c) && (bits_[c >> 6 & 1] >> (c & 63) & 1) != 0; }

 private:
  std::array<uint64_t, 2> bits_{};
};

}  // namespace

bool StructuredCursor::take(char c) {
  if (!at(c)) return false;
  ++position_;
  return true;
}

bool StructuredCursor::skip_cfws(std::string* comment) {
  size_t begin = position_;
  while (!at_end()) {
    if (text_[position_] == '(') {
      skip_comment(comment);
    } else if (is_blank(text_[position_])) {
      ++position_;
    } else {
      break;
    }
  }
  return position_ > begin;
}

void StructuredCursor::skip_comment(std::string* comment) {
  std::string inside;
  size_t depth = 0;
  for (; !at_end(); ++position_) {
    char c = text_[position_];
    if (c == '(' && depth++ == 0) continue;
    if (c == ')' && --depth == 0) break;
    if (c == '\\' && position_ + 1 < text_.size()) c = text_[++position_];
    if (comment != nullptr && c != '\r' && c != '\n') inside += c;
  }
  position_ = std::min(position_ + 1, text_.size());
  if (comment != nullptr && !trim(inside).empty()) *comment = trim(inside);
}

std::string StructuredCursor::quoted_string() {
  std::string out;
  for (++position_; !at_end(); ++position_) {
    char c = text_[position_];
    if (c == '"') {
      ++position_;
      return out;
    }
    if (c == '\\' && position_ + 1 < text_.size()) c = text_[++position_];
    if (c != '\r' && c != '\n') out += c;
  }
  return out;
}

std::string_view StructuredCursor::until(std::string_view stops) {
  const AsciiSet set(stops);
  size_t end = position_;
  while (end < text_.size() && !set.has(text_[end])) ++end;
  auto out = text_.substr(position_, end - position_);
  position_ = end;
  return out;
}

void StructuredCursor::skip_to(char c) {
  while (!at_end() && !at(c)) {
    if (at('"')) {
      quoted_string();
    } else if (!skip_cfws()) {
      ++position_;
    }
  }
}

}  // namespace postrider
