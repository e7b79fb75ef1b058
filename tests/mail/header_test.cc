#include "common/mail/header.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

constexpr std::string_view kBlock =
    "Received: one\r\nSubject: a\r\n folded\r\n\tvalue \r\nX-Empty:\r\nreceived : two\r\nTo: x@y\r\n\r\nBody: is no "
    "field\r\n";

std::string select(std::string_view block, const std::vector<std::string>& names, HeaderSelector::Mode mode) {
  std::string out;
  HeaderSelector(names, mode).append(block, out);
  return out;
}

TEST(HeaderReader, GivesNameValueAndRawOctets) {
  HeaderReader reader(kBlock);
  EXPECT_EQ(reader.next()->name, "Received");
  auto subject = reader.next();
  ASSERT_TRUE(subject.has_value());
  EXPECT_EQ(subject->name, "Subject");
  EXPECT_EQ(subject->value, " a\r\n folded\r\n\tvalue ");
  EXPECT_EQ(subject->unfolded(), "a folded\tvalue");
  EXPECT_EQ(subject->raw, "Subject: a\r\n folded\r\n\tvalue \r\n");
  EXPECT_EQ(reader.next()->unfolded(), "");
  EXPECT_EQ(reader.next()->name, "received");
}

TEST(HeaderReader, EndsAtTheEmptyLine) {
  HeaderReader reader(kBlock);
  size_t count = 0;
  while (reader.next()) ++count;
  EXPECT_EQ(count, 5U);
  EXPECT_FALSE(HeaderReader("\r\nA: b\r\n").next());
  EXPECT_FALSE(HeaderReader("\nA: b\n").next());
  EXPECT_FALSE(HeaderReader("").next());
}

TEST(HeaderReader, JunkLinesHaveNoName) {
  HeaderReader reader("From me Mon Jan 1\r\n continued\r\n: no name\r\nA: b\r\n\xc3\xa9: c\r\nB");
  EXPECT_EQ(reader.next()->raw, "From me Mon Jan 1\r\n continued\r\n");
  EXPECT_EQ(reader.next()->name, "");
  EXPECT_EQ(reader.next()->name, "A");
  EXPECT_EQ(reader.next()->name, "");
  auto last = reader.next();
  EXPECT_EQ(last->name, "");
  EXPECT_EQ(last->raw, "B");
  EXPECT_FALSE(reader.next());
}

TEST(HeaderReader, FirstLineThatContinuesNothingIsJunk) {
  HeaderReader reader(" X: y\r\nA: b\r\n\r\n");
  EXPECT_EQ(reader.next()->name, "");
  EXPECT_EQ(reader.next()->name, "A");
}

TEST(HeaderReader, BareLineFeedsEndLines) {
  HeaderReader reader("A: b\n c\nD: e\n\nbody");
  EXPECT_EQ(reader.next()->unfolded(), "b c");
  EXPECT_EQ(reader.next()->unfolded(), "e");
  EXPECT_FALSE(reader.next());
}

TEST(Unfold, LeavesNoLineEndAndNoNul) {
  EXPECT_EQ(unfold(std::string_view(" a\rb\nc\0d\r\n e \r\n", 15)), "a b c d e");
  EXPECT_EQ(unfold("\r\n a"), "a");
  EXPECT_EQ(unfold("a\r\r\n b"), "a  b");
  EXPECT_EQ(unfold(""), "");
  EXPECT_EQ(unfold(" \r\n "), "");
  EXPECT_EQ(unfold(std::string_view("\0a\n\0", 4)), "a");
}

TEST(FindHeader, TakesTheFirstInAnyCase) {
  EXPECT_EQ(find_header(kBlock, "RECEIVED"), "one");
  EXPECT_EQ(find_header(kBlock, "x-empty"), "");
  EXPECT_EQ(find_header(kBlock, "body"), std::nullopt);
}

TEST(CountHeaders, CountsHops) {
  EXPECT_EQ(count_headers(kBlock, "Received"), 2U);
  EXPECT_EQ(count_headers("", "Received"), 0U);
}

TEST(HeaderBlockSize, EndsBehindTheEmptyLine) {
  EXPECT_EQ(header_block_size("A: b\r\n\r\nbody"), 8U);
  EXPECT_EQ(header_block_size("A: b\n\nbody"), 6U);
  EXPECT_EQ(header_block_size("\r\nbody"), 2U);
  EXPECT_EQ(header_block_size("A: b\r\n"), 6U);
  EXPECT_EQ(header_block_size(""), 0U);
  EXPECT_EQ(header_block_size("A: b\r\n\rx\r\n\r\n"), 12U);
}

TEST(HeaderSelector, GivesTheExactOctetsInTheirOrder) {
  EXPECT_EQ(select(kBlock, {"SUBJECT", "received"}, HeaderSelector::Mode::only),
            "Received: one\r\nSubject: a\r\n folded\r\n\tvalue \r\nreceived : two\r\n\r\n");
  EXPECT_EQ(select(kBlock, {"subject", "Received"}, HeaderSelector::Mode::all_but), "X-Empty:\r\nTo: x@y\r\n\r\n");
}

TEST(HeaderSelector, NothingFoundIsTheEmptyLine) {
  EXPECT_EQ(select(kBlock, {"Bcc"}, HeaderSelector::Mode::only), "\r\n");
  EXPECT_EQ(select("", {"Bcc"}, HeaderSelector::Mode::all_but), "\r\n");
}

TEST(HeaderSelector, JunkIsNotNamedAndAFieldWithoutLineEndGetsOne) {
  EXPECT_EQ(select("junk\r\nA: b", {"A"}, HeaderSelector::Mode::only), "A: b\r\n\r\n");
  EXPECT_EQ(select("junk\r\nA: b", {"A"}, HeaderSelector::Mode::all_but), "junk\r\n\r\n");
  EXPECT_EQ(select("junk\r\n\r\n", {""}, HeaderSelector::Mode::only), "\r\n");
}

TEST(HeaderSelector, NamesLongerThanTheLengthFilterAreFound) {
  std::string name(100, 'x');
  EXPECT_EQ(select(name + ": y\r\n\r\n", {name}, HeaderSelector::Mode::only), name + ": y\r\n\r\n");
  EXPECT_EQ(select(name + "z: y\r\n\r\n", {name}, HeaderSelector::Mode::only), "\r\n");
}

}  // namespace
}  // namespace postrider
