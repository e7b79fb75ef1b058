#include "common/smtp/dot_codec.h"

#include <gtest/gtest.h>

#include <vector>

namespace postrider::smtp {
namespace {

using namespace std::string_literals;

struct Decoded {
  std::string text;
  std::string rest;  // what came behind the end
  bool ended = false, bare = false, too_long = false;
  bool operator==(const Decoded&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Decoded& d) {
  return out << testing::PrintToString(d.text) << " rest " << testing::PrintToString(d.rest) << " ended " << d.ended
             << " bare " << d.bare << " too long " << d.too_long;
}

/// Decodes in pieces that end at the given places.
Decoded decode_pieces(std::string_view input, const std::vector<size_t>& cuts, size_t max_line) {
  DotDecoder decoder(max_line);
  Decoded result;
  size_t begin = 0;
  for (size_t index = 0; index <= cuts.size(); ++index) {
    const size_t end = index < cuts.size() ? cuts[index] : input.size();
    const auto piece = input.substr(begin, end - begin);
    const size_t taken = decoder.feed(piece, result.text);
    result.rest += piece.substr(taken);
    begin = end;
  }
  result.ended = decoder.ended();
  result.bare = decoder.bare_line_end();
  result.too_long = decoder.line_too_long();
  return result;
}

/// In one piece; and the same at every split and octet by octet.
Decoded decode(std::string_view input, size_t max_line = 1'000) {
  const Decoded whole = decode_pieces(input, {}, max_line);
  std::vector<size_t> every;
  for (size_t cut = 0; cut <= input.size(); ++cut) {
    EXPECT_EQ(decode_pieces(input, {cut}, max_line), whole) << "split at " << cut;
    for (size_t second = cut; second <= input.size() && input.size() < 40; ++second) {
      EXPECT_EQ(decode_pieces(input, {cut, second}, max_line), whole) << "split at " << cut << " and " << second;
    }
    every.push_back(cut);
  }
  EXPECT_EQ(decode_pieces(input, every, max_line), whole) << "octet by octet";
  return whole;
}

TEST(DotDecoder, TakesTheTextUpToTheEnd) {
  const auto d = decode("Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n");
  EXPECT_EQ(d.text, "Subject: x\r\n\r\nbody\r\n");
  EXPECT_EQ(d.rest, "QUIT\r\n");
  EXPECT_TRUE(d.ended);
  EXPECT_FALSE(d.bare);
}

TEST(DotDecoder, TheEmptyMessageIsADotAtOnce) {
  const auto d = decode(".\r\n");
  EXPECT_EQ(d.text, "");
  EXPECT_TRUE(d.ended);
}

TEST(DotDecoder, TakesOneDotOutOfALineThatBeginsWithOne) {
  EXPECT_EQ(decode("..\r\n.a\r\n...\r\n.\r\n").text, ".\r\na\r\n..\r\n");
}

TEST(DotDecoder, DotsElsewhereStay) {
  EXPECT_EQ(decode("a.\r\nb.c\r\n.\r\n").text, "a.\r\nb.c\r\n");
}

// What one server takes for an end and another does not carries a second message past a filter.
TEST(DotDecoder, OnlyCrLfDotCrLfEnds) {
  for (const auto& fake : {"\n.\n"s, "\n.\r\n"s, "\r\n.\n"s, "\r.\r"s, "\r.\r\n"s, "\r\n.\r"s, "\n\r.\r\n"s,
                           "\r\n.\r\r\n"s, "\r\r\n.\n"s, "\n.\r"s, "\r\n\0.\r\n"s}) {
    const auto d = decode("a" + fake + "MAIL FROM:<x@example.org>\r\n.\r\nREST");
    EXPECT_TRUE(d.ended) << testing::PrintToString(fake);
    EXPECT_EQ(d.rest, "REST") << testing::PrintToString(fake);
    EXPECT_EQ(d.bare, fake.find('\0') == std::string::npos) << testing::PrintToString(fake);
    EXPECT_NE(d.text.find("MAIL FROM"), std::string::npos);
  }
}

TEST(DotDecoder, ABareCrJustBeforeAnEndDoesNotHideIt) {
  const auto d = decode("a\r\r\n.\r\nREST");
  EXPECT_TRUE(d.ended);
  EXPECT_TRUE(d.bare);
  EXPECT_EQ(d.text, "a\r\r\n");
  EXPECT_EQ(d.rest, "REST");
}

TEST(DotDecoder, KeepsOctetsThatAreNotLineEnds) {
  const std::string octets = "\0\x01\x7f\x80\xff\t"s;
  EXPECT_EQ(decode(octets + "\r\n.\r\n").text, octets + "\r\n");
}

TEST(DotDecoder, NoticesALineThatIsTooLong) {
  const std::string line(98, 'x');
  EXPECT_FALSE(decode(line + "\r\n.\r\n", 100).too_long);
  const auto d = decode(line + "x\r\n.\r\nREST", 100);
  EXPECT_TRUE(d.too_long);
  EXPECT_EQ(d.rest, "REST");  // still in step
}

TEST(DotDecoder, AMegabyteWithoutALineEndIsTooLongAndHarmless) {
  DotDecoder decoder(1'000);
  std::string out;
  const std::string input(1 << 20, 'x');
  EXPECT_EQ(decoder.feed(input, out), input.size());
  EXPECT_TRUE(decoder.line_too_long());
  EXPECT_FALSE(decoder.ended());
}

TEST(DotDecoder, EveryShortTextOfDangerousOctetsAgreesAtEverySplit) {
  constexpr std::string_view kOctets = "\r\n.x";
  std::string text;
  for (size_t number = 0; number < 4 * 4 * 4 * 4 * 4 * 4; ++number) {
    text.clear();
    for (size_t rest = number, place = 0; place < 6; ++place, rest /= 4) text += kOctets[rest % 4];
    const auto d = decode_pieces(text, {}, 100);
    for (size_t cut = 1; cut < text.size(); ++cut)
      ASSERT_EQ(decode_pieces(text, {cut}, 100), d) << testing::PrintToString(text);
    // The rule, said another way: it ends at the first CRLF.CRLF of "CRLF + text".
    const std::string whole = "\r\n" + text;
    const auto end = whole.find("\r\n.\r\n");
    ASSERT_EQ(d.ended, end != std::string::npos) << testing::PrintToString(text);
    if (d.ended) {
      ASSERT_EQ(d.rest, whole.substr(end + 5)) << testing::PrintToString(text);
    }
  }
}

TEST(LineEndScanner, NoticesABareCrOrLfAtEverySplit) {
  constexpr std::string_view kOctets = "\r\n.x";
  std::string text;
  for (size_t number = 0; number < 4 * 4 * 4 * 4 * 4; ++number) {
    text.clear();
    for (size_t rest = number, place = 0; place < 5; ++place, rest /= 4) text += kOctets[rest % 4];
    std::string without = text;
    for (size_t at; (at = without.find("\r\n")) != std::string::npos;) without.replace(at, 2, "_");
    const bool bare = without.find_first_of("\r\n") != std::string::npos;
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      LineEndScanner scanner;
      scanner.feed(std::string_view(text).substr(0, cut));
      scanner.feed(std::string_view(text).substr(cut));
      ASSERT_EQ(scanner.bare_line_end(), bare) << testing::PrintToString(text) << " split at " << cut;
    }
  }
}

std::string encode(std::string_view text) {
  DotEncoder encoder;
  std::string whole;
  encoder.feed(text, whole);
  encoder.finish(whole);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    std::string pieces;
    encoder.feed(text.substr(0, cut), pieces);
    encoder.feed(text.substr(cut), pieces);
    encoder.finish(pieces);
    EXPECT_EQ(pieces, whole) << "split at " << cut;
  }
  return whole;
}

TEST(DotEncoder, AddsADotWhereALineBeginsWithOne) {
  EXPECT_EQ(encode(".a\r\n..\r\nb.\r\n"), "..a\r\n...\r\nb.\r\n.\r\n");
}

TEST(DotEncoder, ClosesALineThatIsOpen) {
  EXPECT_EQ(encode("a"), "a\r\n.\r\n");
  EXPECT_EQ(encode("a\r\n"), "a\r\n.\r\n");
  EXPECT_EQ(encode(""), ".\r\n");
}

TEST(DotEncoder, NeverSendsABareCrOrLf) {
  EXPECT_EQ(encode("a\n.\nb"), "a\r\n..\r\nb\r\n.\r\n");
  EXPECT_EQ(encode("a\r.\rb"), "a\r\n..\r\nb\r\n.\r\n");
  EXPECT_EQ(encode("a\r\r\n.\r\n"), "a\r\n\r\n..\r\n.\r\n");
}

TEST(DotEncoder, WhatItWritesIsOneMessageForTheDecoder) {
  constexpr std::string_view kOctets = "\r\n.x";
  std::string text;
  for (size_t number = 0; number < 4 * 4 * 4 * 4 * 4 * 4; ++number) {
    text.clear();
    for (size_t rest = number, place = 0; place < 6; ++place, rest /= 4) text += kOctets[rest % 4];
    const auto d = decode_pieces(encode(text), {}, 100);
    ASSERT_TRUE(d.ended && d.rest.empty() && !d.bare) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace postrider::smtp
