#include "common/mail/transfer.h"

#include <gtest/gtest.h>

#include "common/base/base64.h"

namespace postrider {
namespace {

std::string decode(std::string_view encoding, std::string_view text, size_t piece = std::string_view::npos) {
  TransferDecoder decoder(encoding);
  std::string out;
  for (size_t i = 0; i < text.size(); i += std::min(piece, text.size() - i)) decoder.feed(text.substr(i, piece), out);
  decoder.finish(out);
  return out;
}

/// Decoded at every split and octet by octet; the results have to be one.
std::string decode_all_ways(std::string_view encoding, std::string_view text) {
  std::string whole = decode(encoding, text);
  for (size_t piece = 1; piece <= 4; ++piece) EXPECT_EQ(decode(encoding, text, piece), whole) << text << piece;
  for (size_t split = 0; split <= text.size(); ++split) {
    TransferDecoder decoder(encoding);
    std::string out;
    decoder.feed(text.substr(0, split), out);
    decoder.feed(text.substr(split), out);
    decoder.finish(out);
    EXPECT_EQ(out, whole) << text << split;
  }
  return whole;
}

TEST(Base64Content, IsDecoded) {
  EXPECT_EQ(decode_all_ways("BASE64", "SGVsbG8="), "Hello");
  EXPECT_EQ(decode_all_ways("base64", "SGVs\r\nbG8s\r\nIHc=\r\n"), "Hello, w");
  EXPECT_EQ(decode_all_ways(" base64 ", ""), "");
}

TEST(Base64Content, JunkIsSkipped) {
  using namespace std::string_literals;
  EXPECT_EQ(decode_all_ways("base64", "S!G-V s\0bG8="s), "Hello");
  EXPECT_EQ(decode_all_ways("base64", "SGV-sbG8="), "Hello");
}

TEST(Base64Content, TextsPutTogetherAreDecoded) {
  EXPECT_EQ(decode_all_ways("base64", "SGk=SGk="), "HiHi");
  EXPECT_EQ(decode_all_ways("base64", "SA==SGk="), "HHi");
}

TEST(Base64Content, MissingPaddingIsNoLoss) {
  EXPECT_EQ(decode_all_ways("base64", "SGVsbG8"), "Hello");
  EXPECT_EQ(decode_all_ways("base64", "SA"), "H");
  EXPECT_EQ(decode_all_ways("base64", "S"), "");
  EXPECT_EQ(decode_all_ways("base64", "===="), "");
}

TEST(Base64Content, EveryOctetComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(decode_all_ways("base64", base64_encode(all)), all);
}

TEST(QuotedPrintable, IsDecoded) {
  EXPECT_EQ(decode_all_ways("quoted-printable", "caf=C3=A9 =3D\r\n"), "caf\xc3\xa9 =\r\n");
  EXPECT_EQ(decode_all_ways("Quoted-Printable", "a=c3=a9"), "a\xc3\xa9");
}

TEST(QuotedPrintable, SoftLineBreaksVanish) {
  EXPECT_EQ(decode_all_ways("quoted-printable", "one=\r\ntwo=\nthree= \t\r\nfour="), "onetwothreefour");
}

TEST(QuotedPrintable, BlanksBeforeALineEndVanish) {
  EXPECT_EQ(decode_all_ways("quoted-printable", "a \t\r\nb  c \n d  "), "a\r\nb  c\n d");
}

TEST(QuotedPrintable, BrokenEscapesStandForThemselves) {
  EXPECT_EQ(decode_all_ways("quoted-printable", "a=ZZ b=4x =\tc =="), "a=ZZ b=4x =\tc =");
  EXPECT_EQ(decode_all_ways("quoted-printable", "x=4"), "x=4");
}

TEST(QuotedPrintable, LongRunsOfBlanksAreKeptWithoutHoldingThem) {
  std::string text = std::string(100'000, ' ') + "x";
  EXPECT_EQ(decode("quoted-printable", text, 500), text);
}

TEST(OtherEncodings, ArePassedOn) {
  for (const char* encoding : {"", "7bit", "8bit", "binary", "x-uuencode"})
    EXPECT_EQ(decode(encoding, "a=3D\r\n", 1), "a=3D\r\n");
}

}  // namespace
}  // namespace postrider
