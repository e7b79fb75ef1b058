#include "common/smtp/xtext.h"

#include "common/base/ascii.h"

namespace postrider::smtp {

std::string xtext_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += '+';
      out += kDigits[octet >> 4];
      out += kDigits[octet & 15];
    }
  }
  return out;
}

std::optional<std::string> xtext_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '+') {
      if (text.size() - at < 3 || is_lower(text[at + 1]) || is_lower(text[at + 2])) return std::nullopt;
      const int high = hex_value(text[at + 1]), low = hex_value(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      at += 2;
    } else if (c > ' ' && c < 0x7f && c != '=') {
      out += c;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace postrider::smtp
