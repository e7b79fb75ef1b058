// The index as a value: which part a section names, and the blob that stores it.
#include <gtest/gtest.h>

#include <random>

#include "tests/mail/mime_test_support.h"

namespace postrider {
namespace {

/// The example of RFC 3501 6.4.5, with the numbers of its parts as their text.
const std::string kRfcExample = crlf(R"(Content-Type: multipart/mixed; boundary=top

--top
Content-Type: text/plain

1
--top
Content-Type: application/octet-stream

2
--top
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=three

--three
Content-Type: text/plain

3.1
--three
Content-Type: application/octet-stream

3.2
--three--
--top
Content-Type: multipart/mixed; boundary=four

--four
Content-Type: image/gif

4.1
--four
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=fourtwo

--fourtwo
Content-Type: text/plain

4.2.1
--fourtwo
Content-Type: multipart/alternative; boundary=fourtwotwo

--fourtwotwo
Content-Type: text/plain

4.2.2.1
--fourtwotwo
Content-Type: text/richtext

4.2.2.2
--fourtwotwo--
--fourtwo--
--four--
--top--
)");

TEST(MimeIndexFind, SectionsOfTheExampleInRfc3501) {
  auto summary = summarize(kRfcExample);
  EXPECT_EQ(section(kRfcExample, summary, {1}), "1");
  EXPECT_EQ(section(kRfcExample, summary, {2}), "2");
  EXPECT_EQ(summary.index.find({3})->kind, PartKind::message);
  EXPECT_EQ(section(kRfcExample, summary, {3, 1}), "3.1");
  EXPECT_EQ(section(kRfcExample, summary, {3, 2}), "3.2");
  EXPECT_EQ(summary.index.find({4})->kind, PartKind::multipart);
  EXPECT_EQ(section(kRfcExample, summary, {4, 1}), "4.1");
  EXPECT_EQ(summary.index.find({4, 2})->kind, PartKind::message);
  EXPECT_EQ(section(kRfcExample, summary, {4, 2, 1}), "4.2.1");
  EXPECT_EQ(summary.index.find({4, 2, 2})->kind, PartKind::multipart);
  EXPECT_EQ(section(kRfcExample, summary, {4, 2, 2, 1}), "4.2.2.1");
  EXPECT_EQ(section(kRfcExample, summary, {4, 2, 2, 2}), "4.2.2.2");
}

TEST(MimeIndexFind, NumbersWithoutAPart) {
  auto index = summarize(kRfcExample).index;
  for (const std::vector<uint32_t>& numbers : std::vector<std::vector<uint32_t>>{
           {0}, {5}, {1, 1}, {3, 3}, {3, 1, 1}, {4, 3}, {4'294'967'295}, std::vector<uint32_t>(1'000, 1)}) {
    EXPECT_EQ(index.find(numbers), nullptr) << testing::PrintToString(numbers);
  }
}

TEST(MimeIndexFind, OneOfAPlainMessageIsItsBody) {
  std::string message = "Subject: x\r\n\r\nbody";
  auto summary = summarize(message);
  EXPECT_EQ(summary.index.find({}), &summary.index.parts[0]);
  EXPECT_EQ(summary.index.find({1}), &summary.index.parts[0]);
  EXPECT_EQ(summary.index.find({2}), nullptr);
  EXPECT_EQ(summary.index.find({1, 1}), nullptr);
}

TEST(MimeIndexFind, OneOfAPlainMessageInsideAMessageIsItsBody) {
  std::string message = crlf(
      "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\nSubject: "
      "y\n\ninner\n--b--\n");
  auto summary = summarize(message);
  EXPECT_EQ(section(message, summary, {2}), "Subject: y\r\n\r\ninner");
  EXPECT_EQ(section(message, summary, {2, 1}), "inner");
  EXPECT_EQ(summary.index.find({2, 2}), nullptr);
  EXPECT_EQ(summary.index.find({2, 1, 1}), nullptr);
}

TEST(MimeIndexFind, RootMayBeAMessageItself) {
  std::string message =
      crlf("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: y\n\ninnermost\n");
  auto summary = summarize(message);
  EXPECT_EQ(summary.index.find({1}), &summary.index.parts[0]);
  EXPECT_EQ(summary.index.find({1, 1}), &summary.index.parts[1]);
  EXPECT_EQ(section(message, summary, {1, 1, 1}), "innermost\r\n");
}

TEST(MimeIndexBlob, KeepsEverything) {
  auto index = summarize(kRfcExample).index;
  auto stored = MimeIndex::deserialize(index.serialize());
  ASSERT_TRUE(stored.has_value());
  ASSERT_EQ(stored->parts.size(), index.parts.size());
  for (size_t i = 0; i < index.parts.size(); ++i) {
    const auto& a = index.parts[i];
    const auto& b = stored->parts[i];
    EXPECT_EQ(a.kind, b.kind);
    EXPECT_EQ(a.parent, b.parent);
    EXPECT_EQ(a.number, b.number);
    EXPECT_EQ(a.header_offset, b.header_offset);
    EXPECT_EQ(a.header_size, b.header_size);
    EXPECT_EQ(a.body_size, b.body_size);
    EXPECT_EQ(a.body_lines, b.body_lines);
    EXPECT_EQ(a.type + a.subtype + a.charset + a.encoding, b.type + b.subtype + b.charset + b.encoding);
  }
}

TEST(MimeIndexBlob, EveryTruncationIsRefused) {
  std::string blob = summarize(kRfcExample).index.serialize();
  for (size_t size = 0; size < blob.size(); ++size) EXPECT_FALSE(MimeIndex::deserialize(blob.substr(0, size))) << size;
  EXPECT_FALSE(MimeIndex::deserialize(blob + "x"));
}

TEST(MimeIndexBlob, OtherVersionIsRefused) {
  std::string blob = summarize("").index.serialize();
  blob[0] = 2;
  EXPECT_FALSE(MimeIndex::deserialize(blob));
}

TEST(MimeIndexBlob, IndexWithoutPartsIsRefused) {
  EXPECT_FALSE(MimeIndex::deserialize(std::string("\x01\x00", 2)));
}

TEST(MimeIndexBlob, PartOutsideOfItsParentIsRefused) {
  auto index = summarize(kRfcExample).index;
  index.parts[1].body_size = index.parts[0].body_size + 1;
  EXPECT_FALSE(MimeIndex::deserialize(index.serialize()));
  index = summarize(kRfcExample).index;
  index.parts[1].parent = 40;
  EXPECT_FALSE(MimeIndex::deserialize(index.serialize()));
}

TEST(MimeIndexBlob, SizesThatWouldOverflowAreRefused) {
  auto index = summarize("").index;
  index.parts[0].header_size = ~uint64_t{0};
  index.parts[0].body_size = ~uint64_t{0};
  EXPECT_FALSE(MimeIndex::deserialize(index.serialize()));
}

TEST(MimeIndexBlob, DamagedOctetsNeverGiveAnUnsoundIndex) {
  std::string blob = summarize(kRfcExample).index.serialize();
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = blob;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    auto index = MimeIndex::deserialize(damaged);
    if (!index) continue;
    for (const auto& part : index->parts) {
      ASSERT_LT(part.parent, index->parts.size());
      ASSERT_LE(part.body_offset() + part.body_size, index->parts[0].body_offset() + index->parts[0].body_size);
    }
    index->find({4, 2, 2, 1});
  }
}

}  // namespace
}  // namespace postrider
