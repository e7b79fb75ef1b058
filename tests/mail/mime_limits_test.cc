// Hostile messages: every one of them is described, within the limits that have names, and the same in pieces of any
// size.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "tests/mail/mime_test_support.h"

namespace postrider {
namespace {

/// No part is larger than the one it lies in, none overlaps the one before it, and the blob says the same as the index.
void expect_sound(const MimeSummary& summary) {
  const auto& parts = summary.index.parts;
  ASSERT_FALSE(parts.empty());
  EXPECT_LE(parts.size(), kMaxMimeParts);
  EXPECT_EQ(parts[0].header_size + parts[0].body_size, summary.size);
  auto end_of = [](const MimePart& part) { return part.body_offset() + part.body_size; };
  std::vector<uint64_t> child_end(parts.size(), 0);
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto& parent = parts[parts[i].parent];
    ASSERT_LT(parts[i].parent, i);
    EXPECT_GE(parts[i].header_offset, parent.body_offset());
    EXPECT_LE(end_of(parts[i]), end_of(parent));
    EXPECT_GE(parts[i].header_offset, child_end[parts[i].parent]);
    EXPECT_LE(parts[i].body_lines, parent.body_lines + 1);
    child_end[parts[i].parent] = end_of(parts[i]);
  }
  auto stored = MimeIndex::deserialize(summary.index.serialize());
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->serialize(), summary.index.serialize());
  EXPECT_NE(body_from_bodystructure(summary.bodystructure), summary.bodystructure);
}

