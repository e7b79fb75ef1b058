// Forwards to elsewhere: in whose name they leave, and how a circle ends.
#include "mta/forwarding.h"

#include <gmock/gmock.h>

#include "mta/system_mail.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::SizeIs;
using testing::StartsWith;

class ForwardingTest : public RelayLinkTest {
 protected:
  ForwardingTest() {
    directory_.with([](store::Directory& directory) {
      EXPECT_TRUE(directory.add_domain("example.org"));
      EXPECT_TRUE(directory.add_domain("second.example"));
    });
    forwarding_ = &ours_;
    ours_.configure({"mx.example.org", true});
    message_.reverse_path = "carol@elsewhere.example";
    message_.recipients.clear();
    add_forward("info@second.example", "bob@example.net");
  }
  void add_forward(const std::string& original, const std::string& address) {
    add_recipient(address);
    message_.recipients.back().original = original;
  }
  std::string sender() { return ours_.departure(message_, message_.recipients.at(0)).reverse_path; }

  ManualClock clock_{1'769'860'800};
  store::DirectoryService directory_{state_.path(), clock_};
  Forwarding ours_{state_.path(), directory_, clock_};
};

TEST_F(ForwardingTest, ASenderElsewhereBecomesOneOfOurs) {
  EXPECT_THAT(sender(), MatchesRegex("SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=elsewhere.example=carol@second.example"));
  const auto back = ours_.restore(*parse_mailbox(sender(), Utf8::refused));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_string(), "carol@elsewhere.example");
}

TEST_F(ForwardingTest, ASenderOfOursAndAReportStayAsTheyAre) {
  for (const char* path : {"alice@example.org", "alice@EXAMPLE.org", "root@mx.example.org", ""}) {
    message_.reverse_path = path;
    EXPECT_EQ(sender(), path);
  }
}

TEST_F(ForwardingTest, WhatIsNotForwardedStaysAsItIs) {
  message_.recipients[0].original = "bob@EXAMPLE.net";
  EXPECT_EQ(ours_.departure(message_, message_.recipients[0]), (Departure{"carol@elsewhere.example", ""}));
}

TEST_F(ForwardingTest, ItCanBeTurnedOff) {
  ours_.configure({"mx.example.org", false});
  EXPECT_EQ(sender(), "carol@elsewhere.example");
}

TEST_F(ForwardingTest, ASenderThatDoesNotFitStays) {
  message_.reverse_path = "bounces-0123456789-0123456789-0123456789-01234@elsewhere.example";
  EXPECT_EQ(sender(), message_.reverse_path);
}

TEST_F(ForwardingTest, AForwardOfTheMachinesMailLeavesInTheNameOfTheFirstDomain) {
  message_.recipients[0].original = "root@mx.example.org";
  EXPECT_THAT(sender(), testing::EndsWith("@example.org"));
}

TEST_F(ForwardingTest, EveryForwarderHasATransactionOfItsOwn) {
  add_forward("info@second.example", "dave@example.net");
  add_forward("sales@example.org", "erin@example.net");
  add_recipient("frank@example.net");
  server_.reply("EHLO", "250-server\r\n250 SIZE");
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
  ASSERT_TRUE(server_.wait_for(3));
  const auto got = server_.got();
  EXPECT_EQ(server_.connections(), 1);
  EXPECT_THAT(got[0].envelope, ElementsAre(MatchesRegex("MAIL FROM:<SRS0=.*@second.example> SIZE=62"),
                                           "RCPT TO:<bob@example.net>", "RCPT TO:<dave@example.net>"));
  EXPECT_EQ(got[0].content, "Delivered-To: info@second.example\r\nSubject: x\r\n\r\n.dot\r\nhello\r\n");
  EXPECT_THAT(got[1].envelope,
              ElementsAre(MatchesRegex("MAIL FROM:<SRS0=.*@example.org> .*"), "RCPT TO:<erin@example.net>"));
  EXPECT_THAT(got[1].content, StartsWith("Delivered-To: sales@example.org\r\nSubject: x\r\n"));
  EXPECT_THAT(got[2].envelope,
              ElementsAre("MAIL FROM:<carol@elsewhere.example> SIZE=27", "RCPT TO:<frank@example.net>"));
}

TEST_F(ForwardingTest, ABinaryMessageCountsItsFieldsToo) {
  server_.reply("EHLO", "250-server\r\n250-BINARYMIME\r\n250 CHUNKING");
  message_.binary = true;
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].content, StartsWith("Delivered-To: info@second.example\r\nSubject: x\r\n"));
}

TEST_F(ForwardingTest, AReportToARewrittenSenderFindsItsWay) {
  SystemMail system{"mx.example.org", "+", "", nullptr, &ours_};
  const Address rewritten = *parse_mailbox(sender(), Utf8::refused);
  directory_.with([&](store::Directory& directory) {
    const auto resolution = system.resolve(directory, rewritten);
    ASSERT_THAT(resolution.targets, SizeIs(1));
    EXPECT_EQ(resolution.targets[0].address, "carol@elsewhere.example");
    EXPECT_EQ(system.resolve(directory, {"SRS0=AAAAAA=AA=a.example=x", "example.org"}).kind,
              store::RecipientKind::unknown_user);
  });
}

TEST_F(ForwardingTest, WhoHasForwardedAMessageDoesNotDoItAgain) {
  add_forward("sales@example.org", "erin@example.net");
  add_forward("sales@example.org", "");
  message_.recipients.back().account = 7;  // the alias leads to somebody here, too
  add_forward("bob@example.org", "");
  message_.recipients.back().account = 8;
  const std::string head = "Delivered-To: Sales@EXAMPLE.org\r\ndelivered-to:\r\n bob@example.org\r\nSubject: x\r\n\r\n";
  EXPECT_EQ(stop_circles(head, message_.recipients), 2U);
  EXPECT_EQ(message_.recipients[0].wish, store::Wish::none);
  EXPECT_EQ(message_.recipients[1].wish, store::Wish::bounce);
  EXPECT_THAT(message_.recipients[1].last_reply,
              StartsWith("554 5.4.6 The message came back to sales@example.org, which has forwarded it before"));
  EXPECT_EQ(message_.recipients[2].wish, store::Wish::bounce);
  EXPECT_EQ(message_.recipients[3].wish, store::Wish::none);  // a mailbox is an end
}

TEST_F(ForwardingTest, FieldsOfOthersStopNobody) {
  EXPECT_EQ(stop_circles("Delivered-To: bob@example.net\r\nDelivered-To: <>\r\nDelivered-To: info\r\n\r\n",
                         message_.recipients),
            0U);
}

}  // namespace
}  // namespace postrider
