// Offsets, sizes and lines of the parts: what an IMAP client cuts a message up by.
#include <gtest/gtest.h>

#include "tests/mail/mime_test_support.h"

namespace postrider {
namespace {

const std::string kMixed = crlf(R"(From: a@example.org
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: text/plain; charset=UTF-8

first
line two
--outer
Content-Type: multipart/alternative; boundary=inner

--inner

plain
--inner
Content-Type: text/html

<p>html</p>

--inner--
inner epilogue
--outer
Content-Type: message/rfc822

Subject: inside
Content-Type: multipart/mixed; boundary=deep

--deep

deep one
--deep--

--outer--
epilogue
)");

TEST(MimeIndexer, PlainMessageIsOnePart) {
  std::string message = crlf("Subject: x\n\none\ntwo\n");
  auto summary = summarize(message);
  ASSERT_EQ(summary.index.parts.size(), 1U);
  const auto& part = summary.index.parts[0];
  EXPECT_EQ(part.kind, PartKind::leaf);
  EXPECT_EQ(part.type + "/" + part.subtype, "text/plain");
  EXPECT_EQ(header_of(message, part), "Subject: x\r\n\r\n");
  EXPECT_EQ(body_of(message, part), "one\r\ntwo\r\n");
  EXPECT_EQ(part.body_lines, 2U);
  EXPECT_EQ(summary.size, message.size());
  EXPECT_EQ(summary.head_size, 14U);
}

TEST(MimeIndexer, LineEndBeforeABoundaryBelongsToTheBoundary) {
  auto summary = summarize(kMixed);
  EXPECT_EQ(section(kMixed, summary, {1}), "first\r\nline two");
  EXPECT_EQ(summary.index.find({1})->body_lines, 1U);
  EXPECT_EQ(section(kMixed, summary, {2, 1}), "plain");
  EXPECT_EQ(section(kMixed, summary, {2, 2}), "<p>html</p>\r\n");
}

TEST(MimeIndexer, MultipartHasItsPreambleAndEpilogueInItsBody) {
  auto summary = summarize(kMixed);
  auto inner = section(kMixed, summary, {2});
  EXPECT_TRUE(inner.starts_with("--inner\r\n"));
  EXPECT_TRUE(inner.ends_with("--inner--\r\ninner epilogue"));
  EXPECT_TRUE(section(kMixed, summary, {}).ends_with("--outer--\r\nepilogue\r\n"));
}

TEST(MimeIndexer, PartWithoutHeaderFieldsHasTheEmptyLineAsHeader) {
  auto summary = summarize(kMixed);
  EXPECT_EQ(header_of(kMixed, *summary.index.find({2, 1})), "\r\n");
}

TEST(MimeIndexer, MessageHoldsTheMessageInside) {
  auto summary = summarize(kMixed);
  const auto* message = summary.index.find({3});
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(message->kind, PartKind::message);
  EXPECT_TRUE(body_of(kMixed, *message).starts_with("Subject: inside\r\n"));
  EXPECT_TRUE(body_of(kMixed, *message).ends_with("--deep--\r\n"));
  EXPECT_EQ(section(kMixed, summary, {3, 1}), "deep one");
}

TEST(MimeIndexer, EveryPieceSizeAndEverySplitGiveTheSame) {
  std::string expected = describe(summarize(kMixed));
  for (size_t piece = 1; piece < 40; ++piece) EXPECT_EQ(describe(summarize(kMixed, piece)), expected) << piece;
  for (size_t split = 0; split <= kMixed.size(); ++split) {
    EXPECT_EQ(describe(summarize_split(kMixed, split)), expected) << split;
  }
}

TEST(MimeIndexer, BareLineFeedsAreLineEnds) {
  std::string message = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\ntwo\n--b\r\n\r\nthree\r\n--b--\n";
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1}), "one\ntwo");
  EXPECT_EQ(summary.index.find({1})->body_lines, 1U);
  EXPECT_EQ(section(message, summary, {2}), "three");
  for (size_t split = 0; split <= message.size(); ++split) {
    EXPECT_EQ(describe(summarize_split(message, split)), describe(summary)) << split;
  }
}

TEST(MimeIndexer, LoneCarriageReturnIsNoLineEnd) {
  std::string message = "Subject: a\rb\r\r\n\r\nbody\r--b\r\n";
  auto summary = summarize(message);
  EXPECT_EQ(summary.head_size, 17U);
  EXPECT_EQ(summary.index.parts[0].body_lines, 1U);
}

TEST(MimeIndexer, MissingCloseDelimiterEndsWithTheText) {
  std::string message = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1}), "one\r\n");
}

TEST(MimeIndexer, CloseDelimiterMayLackItsLineEnd) {
  std::string message = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1}), "one");
  EXPECT_EQ(describe(summarize(message, 1)), describe(summary));
}

TEST(MimeIndexer, OuterBoundaryEndsInnerParts) {
  std::string message = crlf(
      "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; "
      "boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--\n");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1, 1}), "x");
  EXPECT_EQ(section(message, summary, {2}), "y");
}

TEST(MimeIndexer, BoundaryThatBeginsLikeTheOuterOneIsItsOwn) {
  std::string message = crlf(
      "Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/mixed; boundary=abc\n\n"
      "--abc\n\none\n--abcd\nstill one\n--abc\n\ntwo\n--abc--\n--ab\n\nthree\n--ab--\n");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1, 1}), "one\r\n--abcd\r\nstill one");
  EXPECT_EQ(section(message, summary, {1, 2}), "two");
  EXPECT_EQ(section(message, summary, {2}), "three");
}

