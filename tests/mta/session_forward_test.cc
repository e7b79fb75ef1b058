// Reports to rewritten senders (SRS), and messages that come back.
#include <gmock/gmock.h>

#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using testing::HasSubstr;

class SessionForwardTest : public SessionTest {
 protected:
  SessionForwardTest() {
    directory->with(
        [](store::Directory& open) { EXPECT_TRUE(open.set_alias("away@example.test", {"carol@elsewhere.example"})); });
  }
  /// The address that a message from that sender is forwarded under.
  std::string rewritten(const std::string& sender) {
    port(Role::smtp);
    store::QueuedMessage message;
    message.reverse_path = sender;
    store::QueuedRecipient recipient;
    recipient.original = "away@example.test";
    recipient.address = "carol@elsewhere.example";
    return forwarding->departure(message, recipient).reverse_path;
  }
  std::string said(std::string_view conversation) {
    Client client(port(Role::smtp));
    client.reply();
    client.send("EHLO client.example\r\n");
    client.reply();
    client.send(conversation);
    client.send("QUIT\r\n");
    std::string text;
    while (auto line = client.line()) text += *line + "\n";
    return text;
  }
};

TEST_F(SessionForwardTest, AReportGoesToTheSenderItself) {
  const std::string path = rewritten("dave@far.example");
  said("MAIL FROM:<>\r\nRCPT TO:<" + path + ">\r\nDATA\r\nSubject: x\r\n\r\nfailed\r\n.\r\n");
  const Taken one = only_message();
  EXPECT_EQ(one.envelope.reverse_path, "");
  EXPECT_EQ(one.envelope.recipients.at(0).account, 0);
  EXPECT_EQ(one.envelope.recipients.at(0).address, "dave@far.example");
  EXPECT_EQ(one.envelope.recipients.at(0).original, path);
  EXPECT_EQ(one.envelope.recipients.at(0).notify, store::kNotifyNever);
}

TEST_F(SessionForwardTest, NothingButReportsGoesThatWay) {
  const std::string path = rewritten("dave@far.example");
  EXPECT_THAT(said("MAIL FROM:<spam@far.example>\r\nRCPT TO:<" + path + ">\r\n"),
              HasSubstr("550 5.7.1 only reports, which have no sender"));
  EXPECT_TRUE(taken().empty());
}

TEST_F(SessionForwardTest, AnAddressThatNobodyMadeHereIsRefused) {
  for (const char* path : {"SRS0=AAAAAA=AA=far.example=dave@example.test", "SRS1=AAAAAA=far.example==x@example.test"}) {
    EXPECT_THAT(said(std::string("MAIL FROM:<>\r\nRCPT TO:<") + path + ">\r\n"),
                HasSubstr("550 5.1.1 that address was"))
        << path;
  }
  EXPECT_THAT(said("MAIL FROM:<>\r\nRCPT TO:<srs0=x@example.test>\r\n"), HasSubstr("550 5.1.1 there is no such user"));
  EXPECT_THAT(said("MAIL FROM:<>\r\nRCPT TO:<SRS0=A=B=c=d@elsewhere.example>\r\n"), HasSubstr("550 5.7.1 that domain"));
}

TEST_F(SessionForwardTest, WhatComesBackToItsForwarderIsRefused) {
  EXPECT_THAT(said("MAIL FROM:<dave@far.example>\r\nRCPT TO:<away@example.test>\r\nDATA\r\n"
                   "Delivered-To: away@example.test\r\n\r\nx\r\n.\r\n"),
              HasSubstr("554 5.4.6 The message came back to away@example.test"));
  EXPECT_TRUE(taken().empty());
}

TEST_F(SessionForwardTest, OthersGetAMessageThatComesBackToOne) {
  said(
      "MAIL FROM:<dave@far.example>\r\nRCPT TO:<away@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
      "Delivered-To: away@example.test\r\nDelivered-To: alice@example.test\r\n\r\nx\r\n.\r\n");
  const Taken one = only_message();
  ASSERT_EQ(one.envelope.recipients.size(), 2U);
  EXPECT_EQ(one.envelope.recipients[0].wish, store::Wish::bounce);
  EXPECT_THAT(one.envelope.recipients[0].last_reply, HasSubstr("5.4.6"));
  EXPECT_EQ(one.envelope.recipients[1].wish, store::Wish::none);
}

}  // namespace
}  // namespace postrider
