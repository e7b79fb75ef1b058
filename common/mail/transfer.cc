#include "common/mail/transfer.h"

#include <array>

#include "common/base/ascii.h"

namespace postrider {
namespace {

constexpr size_t kMaxHeldBlanks = 1'000;  // octets of trailing blanks that wait for a line end; a longer run is content

constexpr int8_t kSkip = -1;
constexpr int8_t kPad = -2;

constexpr auto kSextets = [] {
  std::array<int8_t, 256> values{};
  values.fill(kSkip);
  std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < alphabet.size(); ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  values['='] = kPad;
  return values;
}();

}  // namespace

TransferDecoder::TransferDecoder(std::string_view encoding) {
  encoding = trim(encoding);
  if (iequals(encoding, "base64")) encoding_ = Encoding::base64;
  if (iequals(encoding, "quoted-printable")) encoding_ = Encoding::quoted_printable;
}

void TransferDecoder::feed(std::string_view bytes, std::string& out) {
  switch (encoding_) {
    case Encoding::identity:
      out += bytes;
      break;
    case Encoding::base64:
      feed_base64(bytes, out);
      break;
    case Encoding::quoted_printable:
      feed_quoted_printable(bytes, out);
      break;
  }
}

void TransferDecoder::finish(std::string& out) {
  if (encoding_ == Encoding::base64) {
    if (sextets_ >= 2) out += static_cast<char>(bits_ >> (6 * sextets_ - 8) & 0xff);
    if (sextets_ == 3) out += static_cast<char>(bits_ >> 2 & 0xff);
    bits_ = sextets_ = 0;
  }
  // Blanks at the end of the text are no content; a cut escape is.
  if (encoding_ == Encoding::quoted_printable && held_.starts_with('=')) {
    size_t taken = take_escape(held_, out, true);
    out += std::string_view(held_).substr(taken);
  }
  held_.clear();
}

void TransferDecoder::feed_base64(std::string_view bytes, std::string& out) {
  out.reserve(out.size() + bytes.size() / 4 * 3 + 3);
  for (char c : bytes) {
    int8_t value = kSextets[static_cast<unsigned char>(c)];
    if (value >= 0) {
      bits_ = bits_ << 6 | static_cast<uint32_t>(value);
      if (++sextets_ < 4) continue;
      const std::array<char, 3> octets = {static_cast<char>(bits_ >> 16 & 0xff), static_cast<char>(bits_ >> 8 & 0xff),
                                          static_cast<char>(bits_ & 0xff)};
      out.append(octets.data(), octets.size());
      bits_ = sextets_ = 0;
    } else if (value == kPad) {
      finish(out);
    }
  }
}

void TransferDecoder::feed_quoted_printable(std::string_view bytes, std::string& out) {
  std::string joined;
  if (!held_.empty()) {
    joined = std::move(held_);
    joined += bytes;
    bytes = joined;
    held_.clear();
  }
  while (!bytes.empty()) {
    size_t plain = bytes.find_first_of("= \t");
    out += bytes.substr(0, plain);
    if (plain == std::string_view::npos) return;
    bytes.remove_prefix(plain);
    if (bytes.front() == '=') {
      size_t taken = take_escape(bytes, out, false);
      if (taken == 0) {
        held_ = bytes;
        return;
      }
      bytes.remove_prefix(taken);
      continue;
    }
    size_t blanks = bytes.find_first_not_of(" \t");
    if (blanks == std::string_view::npos && bytes.size() < kMaxHeldBlanks) {
      held_ = bytes;
      return;
    }
    bool ends_line = blanks != std::string_view::npos && (bytes[blanks] == '\r' || bytes[blanks] == '\n');
    if (!ends_line) out += bytes.substr(0, blanks);
    bytes.remove_prefix(std::min(blanks, bytes.size()));
  }
}

/// text begins with "=". Appends what the escape stands for and gives the octets it took; 0: more has to come.
size_t TransferDecoder::take_escape(std::string_view text, std::string& out, bool ended) {
  int high = text.size() > 1 ? hex_value(text[1]) : -1;
  if (high >= 0) {
    if (text.size() < 3 && !ended) return 0;
    int low = text.size() > 2 ? hex_value(text[2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      return 3;
    }
    out += '=';
    return 1;
  }
  size_t line_end = text.find_first_not_of(" \t", 1);
  if (line_end == std::string_view::npos) {
    if (!ended && text.size() < kMaxHeldBlanks) return 0;
    if (ended) return text.size();  // a soft line break without its line
    out += '=';
    return 1;
  }
  if (text[line_end] == '\n') return line_end + 1;
  if (text[line_end] == '\r') {
    if (line_end + 1 == text.size() && !ended) return 0;
    return line_end + (line_end + 1 < text.size() && text[line_end + 1] == '\n' ? 2 : 1);
  }
  out += '=';
  return 1;
}

}  // namespace postrider
