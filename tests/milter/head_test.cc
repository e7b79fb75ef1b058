#include "common/milter/head.h"

#include <gtest/gtest.h>

namespace postrider::milter {
namespace {

constexpr std::string_view kBlock = "From: a@b\r\nX-Two:  one\r\n\ttwo\r\nno field\r\nSubject: s\r\n\r\n";

TEST(MilterHead, WhatIsNotChangedComesOutAsItWent) {
  for (const std::string_view block : {kBlock, std::string_view(""), std::string_view("\r\n"),
                                       std::string_view("A: b\nC: d\n\n"), std::string_view("A: b")}) {
    const std::string text = Head(block).text();
    EXPECT_EQ(text.substr(0, block.size() > 2 ? block.size() - 2 : 0),
              block.substr(0, block.size() > 2 ? block.size() - 2 : 0));
  }
  EXPECT_EQ(Head(kBlock).text(), kBlock);
  EXPECT_EQ(Head("A: b").text(), "A: b");
}

TEST(MilterHead, ValuesAreShownWithLineFeeds) {
  const Head head(kBlock);
  EXPECT_EQ(Head::shown(head.fields()[1], false), " one\n\ttwo");
  EXPECT_EQ(Head::shown(head.fields()[1], true), "  one\n\ttwo");
  EXPECT_EQ(head.fields()[2].name, "");
}

TEST(MilterHead, FieldsAreAddedInsertedChangedAndRemoved) {
  Head head(kBlock);
  EXPECT_TRUE(head.add("X-Last", "v", false));
  EXPECT_TRUE(head.insert(0, "X-First", " v", true));
  EXPECT_TRUE(head.change(1, "subject", "new", false));
  EXPECT_TRUE(head.change(1, "x-two", "", false));
  EXPECT_TRUE(head.change(2, "From", "", false));
  EXPECT_EQ(head.text(), "X-First: v\r\nFrom: a@b\r\nno field\r\nSubject: new\r\nX-Last: v\r\n\r\n");
  EXPECT_TRUE(head.insert(1'000'000, "X-End", "v", false));
  EXPECT_TRUE(head.change(3, "From", "b", false));
  EXPECT_TRUE(head.text().ends_with("X-End: v\r\nFrom: b\r\n\r\n"));
}

TEST(MilterHead, AValueStaysOneField) {
  Head head("A: b\r\n\r\n");
  head.add("X", "one\ntwo\r\n three\r\rfour\n\n", false);
  EXPECT_EQ(head.text(), "A: b\r\nX: one\r\n\ttwo\r\n three\r\n\tfour\r\n\r\n");
}

TEST(MilterHead, AMessageWithoutAnEmptyLineGetsOneWithItsNewField) {
  Head head("A: b");
  head.add("X", "v", false);
  EXPECT_EQ(head.text(), "A: b\r\nX: v\r\n\r\n");
}

TEST(MilterHead, ChangesHaveALimit) {
  Head head(kBlock);
  size_t taken = 0;
  while (head.add("X", "v", false)) ++taken;
  EXPECT_EQ(taken, kMaxHeadChanges);
}

}  // namespace
}  // namespace postrider::milter
