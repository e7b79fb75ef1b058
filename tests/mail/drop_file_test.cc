#include "common/mail/drop_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider {
namespace {

using testing::ElementsAre;

DropEnvelope example() {
  DropEnvelope envelope;
  envelope.key = "0123456789abcdef";
  envelope.sender = "a@example.org";
  envelope.full_name = "Anna Example";
  envelope.recipients = {"root", "bob@example.net"};
  envelope.notify = "success,failure";
  envelope.ret = "HDRS";
  envelope.envid = "x y";
  return envelope;
}

TEST(DropFile, WhatIsWrittenIsRead) {
  std::string text = format_drop_envelope(example());
  auto read = parse_drop_envelope(text + "Subject: x\n\nto nobody\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->size, text.size());
  EXPECT_EQ(read->envelope.key, "0123456789abcdef");
  EXPECT_EQ(read->envelope.sender, "a@example.org");
  EXPECT_EQ(read->envelope.full_name, "Anna Example");
  EXPECT_THAT(read->envelope.recipients, ElementsAre("root", "bob@example.net"));
  EXPECT_EQ(read->envelope.notify, "success,failure");
  EXPECT_EQ(read->envelope.ret, "HDRS");
  EXPECT_EQ(read->envelope.envid, "x y");
}

TEST(DropFile, NoSenderAndTheNullSenderAreTwoThings) {
  DropEnvelope envelope = example();
  envelope.sender = "";
  EXPECT_EQ(parse_drop_envelope(format_drop_envelope(envelope))->envelope.sender, "");
  envelope.sender.reset();
  EXPECT_EQ(parse_drop_envelope(format_drop_envelope(envelope))->envelope.sender, std::nullopt);
}

TEST(DropFile, AValueBringsNoLineOfItsOwn) {
  DropEnvelope envelope = example();
  envelope.full_name = "x\nto mallory@example.com";
  auto read = parse_drop_envelope(format_drop_envelope(envelope));
  ASSERT_TRUE(read);
  EXPECT_THAT(read->envelope.recipients, ElementsAre("root", "bob@example.net"));
}

TEST(DropFile, EveryCutOfAnEnvelopeIsRefused) {
  std::string text = format_drop_envelope(example());
  for (size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(parse_drop_envelope(text.substr(0, i))) << i;
}

TEST(DropFile, BadOnesAreRefused) {
  for (const char* bad :
       {"", "hello\n", "postrider-drop 2\nkey 0123456789abcdef\nto x\n\n", "postrider-drop 1\nto x\n\n",
        "postrider-drop 1\nkey 0123456789abcdef\n\n", "postrider-drop 1\nkey ../../../etc/passwd\nto x\n\n",
        "postrider-drop 1\nkey 0123456789abcdef\nto x\nfoo bar\n\n",
        "postrider-drop 1\nkey 0123456789abcdef\nto x\nnotify maybe\n\n",
        "postrider-drop 1\nkey 0123456789abcdef\nto x\rDATA\n\n"}) {
    EXPECT_FALSE(parse_drop_envelope(bad)) << bad;
  }
}

TEST(DropFile, NotifyIsWrittenAsOnCommandLines) {
  EXPECT_EQ(parse_notify("never"), 1);
  EXPECT_EQ(parse_notify("SUCCESS,delay"), 2 + 8);
  EXPECT_EQ(parse_notify("failure"), 4);
  for (const char* bad : {"", "never,success", "success,", "often"}) EXPECT_EQ(parse_notify(bad), std::nullopt) << bad;
}

TEST(LineEnds, EveryKindBecomesCrlfWhereverItIsCut) {
  std::string text = "a\nb\r\nc\rd\n\n\r\r\ne";
  std::string whole;
  LineEndNormalizer one;
  one.feed(text, whole);
  one.finish(whole);
  EXPECT_EQ(whole, "a\r\nb\r\nc\r\nd\r\n\r\n\r\n\r\ne\r\n");
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    std::string parts;
    LineEndNormalizer normalizer;
    normalizer.feed(std::string_view(text).substr(0, cut), parts);
    normalizer.feed(std::string_view(text).substr(cut), parts);
    normalizer.finish(parts);
    EXPECT_EQ(parts, whole) << cut;
  }
}

}  // namespace
}  // namespace postrider
