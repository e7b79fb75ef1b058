#include "common/sasl/scram_syntax.h"

namespace postrider::sasl {

std::string encode_saslname(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == ',') {
      out += "=2C";
    } else if (c == '=') {
      out += "=3D";
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> decode_saslname(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '=') {
      out += text[at];
    } else if (text.substr(at, 3) == "=2C") {
      out += ',';
      at += 2;
    } else if (text.substr(at, 3) == "=3D") {
      out += '=';
      at += 2;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
  const auto comma = text.find(',');
  const auto value = text.substr(2, comma == std::string_view::npos ? comma : comma - 2);
  text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  return value;
}

}  // namespace postrider::sasl
