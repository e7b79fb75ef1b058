// Contents: decoded the same however they are cut, never to more than they were, and written again as they were.
#include <string>

#include "common/base/base64.h"
#include "common/base/utf8.h"
#include "common/mail/charset.h"
#include "common/mail/transfer.h"
#include "common/smtp/xtext.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr std::string_view kEncodings[] = {"base64", "quoted-printable", "8bit"};
constexpr std::string_view kCharsets[] = {"",           "utf-8",     "iso-8859-1", "windows-1252", "iso-2022-jp",
                                          "utf-7",      "shift_jis", "gb18030",    "koi8-r",       "utf-16",
                                          "hz-gb-2312", "x-unknown"};

template <class Decoder>
std::string decoded(Decoder& decoder, std::string_view text, size_t piece) {
  std::string out;
  for (size_t at = 0; at < text.size(); at += piece) decoder.feed(text.substr(at, piece), out);
  decoder.finish(out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const std::string_view encoding = kEncodings[input.choice(std::size(kEncodings))];
  const std::string_view charset = kCharsets[input.choice(std::size(kCharsets))];
  const size_t piece = 1 + input.choice(9);
  const std::string_view text = input.rest();

  TransferDecoder whole(encoding), cut(encoding);
  const std::string content = decoded(whole, text, text.size() + 1);
  must(content == decoded(cut, text, piece), "a content is the same however it is cut");
  must(content.size() <= text.size(), "a content is not longer than its encoding");

  CharsetDecoder at_once(charset), in_pieces(charset);
  const std::string utf8 = decoded(at_once, content, content.size() + 1);
  must(utf8 == decoded(in_pieces, content, piece), "a text is the same however it is cut");
  must(is_valid_utf8(utf8), "a text is UTF-8");
  must(utf8.size() <= 6 * content.size() + 16, "a text stays small");
  must(to_utf8(content, charset) == utf8, "a text is the same at once");

  must(base64_decode(base64_encode(text)) == text, "base64 both ways");
  if (const auto octets = base64_decode(text)) must(base64_encode(*octets) == text, "base64 has one form");
  must(smtp::xtext_decode(smtp::xtext_encode(text)) == text, "xtext both ways");
  return 0;
}
