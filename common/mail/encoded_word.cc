// RFC 2047 encoded words: the part of charset.h that parses header text.
#include <array>
#include <optional>

#include "common/base/ascii.h"
#include "common/mail/charset.h"
#include "common/mail/transfer.h"

namespace postrider {
namespace {

struct EncodedWord {
  std::string_view charset;
  char encoding = 0;  // 'b' or 'q'
  std::string_view text;
  size_t size = 0;  // octets with both delimiters
};

/// "=?charset[*language]?B|Q?text?=" at the beginning of value. Longer than RFC 2047's 75 octets is taken: it is in
/// use.
std::optional<EncodedWord> take_encoded_word(std::string_view value) {
  if (!value.starts_with("=?")) return std::nullopt;
  size_t charset_end = value.find('?', 2);
  if (charset_end == std::string_view::npos || charset_end + 3 >= value.size() || value[charset_end + 2] != '?') {
    return std::nullopt;
  }
  EncodedWord word;
  word.charset = value.substr(2, charset_end - 2);
  word.charset = word.charset.substr(0, word.charset.find('*'));  // RFC 2231 5: language
  word.encoding = to_lower(value[charset_end + 1]);
  size_t begin = charset_end + 3;
  size_t end = value.find_first_of("? \t", begin);
  while (end != std::string_view::npos && value[end] != '?')
    end = value.find_first_of("? \t", end + 1);  // blanks inside: in use
  if (end == std::string_view::npos || end + 1 >= value.size() || value[end + 1] != '=') return std::nullopt;
  if (word.charset.empty() || word.charset.find_first_of(" \t") != std::string_view::npos) return std::nullopt;
  if (word.encoding != 'b' && word.encoding != 'q') return std::nullopt;
  word.text = value.substr(begin, end - begin);
  word.size = end + 2;
  return word;
}

void decode_q(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '=' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '_' ? ' ' : text[i];
    }
  }
}

void decode_word(const EncodedWord& word, std::string& out) {
  if (word.encoding == 'q') {
    decode_q(word.text, out);
    return;
  }
  TransferDecoder decoder("base64");
  decoder.feed(word.text, out);
  decoder.finish(out);
}

/// Octets of adjacent words of one charset, which are converted together so that a character may be split between them.
class Run {
 public:
  explicit Run(std::string& out) : out_(out) {}

  bool open() const { return open_; }
  void add(const EncodedWord& word) {
    if (open_ && !iequals(charset_, word.charset)) close();
    open_ = true;
    charset_ = word.charset;
    decode_word(word, octets_);
  }
  void close() {
    if (open_) out_ += to_utf8(octets_, charset_);
    octets_.clear();
    open_ = false;
  }

 private:
  std::string& out_;
  std::string_view charset_;
  std::string octets_;
  bool open_ = false;
};

}  // namespace

std::string decode_encoded_words(std::string_view value) {
  if (value.find("=?") == std::string_view::npos) return has_8bit(value) ? to_utf8(value, "") : std::string(value);
  std::string out;
  Run run(out);
  for (size_t i = 0; i < value.size();) {
    if (auto word = take_encoded_word(value.substr(i))) {
      run.add(*word);
      i += word->size;
      size_t next = value.find_first_not_of(" \t\r\n", i);
      // Blanks between two encoded words are not shown (RFC 2047 6.2).
      if (next != std::string_view::npos && next > i && take_encoded_word(value.substr(next))) i = next;
      continue;
    }
    run.close();
    size_t end = std::min(value.find("=?", i + 1), value.size());
    auto plain = value.substr(i, end - i);
    out += has_8bit(plain) ? to_utf8(plain, "") : std::string(plain);
    i = end;
  }
  run.close();
  return out;
}

}  // namespace postrider