TEST(MimeLimits, TenThousandNestedMultipartsAreDescribedToTheLimit) {
  std::string message;
  for (int i = 0; i < 10'000; ++i)
    message += fmt::format("Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n", i);
  message += "\r\ntext\r\n";
  auto summary = summarize(message, 4'096);
  expect_sound(summary);
  EXPECT_EQ(summary.index.parts.size(), kMaxMimeDepth + 1);
}

TEST(MimeLimits, ThousandMessagesInEachOtherAreDescribedToTheLimit) {
  std::string message;
  for (int i = 0; i < 1'000; ++i) message += "Content-Type: message/rfc822\r\n\r\n";
  auto summary = summarize(message + "Subject: x\r\n\r\n");
  expect_sound(summary);
  EXPECT_EQ(summary.index.parts.size(), kMaxMimeDepth + 1);
}

TEST(MimeLimits, MorePartsThanTheLimitAreLeftOut) {
  std::string message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (size_t i = 0; i < 2 * kMaxMimeParts; ++i) message += "--b\r\n\r\nx\r\n";
  auto summary = summarize(message + "--b--\r\n", 1'000);
  expect_sound(summary);
  EXPECT_EQ(summary.index.parts.size(), kMaxMimeParts);
  EXPECT_EQ(summary.index.find({4'999})->body_size, 1U);
}

/// Peak memory of this process in KiB.
long peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(MimeLimits, HeaderOfAHundredMegabytesTakesNoMemory) {
  std::string piece(1 << 20, 'x');
  MimeIndexer indexer;
  indexer.feed("Subject: short\r\nX-Long: ");
  indexer.feed(piece);
  long before = peak_memory();
  for (int i = 0; i < 100; ++i) indexer.feed(piece);
  EXPECT_LT(peak_memory() - before, 4 * 1'024);
  indexer.feed("\r\nContent-Type: text/html\r\n\r\nbody");
  auto summary = indexer.finish();
  EXPECT_EQ(summary.index.parts[0].subtype, "plain");  // what is behind the limit is not interpreted
  EXPECT_EQ(summary.index.parts[0].body_size, 4U);
  EXPECT_EQ(summary.envelope, R"((NIL "short" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

TEST(MimeLimits, MillionsOfHeaderFieldsAreReadOver) {
  std::string piece;
  for (int i = 0; i < 10'000; ++i) piece += "a:\r\n";
  MimeIndexer indexer;
  for (int i = 0; i < 1'000; ++i) indexer.feed(piece);
  indexer.feed("\r\nbody");
  auto summary = indexer.finish();
  EXPECT_EQ(summary.head_size, 40'000'002U);
  EXPECT_EQ(summary.index.parts[0].body_size, 4U);
}

TEST(MimeLimits, FieldThatTheLimitCutsIsNotLookedAt) {
  std::string message =
      "X: " + std::string(kMaxHeaderBlock - 20, 'x') + "\r\nSubject: much longer than what is left\r\n\r\n";
  EXPECT_EQ(summarize(message).envelope, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
}

TEST(MimeLimits, HugePartHeadersDoNotMakeAHugeBodystructure) {
  std::string message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 200; ++i) message += "--b\r\nContent-Description: " + std::string(100'000, 'd') + "\r\n\r\nx\r\n";
  auto summary = summarize(message + "--b--\r\n");
  expect_sound(summary);
  EXPECT_EQ(summary.index.parts.size(), 201U);
  EXPECT_LT(summary.bodystructure.size(), 2U << 20);
}

TEST(MimeLimits, ParameterInAHundredThousandPiecesIsCut) {
  std::string message = "Content-Type: text/plain";
  for (int i = 0; i < 100'000; ++i) message += fmt::format("; name*{}=x", i);
  auto summary = summarize(message + "\r\n\r\n");
  EXPECT_LT(summary.bodystructure.size(), 10'000U);
  std::string short_one = "Content-Type: text/plain; name*0=a;\r\n name*1=b\r\n\r\n";
  EXPECT_EQ(summarize(short_one).bodystructure,
            R"(("text" "plain" ("name*0" "a" "name*1" "b") NIL NIL "7bit" 0 0 NIL NIL NIL NIL))");
}

TEST(MimeLimits, CommentsNestedAMillionDeepAreSteppedOver) {
  std::string deep =
      "Date: " + std::string(200'000, '(') + "\r\nSubject: x\r\nContent-Type: " + std::string(50'000, '(') + "\\";
  auto summary = summarize(deep);
  expect_sound(summary);
  EXPECT_EQ(summary.index.parts[0].type, "text");
}

TEST(MimeLimits, HalfAMillionLinesOfDashesInFiftyMultipartsEnd) {
  std::string message;
  for (int i = 0; i < 50; ++i)
    message += fmt::format("Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n", i);
  MimeIndexer indexer;
  indexer.feed(message + "\r\n");
  std::string piece;
  for (int i = 0; i < 100'000; ++i) piece += "--b\n";
  for (int i = 0; i < 5; ++i) indexer.feed(piece);
  auto summary = indexer.finish();
  EXPECT_EQ(summary.index.parts.back().body_lines, 500'000U);
}

/// A message of random pieces that have a meaning, so that odd orders of them come up.
std::string random_message(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {"--a\r\n",
                                                   "--a--\r\n",
                                                   "--b\r\n",
                                                   "--b--\r\n",
                                                   "--ab\n",
                                                   "--",
                                                   "-",
                                                   "\r",
                                                   "\n",
                                                   "\r\n",
                                                   "\r\n\r\n",
                                                   "text",
                                                   "a: b\r\n",
                                                   "Content-Type: multipart/mixed; boundary=a\r\n",
                                                   "Content-Type: multipart/mixed;\r\n boundary=\"b\"\r\n",
                                                   "Content-Type: multipart/digest; boundary=ab\r\n",
                                                   "Content-Type: message/rfc822\r\n",
                                                   "Content-Type: text/html\r\n",
                                                   "Content-Type: ;;=\"\r\n",
                                                   "From: \"a\" <b@c>, d: e@f\r\n",
                                                   " folded\r\n",
                                                   std::string("\0", 1),
                                                   "\xff\xfe",
                                                   "Subject: \"\\\r\n"};
  std::string message;
  for (auto count = random() % 40; count > 0; --count) message += kPieces[random() % kPieces.size()];
  return message;
}

TEST(MimeLimits, RandomMessagesAreSoundAndTheSameInAnyPieces) {
  std::mt19937 random(7);  // a fixed seed: a failure comes again
  for (int round = 0; round < 3'000; ++round) {
    std::string message = random_message(random);
    auto summary = summarize(message);
    expect_sound(summary);
    ASSERT_EQ(describe(summarize(message, 1)), describe(summary)) << testing::PrintToString(message);
    size_t split = message.empty() ? 0 : random() % message.size();
    ASSERT_EQ(describe(summarize_split(message, split)), describe(summary)) << testing::PrintToString(message) << split;
    if (HasFailure()) FAIL() << testing::PrintToString(message);
  }
}

TEST(MimeLimits, EverySplitOfSomeRandomMessages) {
  std::mt19937 random(11);
  for (int round = 0; round < 100; ++round) {
    std::string message = random_message(random);
    std::string expected = describe(summarize(message));
    for (size_t split = 0; split <= message.size(); ++split)
      ASSERT_EQ(describe(summarize_split(message, split)), expected);
  }
}

}  // namespace
}  // namespace postrider
