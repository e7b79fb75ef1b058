#include "imapd/proto/mailbox_name.h"

#include <array>
#include <cstdint>

#include "common/base/ascii.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
constexpr char32_t kReplacement = 0xfffd;

int digit_value(char c) {
  if (is_upper(c)) return c - 'A';
  if (is_lower(c)) return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '+') return 62;
  return c == ',' ? 63 : -1;
}

void append_utf8(std::string& out, char32_t c) {
  auto octet = [&out](char32_t value) { out.push_back(static_cast<char>(static_cast<unsigned char>(value))); };
  if (c < 0x80) {
    octet(c);
  } else if (c < 0x800) {
    octet(0xc0 | (c >> 6));
    octet(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    octet(0xe0 | (c >> 12));
    octet(0x80 | ((c >> 6) & 0x3f));
    octet(0x80 | (c & 0x3f));
  } else {
    octet(0xf0 | (c >> 18));
    octet(0x80 | ((c >> 12) & 0x3f));
    octet(0x80 | ((c >> 6) & 0x3f));
    octet(0x80 | (c & 0x3f));
  }
}

/// One character from text at position, which moves on; nothing when it is malformed (position moves by one).
std::optional<char32_t> next_utf8(std::string_view text, size_t& position) {
  auto lead = static_cast<unsigned char>(text[position++]);
  if (lead < 0x80) return lead;
  size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - position < more) return std::nullopt;
  char32_t c = lead & (0x3fu >> more);
  for (size_t i = 0; i < more; ++i) {
    auto next = static_cast<unsigned char>(text[position + i]);
    if ((next & 0xc0) != 0x80) return std::nullopt;
    c = (c << 6) | (next & 0x3f);
  }
  constexpr std::array<char32_t, 4> kSmallest = {0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return std::nullopt;
  position += more;
  return c;
}

/// Neither a control nor what ends a line (RFC 9051 5.1, RFC 5198 2).
bool may_be_in_name(char32_t c) {
  return c >= 0x20 && (c < 0x7f || c >= 0xa0) && c != 0x2028 && c != 0x2029;
}

/// The UTF-16 units of one shifted sequence, turned into UTF-8.
class Utf16Reader {
 public:
  explicit Utf16Reader(std::string& out) : out_(out) {}
  bool unit(uint32_t value) {
    if (value >= 0xdc00 && value < 0xe000) {
      if (high_ == 0) return false;
      append_utf8(out_, 0x10000 + ((high_ - 0xd800) << 10) + (value - 0xdc00));
      high_ = 0;
      return true;
    }
    if (high_ != 0) return false;
    if (value >= 0xd800 && value < 0xdc00) {
      high_ = value;
      return true;
    }
    if (value < 0x80 || !may_be_in_name(value)) return false;  // ASCII must be written as itself
    append_utf8(out_, value);
    return true;
  }
  bool complete() const { return high_ == 0; }

 private:
  std::string& out_;
  uint32_t high_ = 0;
};

bool decode_shifted(std::string_view digits, std::string& out) {
  Utf16Reader reader(out);
  uint32_t bits = 0;
  int count = 0;
  for (char c : digits) {
    int value = digit_value(c);
    if (value < 0) return false;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 16) {
      count -= 16;
      if (!reader.unit((bits >> count) & 0xffff)) return false;
      bits &= (1u << count) - 1;
    }
  }
  return reader.complete() && count < 6 && bits == 0;
}

class ShiftedWriter {
 public:
  explicit ShiftedWriter(std::string& out) : out_(out) {}
  void character(char32_t c) {
    if (!open_) out_.push_back('&');
    open_ = true;
    if (c >= 0x10000) {
      unit(0xd800 + ((c - 0x10000) >> 10));
      unit(0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      unit(c);
    }
  }
  void close() {
    if (!open_) return;
    if (count_ > 0) out_.push_back(kAlphabet[(bits_ << (6 - count_)) & 0x3f]);
    out_.push_back('-');
    open_ = false;
    bits_ = 0;
    count_ = 0;
  }

 private:
  void unit(char32_t value) {
    bits_ = (bits_ << 16) | value;
    for (count_ += 16; count_ >= 6; count_ -= 6) out_.push_back(kAlphabet[(bits_ >> (count_ - 6)) & 0x3f]);
    bits_ &= (1u << count_) - 1;
  }
  std::string& out_;
  uint32_t bits_ = 0;
  unsigned count_ = 0;
  bool open_ = false;
};

}  // namespace

std::optional<std::string> decode_utf7(std::string_view text) {
  std::string out;
  size_t shifted_end = std::string_view::npos;  // where the last base64 run ended: another must not follow at once
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (is_ctl(c) || is_8bit(c)) return std::nullopt;
    if (c != '&') {
      out.push_back(c);
      continue;
    }
    size_t end = text.find('-', i);
    if (end == std::string_view::npos) return std::nullopt;
    if (end == i + 1) {
      out.push_back('&');
    } else {
      if (shifted_end == i || !decode_shifted(text.substr(i + 1, end - i - 1), out)) return std::nullopt;
      shifted_end = end + 1;
    }
    i = end;
  }
  return out;
}

std::string encode_utf7(std::string_view utf8) {
  std::string out;
  ShiftedWriter shifted(out);
  for (size_t i = 0; i < utf8.size();) {
    char32_t c = next_utf8(utf8, i).value_or(kReplacement);
    if (c < 0x20 || c >= 0x7f) {
      shifted.character(c);
      continue;
    }
    shifted.close();
    out.push_back(static_cast<char>(c));
    if (c == '&') out.push_back('-');
  }
  shifted.close();
  return out;
}

bool is_utf8_name(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto c = next_utf8(text, i);
    if (!c || !may_be_in_name(*c)) return false;
  }
  return true;
}

}  // namespace postrider::imap
