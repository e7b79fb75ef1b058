// Text of any charset as UTF-8, encoded words (RFC 2047), and the form in which IMAP searches text. Conversions by ICU.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace postrider {

/// Converts a text that streams by in pieces of any size. Octets that are nothing in the charset become U+FFFD.
class CharsetDecoder {
 public:
  /// An empty name is US-ASCII. In US-ASCII, and where ICU does not know the name, well-formed UTF-8 is taken as it is
  /// (that is what unlabelled 8-bit mail is), ASCII is kept and every other octet is replaced.
  explicit CharsetDecoder(std::string_view charset);
  ~CharsetDecoder();
  CharsetDecoder(const CharsetDecoder&) = delete;
  CharsetDecoder& operator=(const CharsetDecoder&) = delete;

  /// Appends UTF-8 to out. A character that is cut at the end of bytes waits for the next piece.
  void feed(std::string_view bytes, std::string& out);
  /// The text has ended: what waited becomes U+FFFD.
  void finish(std::string& out);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

std::string to_utf8(std::string_view bytes, std::string_view charset);

/// Whether a text in this charset can be converted: for IMAP's SEARCH CHARSET.
bool is_known_charset(std::string_view charset);

/// A header value with its encoded words decoded, as UTF-8. Blanks between adjacent words vanish; a character that is
/// split over words of one charset is put together; what is no encoded word stays as it is. Folding must have been
/// taken out already (unfold).
std::string decode_encoded_words(std::string_view value);

/// The form in which two texts are compared for IMAP's substring search, like i;unicode-casemap (RFC 5051): case
/// folded, compatibility forms decomposed, so that "STRASSE" finds "Straße" and "cafe" finds "Café". ASCII is only
/// lower-cased, fast. Invalid UTF-8 becomes U+FFFD. Folding pieces that were cut between characters gives the pieces of
/// the folded text, but for combining marks at the cut.
std::string fold_for_search(std::string_view utf8);

}  // namespace postrider
