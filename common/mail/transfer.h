// Content-Transfer-Encodings as a stream (RFC 2045 6). Lenient: used to search and to index text, where as much as can
// be made out is better than an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postrider {

class TransferDecoder {
 public:
  /// "base64" and "quoted-printable" in any case; every other encoding is passed on as it is.
  explicit TransferDecoder(std::string_view encoding);

  /// Appends the decoded octets to out. Pieces may be cut anywhere.
  /// base64: what is not in the alphabet is skipped, padding ends a group, so texts put one after the other decode.
  /// quoted-printable: "=" before something that is no hexadecimal pair stands for itself; blanks before a line end are
  /// dropped.
  void feed(std::string_view bytes, std::string& out);
  /// The content has ended: what is still held back is put out.
  void finish(std::string& out);

 private:
  enum class Encoding : uint8_t { identity, base64, quoted_printable };
  void feed_base64(std::string_view bytes, std::string& out);
  void feed_quoted_printable(std::string_view bytes, std::string& out);
  size_t take_escape(std::string_view text, std::string& out, bool ended);

  Encoding encoding_ = Encoding::identity;
  uint32_t bits_ = 0;  // base64: up to three sextets of an unfinished group
  uint32_t sextets_ = 0;
  std::string held_;  // quoted-printable: blanks that may end a line, or a cut escape
};

}  // namespace postrider
