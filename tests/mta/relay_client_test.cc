// The client's half of SMTP with servers that keep to it.
#include "common/base/ascii.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class RelayClientTest : public RelayLinkTest {};

TEST_F(RelayClientTest, HandsAMessageOver) {
  auto outcomes = attempt();
  ASSERT_THAT(outcomes, SizeIs(1));
  EXPECT_EQ(outcomes[0].kind, Kind::relayed);
  EXPECT_EQ(outcomes[0].remote, "127.0.0.1 [127.0.0.1]");
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope,
              ElementsAre("MAIL FROM:<alice@example.org> SIZE=27", "RCPT TO:<bob@example.net>"));
  EXPECT_EQ(server_.got()[0].content, "Subject: x\r\n\r\n.dot\r\nhello\r\n");
}

TEST_F(RelayClientTest, KeepsItsConnectionForTheNextMessage) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 1);
  EXPECT_TRUE(link_->is_open());
  run_to_end(link_->close());
  EXPECT_FALSE(link_->is_open());
}

TEST_F(RelayClientTest, EndsAConnectionAfterItsNumberOfMessages) {
  settings_.max_messages_per_connection = 2;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 2);
}

TEST_F(RelayClientTest, AServerWithoutPipeliningIsAskedStepByStep) {
  server_.reply("EHLO", "250 server");
  add_recipient("carol@example.net");
  server_.reply("RCPT TO:<carol", "550 5.1.1 no");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).kind, Kind::permanent);
  EXPECT_EQ(outcomes.at(1).status, "5.1.1");
}

TEST_F(RelayClientTest, AServerOfOldIsGreetedWithHelo) {
  server_.reply("EHLO", "502 what");
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  EXPECT_THAT(server_.commands(), Contains("HELO mx.example.org"));
}

TEST_F(RelayClientTest, EveryRecipientHasItsOwnOutcome) {
  add_recipient("later@example.net");
  add_recipient("never@example.net");
  server_.reply("RCPT TO:<later", "451 4.2.0 greylisted");
  server_.reply("RCPT TO:<never", "550 5.1.1 who");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).kind, Kind::temporary);
  EXPECT_EQ(outcomes.at(1).reply, "451 4.2.0 greylisted");
  EXPECT_EQ(outcomes.at(2).kind, Kind::permanent);
}

TEST_F(RelayClientTest, WhenAllAreRefusedTheConnectionGoesOn) {
  server_.reply("RCPT", "550 5.1.1 who");
  EXPECT_EQ(attempt().at(0).kind, Kind::permanent);
  server_.reply("RCPT", "250 ok");
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(RelayClientTest, ARefusedSenderIsEverybodysOutcome) {
  add_recipient("carol@example.net");
  server_.reply("MAIL", "550 5.7.1 not you");
  server_.reply("RCPT", "503 no");
  server_.reply("DATA", "503 no");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).status, "5.7.1");
  EXPECT_EQ(outcomes.at(1).status, "5.7.1");
}

TEST_F(RelayClientTest, ARefusalAfterTheDotCounts) {
  server_.reply_to_content("554 5.7.1 spam");
  EXPECT_EQ(attempt().at(0).kind, Kind::permanent);
  server_.reply_to_content("452 4.3.1 full");
  EXPECT_EQ(attempt().at(0).kind, Kind::temporary);
}

TEST_F(RelayClientTest, ReportWishesArePassedOn) {
  server_.reply("EHLO", "250-server\r\n250 DSN");
  message_.ret = "HDRS";
  message_.envid = "a=b";
  message_.recipients[0].notify = store::kNotifySuccess | store::kNotifyFailure;
  message_.recipients[0].orcpt = "rfc822;b@example.com";
  auto outcomes = attempt();
  EXPECT_TRUE(outcomes.at(0).reports_itself);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope,
              ElementsAre("MAIL FROM:<alice@example.org> RET=HDRS ENVID=a+3Db",
                          "RCPT TO:<bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.com"));
}

TEST_F(RelayClientTest, ManyRecipientsGoInSeveralTransactions) {
  message_.recipients.clear();
  for (int i = 0; i < 250; ++i) add_recipient("u" + std::to_string(i) + "@example.net");
  auto outcomes = attempt();
  ASSERT_THAT(outcomes, SizeIs(250));
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(3));
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(RelayClientTest, ALargeMessageArrivesByteForByte) {
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 3 * store::kChunkSize) text += ".0123456789\r\n..\r\nabc\r\n";
  set_body(text);
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_EQ(server_.got()[0].content, text);
}

TEST_F(RelayClientTest, ALargeMessageOnTheDiskIsReadWhileItIsSent) {
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 900'000) text += "0123456789012345678901234567890123456789\r\n";
  set_body(text);
  ASSERT_FALSE(message_.body->in_memory());
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_EQ(server_.got()[0].content, text);
}

// What smuggling needs of the sending side: line ends that the next server may take for others than we do.
TEST_F(RelayClientTest, WhatIsStoredWithBareLineEndsLeavesAsOneMessage) {
  set_body("Subject: x\r\n\r\na\n.\nMAIL FROM:<evil@example.org>\r.\r\nb\r\n.\nc\r.\rd\n.\r\n.dot\r\n\r\n.\r\n.");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  ASSERT_EQ(server_.got().size(), 1u);
  const std::string got = server_.got()[0].content;
  EXPECT_EQ(got,
            "Subject: x\r\n\r\na\r\n.\r\nMAIL FROM:<evil@example.org>\r\n.\r\nb\r\n.\r\nc\r\n.\r\nd\r\n.\r\n"
            ".dot\r\n\r\n.\r\n.\r\n");
  EXPECT_THAT(server_.commands(), Contains(HasSubstr("MAIL")).Times(1));
}

TEST_F(RelayClientTest, TheServersLimitsAreKept) {
  server_.reply("EHLO", "250-server\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=3");
  message_.recipients.clear();
  for (int i = 0; i < 8; ++i) add_recipient("u" + std::to_string(i) + "@example.net");
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(4));
  for (const auto& got : server_.got()) EXPECT_THAT(got.envelope, SizeIs(3)) << "MAIL and two recipients";
  EXPECT_EQ(server_.connections(), 2) << "three messages, then one";
}

TEST_F(RelayClientTest, TheServersLimitOnDomainsIsKept) {
  server_.reply("EHLO", "250-server\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=1");
  add_recipient("carol@example.com");
  add_recipient("dave@example.net");
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(2));
  EXPECT_THAT(server_.got()[0].envelope, ElementsAre(HasSubstr("MAIL"), HasSubstr("bob@"), HasSubstr("dave@")));
}

TEST_F(RelayClientTest, WhoIsTooManyForOneTransactionGoesInTheNext) {
  add_recipient("carol@example.net");
  add_recipient("dave@example.net");
  server_.reply_once("RCPT TO:<carol", "452 4.5.3 too many recipients");
  server_.reply_once("RCPT TO:<dave", "452 4.5.3 too many recipients");
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(3));
  EXPECT_EQ(server_.connections(), 1);
  EXPECT_THAT(server_.got()[1].envelope, ElementsAre(HasSubstr("MAIL"), "RCPT TO:<carol@example.net>"));
}

TEST_F(RelayClientTest, AFullMailboxIsNotTriedForEver) {
  server_.reply("RCPT", "452 4.2.2 mailbox full");
  EXPECT_EQ(attempt_one().kind, Kind::temporary);
  EXPECT_THAT(server_.commands(), testing::Contains(HasSubstr("RCPT")).Times(1));
}

}  // namespace
}  // namespace postrider
