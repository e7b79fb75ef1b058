#include "common/mail/charset.h"

#include <unicode/ucnv.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace postrider {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr size_t kMaxCharsetName = 64;                     // octets; longer than any registered name

struct ConverterCloser {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, ConverterCloser>;

/// Null where ICU has no such charset. Names of labels that are wrong by habit are put right here.
Converter open_converter(std::string_view charset) {
  // What is called ISO-8859-1 or GB2312 in mail is as a rule the vendor's superset of it, which agrees on all valid
  // text.
  if (iequals(charset, "iso-8859-1")) charset = "windows-1252";
  if (iequals(charset, "gb2312")) charset = "gb18030";
  if (charset.empty() || charset.size() > kMaxCharsetName) return nullptr;
  if (!std::all_of(charset.begin(), charset.end(), [](char c) { return c > ' ' && c < 0x7f && c != ','; }))
    return nullptr;
  UErrorCode error = U_ZERO_ERROR;
  Converter converter(ucnv_open(std::string(charset).c_str(), &error));
  return U_SUCCESS(error) ? std::move(converter) : nullptr;
}

bool is_utf8_name(std::string_view charset) {
  return iequals(charset, "utf-8") || iequals(charset, "utf8");
}

bool is_ascii_name(std::string_view charset) {
  return charset.empty() || iequals(charset, "us-ascii") || iequals(charset, "ascii");
}

}  // namespace

class CharsetDecoder::Impl {
 public:
  explicit Impl(std::string_view charset) {
    charset = trim(charset);
    if (is_ascii_name(charset) || is_utf8_name(charset)) return;
    from_ = open_converter(charset);
    if (!from_) return;
    UErrorCode error = U_ZERO_ERROR;
    to_.reset(ucnv_open("UTF-8", &error));
    if (U_FAILURE(error)) from_.reset();
  }

  void feed(std::string_view bytes, std::string& out, bool last) {
    if (from_) {
      convert(bytes, out, last);
    } else {
      copy_utf8(bytes, out, last);
    }
  }

 private:
  void convert(std::string_view bytes, std::string& out, bool last) {
    const char* source = bytes.data();
    const char* end = source + bytes.size();
    for (;;) {
      std::array<char, 4096> piece;
      char* target = piece.data();
      UErrorCode error = U_ZERO_ERROR;
      ucnv_convertEx(to_.get(), from_.get(), &target, piece.data() + piece.size(), &source, end, pivot_.data(),
                     &pivot_source_, &pivot_target_, pivot_.data() + pivot_.size(), 0, last ? 1 : 0, &error);
      out.append(piece.data(), static_cast<size_t>(target - piece.data()));
      if (error == U_BUFFER_OVERFLOW_ERROR) continue;
      return;  // all is read; with the substitution callbacks there is no error that leaves text behind
    }
  }

  void copy_utf8(std::string_view bytes, std::string& out, bool last) {
    std::string joined;
    if (!held_.empty()) {
      joined = std::move(held_);
      joined += bytes;
      bytes = joined;
      held_.clear();
    }
    size_t begin = 0;
    for (size_t i = 0; i < bytes.size();) {
      if (!is_8bit(bytes[i])) {
        ++i;
        continue;
      }
      size_t size = utf8_sequence(bytes, i);
      if (size > 0) {
        i += size;
        continue;
      }
      out += bytes.substr(begin, i - begin);
      begin = i;
      if (!last && bytes.size() - i < 4 && may_continue(bytes.substr(i))) {
        held_ = bytes.substr(i);
        return;
      }
      out += kReplacement;
      begin = ++i;
    }
    out += bytes.substr(begin);
  }

  /// Whether octets that are no sequence yet could become one with more of them.
  static bool may_continue(std::string_view cut) {
    for (std::string_view filler : {"\x80\x80\x80", "\xa0\x80\x80", "\x90\x80\x80"}) {
      std::string whole(cut);
      whole += filler;
      size_t size = utf8_sequence(whole, 0);
      if (size > cut.size()) return true;
    }
    return false;
  }

  Converter from_, to_;  // both, or none: UTF-8 and what is taken for it
  std::array<UChar, 2048> pivot_{};
  UChar* pivot_source_ = pivot_.data();
  UChar* pivot_target_ = pivot_.data();
  std::string held_;  // a cut UTF-8 sequence, at most three octets
};

CharsetDecoder::CharsetDecoder(std::string_view charset) : impl_(std::make_unique<Impl>(charset)) {}
CharsetDecoder::~CharsetDecoder() = default;

void CharsetDecoder::feed(std::string_view bytes, std::string& out) {
  impl_->feed(bytes, out, false);
}
void CharsetDecoder::finish(std::string& out) {
  impl_->feed({}, out, true);
}

std::string to_utf8(std::string_view bytes, std::string_view charset) {
  std::string out;
  CharsetDecoder decoder(charset);
  decoder.feed(bytes, out);
  decoder.finish(out);
  return out;
}

bool is_known_charset(std::string_view charset) {
  charset = trim(charset);
  return is_ascii_name(charset) || is_utf8_name(charset) || open_converter(charset) != nullptr;
}

}  // namespace postrider
