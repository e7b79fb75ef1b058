#include "common/base/utf8.h"

namespace postrider {

size_t utf8_sequence(std::string_view text, size_t position) {
  auto octet = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  auto in = [](unsigned value, unsigned low, unsigned high) { return value >= low && value <= high; };
  size_t left = text.size() - position;
  unsigned first = octet(0);
  if (first < 0x80) return 1;
  if (in(first, 0xc2, 0xdf)) return left >= 2 && in(octet(1), 0x80, 0xbf) ? 2 : 0;
  if (in(first, 0xe0, 0xef)) {
    unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    unsigned high = first == 0xed ? 0x9f : 0xbf;
    return left >= 3 && in(octet(1), low, high) && in(octet(2), 0x80, 0xbf) ? 3 : 0;
  }
  if (in(first, 0xf0, 0xf4)) {
    unsigned low = first == 0xf0 ? 0x90 : 0x80;
    unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    return left >= 4 && in(octet(1), low, high) && in(octet(2), 0x80, 0xbf) && in(octet(3), 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t size = utf8_sequence(text, i);
    if (size == 0) return false;
    i += size;
  }
  return true;
}

}  // namespace postrider
