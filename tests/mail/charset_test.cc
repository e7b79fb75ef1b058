#include "common/mail/charset.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

const std::string kBad = "\xef\xbf\xbd";

TEST(ToUtf8, ConvertsKnownCharsets) {
  EXPECT_EQ(to_utf8("caf\xe9", "ISO-8859-1"), "caf\xc3\xa9");
  EXPECT_EQ(to_utf8("\x80", "iso-8859-1"), "\xe2\x82\xac");  // the vendor's superset, as it is in use
  EXPECT_EQ(to_utf8("\xcf\xf0\xe8", "windows-1251"), "\xd0\x9f\xd1\x80\xd0\xb8");
  EXPECT_EQ(to_utf8("\x1b$B$\"\x1b(B", "iso-2022-jp"), "\xe3\x81\x82");
  EXPECT_EQ(to_utf8("\xc4\xe3", "gb2312"), "\xe4\xbd\xa0");
  EXPECT_EQ(to_utf8("\xc3\xa9", "UTF-8"), "\xc3\xa9");
}

TEST(ToUtf8, UnknownCharsetKeepsAsciiAndReplacesTheRest) {
  EXPECT_EQ(to_utf8("ab\xe9"
                    "c",
                    "x-no-such-charset"),
            "ab" + kBad + "c");
  EXPECT_EQ(to_utf8("ab\xe9", ""), "ab" + kBad);
  EXPECT_EQ(to_utf8("ab\xe9", std::string(10'000, 'x')), "ab" + kBad);
  EXPECT_EQ(to_utf8("ab", "utf-8\r\n,swaplfnl"), "ab");
}

TEST(ToUtf8, UnlabelledUtf8IsTakenAsItIs) {
  EXPECT_EQ(to_utf8("\xc3\xa9", "us-ascii"), "\xc3\xa9");
}

TEST(ToUtf8, TruncatedAndInvalidUtf8IsReplaced) {
  EXPECT_EQ(to_utf8("a\xc3", "utf-8"), "a" + kBad);
  EXPECT_EQ(to_utf8("a\xff"
                    "b",
                    "utf-8"),
            "a" + kBad + "b");
  EXPECT_EQ(to_utf8("\xe2\x82", "utf-8"), kBad + kBad);
}

TEST(CharsetDecoder, EverySplitGivesTheSame) {
  struct Case {
    std::string charset, text;
  };
  for (const auto& [charset, text] :
       {Case{"utf-8", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\xff\xe2\x82q\xf0\x9f"},
        Case{"gb18030", "\xc4\xe3\xba\xc3\x81\x30\x81\x30z"}, Case{"iso-2022-jp", "\x1b$B$\"$$\x1b(Bz"},
        Case{"utf-16le", std::string("a\0\x3d\xd8\x00\xde", 6)}}) {
    std::string expected = to_utf8(text, charset);
    for (size_t split = 0; split <= text.size(); ++split) {
      CharsetDecoder decoder(charset);
      std::string out;
      decoder.feed(std::string_view(text).substr(0, split), out);
      decoder.feed(std::string_view(text).substr(split), out);
      decoder.finish(out);
      EXPECT_EQ(out, expected) << charset << split;
    }
    CharsetDecoder decoder(charset);
    std::string out;
    for (char c : text) decoder.feed(std::string_view(&c, 1), out);
    decoder.finish(out);
    EXPECT_EQ(out, expected) << charset;
  }
}

TEST(CharsetDecoder, LongTextIsWhole) {
  std::string text(100'000, '\xe9'), expected;
  for (int i = 0; i < 100'000; ++i) expected += "\xc3\xa9";
  EXPECT_EQ(to_utf8(text, "iso-8859-15"), expected);
}

TEST(KnownCharset, ForSearch) {
  EXPECT_TRUE(is_known_charset("UTF-8"));
  EXPECT_TRUE(is_known_charset("us-ascii"));
  EXPECT_TRUE(is_known_charset("koi8-r"));
  EXPECT_FALSE(is_known_charset("x-no-such-charset"));
}

TEST(EncodedWords, AreDecoded) {
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?caf=C3=A9_x?="), "caf\xc3\xa9 x");
  EXPECT_EQ(decode_encoded_words("=?ISO-8859-1?B?Y2Fm6Q==?="), "caf\xc3\xa9");
  EXPECT_EQ(decode_encoded_words("a =?utf-8*en?Q?b?= c"), "a b c");
  EXPECT_EQ(decode_encoded_words("plain text"), "plain text");
}

TEST(EncodedWords, BlanksBetweenTwoOfThemVanish) {
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?a?=  =?utf-8?q?b?= c =?utf-8?q?d?="), "ab c d");
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?a?= =?broken"), "a =?broken");
}

TEST(EncodedWords, CharacterSplitOverTwoOfThemIsPutTogether) {
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?=C3?= =?UTF-8?q?=A9?="), "\xc3\xa9");
  EXPECT_EQ(decode_encoded_words("=?utf-8?b?ww==?= =?utf-8?b?qQ==?="), "\xc3\xa9");
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?=C3?= =?iso-8859-1?q?=A9?="), kBad + "\xc2\xa9");
}

TEST(EncodedWords, BrokenOnesStayAsTheyAre) {
  for (const char* text :
       {"=?", "=?\?=", "=?utf-8?q?", "=?utf-8?x?a?=", "=?utf-8?q?a?", "=? ?q?a?=", "=?utf-8?q", "=?=?=?", "a=?b"}) {
    EXPECT_EQ(decode_encoded_words(text), text);
  }
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?=ZZ=?="), "=ZZ=");
  EXPECT_EQ(decode_encoded_words("=?utf-8?q?a b?="), "a b");
}

TEST(EncodedWords, RingOfCharsetsAndHostileTextEnd) {
  std::string ring;
  for (int i = 0; i < 2'000; ++i) ring += i % 2 == 0 ? "=?utf-8?q?a?= " : "=?koi8-r?q?=C1?= ";
  EXPECT_EQ(decode_encoded_words(ring).size(), 3'001U);
  for (std::string_view unit : {"=?", "=?a?q?", "=?a?q? ", "?=", "=?a?b?="}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    decode_encoded_words(text);
  }
}

TEST(FoldForSearch, AsciiIsLowerCased) {
  EXPECT_EQ(fold_for_search("Hello, World!"), "hello, world!");
}

TEST(FoldForSearch, CaseAndCompatibilityFormsAreOne) {
  EXPECT_EQ(fold_for_search("STRASSE"), fold_for_search("Stra\xc3\x9f"
                                                        "e"));
  EXPECT_EQ(fold_for_search("\xc3\x89T\xc3\x89"), fold_for_search("\xc3\xa9t\xc3\xa9"));
  EXPECT_EQ(fold_for_search("e\xcc\x81"), fold_for_search("\xc3\xa9"));
  EXPECT_EQ(fold_for_search("\xef\xbd\x81"), "a");  // full width
  EXPECT_EQ(fold_for_search("\xd0\x96"), fold_for_search("\xd0\xb6"));
  EXPECT_EQ(fold_for_search("\xce\xa3"), fold_for_search("\xcf\x82"));
}

TEST(FoldForSearch, LetterFindsItsAccentedForm) {
  EXPECT_NE(fold_for_search("Caf\xc3\xa9").find(fold_for_search("cafe")), std::string::npos);
}

TEST(FoldForSearch, InvalidUtf8IsReplaced) {
  EXPECT_EQ(fold_for_search("A\xff"
                            "B"),
            "a" + kBad + "b");
}

}  // namespace
}  // namespace postrider