TEST(MimeIndexer, InnerBoundaryThatIsAPrefixOfTheOuterOneIsItsOwn) {
  std::string message = crlf(
      "Content-Type: multipart/mixed; boundary=abc\n\n--abc\nContent-Type: multipart/mixed; boundary=ab\n\n"
      "--ab\n\none\n--abc\n\ntwo\n--abc--\n");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1, 1}), "one");
  EXPECT_EQ(section(message, summary, {2}), "two");
}

TEST(MimeIndexer, BlanksAfterABoundaryArePadding) {
  std::string message = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b-- \n");
  EXPECT_EQ(section(message, summarize(message), {1}), "one");
}

TEST(MimeIndexer, DelimitersInARowMakeEmptyParts) {
  std::string message = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\n\n\n--b--\n");
  auto summary = summarize(message);
  ASSERT_EQ(summary.index.parts.size(), 4U);
  for (uint32_t number = 1; number <= 3; ++number) EXPECT_EQ(section(message, summary, {number}), "") << number;
  EXPECT_EQ(summary.index.find({1})->header_size, 0U);
  EXPECT_EQ(summary.index.find({2})->header_size, 2U);
  EXPECT_EQ(summary.index.find({3})->header_size, 2U);
}

TEST(MimeIndexer, HeaderWithoutEmptyLineEndsAtTheBoundary) {
  std::string message = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b--\n");
  auto summary = summarize(message);
  const auto* part = summary.index.find({1});
  ASSERT_NE(part, nullptr);
  EXPECT_EQ(header_of(message, *part), "Content-Type: text/html");
  EXPECT_EQ(part->subtype, "html");
  EXPECT_EQ(part->body_size, 0U);
  EXPECT_EQ(part->body_lines, 0U);
}

TEST(MimeIndexer, MessageWithoutEmptyLineIsAllHeader) {
  std::string message = "Subject: x\r\nno colon here\r\n";
  auto summary = summarize(message);
  EXPECT_EQ(summary.head_size, message.size());
  EXPECT_EQ(summary.index.parts[0].body_size, 0U);
}

TEST(MimeIndexer, EmptyMessageIsOneEmptyPart) {
  auto summary = summarize("");
  ASSERT_EQ(summary.index.parts.size(), 1U);
  EXPECT_EQ(summary.size, 0U);
  EXPECT_EQ(summary.bodystructure, R"(("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 0 0 NIL NIL NIL NIL))");
}

TEST(MimeIndexer, NestedMessageEndsAtABoundaryRightAfterItsHeader) {
  std::string message =
      crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\n--b--\n");
  auto summary = summarize(message);
  const auto* outer = summary.index.find({1});
  ASSERT_NE(outer, nullptr);
  EXPECT_EQ(body_of(message, *outer), "Subject: x\r\n\r\n");
  EXPECT_EQ(outer->body_lines, 2U);
  EXPECT_EQ(section(message, summary, {1, 1}), "");
}

TEST(MimeIndexer, MultipartWithoutAnyPartIsText) {
  for (const char* type : {"multipart/mixed; boundary=b", "multipart/mixed", "multipart/mixed; boundary=\"\""}) {
    std::string message = "Content-Type: " + std::string(type) + "\r\n\r\njust text\r\n";
    auto summary = summarize(message);
    EXPECT_EQ(summary.index.parts[0].kind, PartKind::leaf) << type;
    EXPECT_EQ(summary.bodystructure, R"(("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 11 1 NIL NIL NIL NIL))")
        << type;
    EXPECT_EQ(section(message, summary, {1}), "just text\r\n") << type;
  }
}

TEST(MimeIndexer, DigestHoldsMessagesByDefault) {
  std::string message = crlf(
      "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nbody\n--b\nContent-Type: "
      "text/plain\n\nx\n--b--\n");
  auto summary = summarize(message);
  EXPECT_EQ(summary.index.find({1})->kind, PartKind::message);
  EXPECT_EQ(section(message, summary, {1, 1}), "body");
  EXPECT_EQ(summary.index.find({2})->type, "text");
}

TEST(MimeIndexer, EncodedMessageIsNotLookedInto) {
  std::string message =
      crlf("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQo=\n");
  auto summary = summarize(message);
  EXPECT_EQ(summary.index.parts.size(), 1U);
  EXPECT_EQ(summary.bodystructure, R"(("application" "octet-stream" NIL NIL NIL "base64" 22 NIL NIL NIL NIL))");
}

TEST(MimeIndexer, BoundaryOfTenKilobytesIsNone) {
  std::string boundary(10'000, 'b');
  std::string message =
      "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n\r\nx\r\n";
  auto summary = summarize(message);
  EXPECT_EQ(summary.index.parts.size(), 1U);
  EXPECT_EQ(describe(summarize(message, 7)), describe(summary));
}

TEST(MimeIndexer, LongestBoundaryIsFoundInEveryPieceSize) {
  std::string boundary(1'000, 'b');
  std::string message = "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary +
                        "\r\n\r\nx\r\n--" + boundary + "--\r\n--" + std::string(5'000, '-') + "\r\n";
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {1}), "x");
  for (size_t piece : {1U, 2U, 3U, 999U, 1'001U})
    EXPECT_EQ(describe(summarize(message, piece)), describe(summary)) << piece;
}

TEST(MimeIndexer, IndexerCanBeUsedAgainAfterItHasFinished) {
  MimeIndexer indexer;
  indexer.feed("Subject: one\r\n\r\n");
  indexer.finish();
  indexer.feed("Subject: two\r\n\r\n");
  EXPECT_EQ(indexer.finish().envelope, R"((NIL "two" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

}  // namespace
}  // namespace postrider
