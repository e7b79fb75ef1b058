#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/mail/header.h"
#include "mta/bounce.h"

namespace postrider {
namespace {

using testing::HasSubstr;
using testing::Not;

class BounceTest : public testing::Test {
 protected:
  BounceTest() {
    message_.id = 1'000'000'000'000;
    message_.reverse_path = "alice@example.org";
    message_.accepted = 1'700'000'000;
    set_body("Subject: Lunch\r\nMessage-ID: <m1@example.org>\r\n\r\nAt noon?\r\n");
    report_.hostname = "mx.example.org";
    report_.to = "alice@example.org";
    report_.id = "report1";
    report_.now = 1'700'000'060;
    ReportedRecipient bob;
    bob.recipient.number = 1;
    bob.recipient.address = bob.recipient.original = "bob@example.net";
    bob.outcome = Outcome::permanent("5.1.1", "550 5.1.1 No such user");
    bob.outcome.remote = "mx.example.net [192.0.2.7]";
    report_.recipients.push_back(bob);
  }
  void set_body(std::string_view text) {
    store::Spool spool("/nonexistent");
    spool.append(text);
    message_.body = std::make_shared<const store::Spool>(std::move(spool));
  }
  std::string text() { return format_report(report_, message_); }

  store::QueuedMessage message_;
  Report report_;
};

TEST_F(BounceTest, SaysWhatAPersonAndAProgramWantToKnow) {
  std::string report = text();
  EXPECT_THAT(report, HasSubstr("To: <alice@example.org>\r\n"));
  EXPECT_THAT(report, HasSubstr("Auto-Submitted: auto-replied\r\n"));
  EXPECT_THAT(report, HasSubstr("multipart/report; report-type=delivery-status;"));
  EXPECT_THAT(report, HasSubstr("In-Reply-To: <m1@example.org>\r\n"));
  EXPECT_THAT(report,
              HasSubstr("<bob@example.net>\r\n    The server mx.example.net [192.0.2.7] said: 550 5.1.1 No such user"));
  EXPECT_THAT(report, HasSubstr("There is no such address at that server."));
  EXPECT_THAT(report, HasSubstr("Reporting-MTA: dns; mx.example.org\r\n"));
  EXPECT_THAT(report, HasSubstr("Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
  EXPECT_THAT(report, HasSubstr("Remote-MTA: dns; mx.example.net\r\n"));
  EXPECT_THAT(report, HasSubstr("Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"));
  EXPECT_THAT(report, HasSubstr("Content-Type: message/rfc822\r\n\r\nSubject: Lunch\r\n"));
  EXPECT_THAT(report, HasSubstr("At noon?"));
}

TEST_F(BounceTest, NamesTheServerThatAMessageCameFrom) {
  message_.client = "mx.example.com [192.0.2.9]";
  EXPECT_THAT(text(), HasSubstr("Reporting-MTA: dns; mx.example.org\r\n"
                                "Received-From-MTA: dns; mx.example.com ([192.0.2.9])\r\n"));
}

TEST_F(BounceTest, WhereAUserSubmittedFromIsNoServer) {
  message_.client = "laptop [192.0.2.9]";
  message_.authenticated_as = "alice@example.org";
  EXPECT_THAT(text(), Not(HasSubstr("Received-From-MTA")));
  message_.client = "uid 0 (root)";
  message_.authenticated_as.clear();
  EXPECT_THAT(text(), Not(HasSubstr("Received-From-MTA")));
}

TEST_F(BounceTest, HasCrlfLineEndsAndNothingLongerThanALine) {
  report_.recipients[0].outcome.reply = std::string(5'000, 'x') + "\r\nInjected: yes\n\0";
  std::string report = text();
  for (size_t i = 0; i < report.size(); ++i) {
    if (report[i] == '\n') ASSERT_TRUE(i > 0 && report[i - 1] == '\r') << i;
    if (report[i] == '\r') ASSERT_TRUE(i + 1 < report.size() && report[i + 1] == '\n') << i;
  }
  EXPECT_THAT(report, Not(HasSubstr("\r\nInjected")));
  size_t begin = 0;
  while (begin < report.size()) {
    size_t end = report.find("\r\n", begin);
    ASSERT_LE(end - begin, 998U);
    begin = end + 2;
  }
}

TEST_F(BounceTest, RepliesCannotBringFieldsOfTheirOwn) {
  report_.recipients[0].outcome.reply = "550 no\r\nAction: delivered";
  EXPECT_THAT(text(), HasSubstr("Diagnostic-Code: smtp; 550 no??Action: delivered\r\n"));
}

TEST_F(BounceTest, EnvelopeIdAndOriginalRecipientComeBack) {
  message_.envid = "QQ=314+x";
  report_.recipients[0].recipient.orcpt = "rfc822;Bob@Example.com";
  EXPECT_THAT(text(), HasSubstr("Original-Envelope-Id: QQ+3D314+2Bx\r\n"));
  EXPECT_THAT(text(), HasSubstr("Original-Recipient: rfc822;Bob@Example.com\r\n"));
}

TEST_F(BounceTest, WhereAnAliasLedIsNotTold) {
  report_.recipients[0].recipient.original = "team@example.net";
  EXPECT_THAT(text(), Not(HasSubstr("bob@example.net")));
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: rfc822; team@example.net"));
}

TEST_F(BounceTest, RetHdrsGivesTheHeaderOnly) {
  message_.ret = "HDRS";
  EXPECT_THAT(text(), HasSubstr("Content-Type: text/rfc822-headers\r\n\r\nSubject: Lunch\r\n"));
  EXPECT_THAT(text(), Not(HasSubstr("At noon?")));
}

TEST_F(BounceTest, ALargeMessageGivesItsHeaderOnly) {
  set_body("Subject: Large\r\n\r\n" + std::string(kMaxReturnedMessage, 'x'));
  EXPECT_THAT(text(), HasSubstr("text/rfc822-headers\r\n\r\nSubject: Large\r\n"));
  EXPECT_LT(text().size(), 5'000U);
}

TEST_F(BounceTest, ABodyThatCannotBeReadLeavesTheReport) {
  message_.body = nullptr;
  EXPECT_THAT(text(), HasSubstr("Action: failed"));
}

TEST_F(BounceTest, ADelayedMessageSaysUntilWhenItIsTried) {
  report_.action = ReportAction::delayed;
  report_.retry_until = 1'700'432'000;
  report_.recipients[0].outcome = Outcome::temporary("4.4.1", "no answer");
  EXPECT_THAT(text(), HasSubstr("Subject: Your message is delayed\r\n"));
  EXPECT_THAT(text(), HasSubstr("Action: delayed\r\nStatus: 4.4.1\r\n"));
  EXPECT_THAT(text(), HasSubstr("Will-Retry-Until: Sun, 19 Nov 2023"));
  EXPECT_THAT(text(), HasSubstr("It will be tried until Sun, 19 Nov 2023"));
  EXPECT_THAT(text(), Not(HasSubstr("At noon?"))) << "only a failure brings the message back";
}

TEST_F(BounceTest, AnExpiredMessageSaysThatItsTimeIsOver) {
  report_.recipients[0].expired = true;
  report_.recipients[0].outcome = Outcome::temporary("4.4.1", "no answer");
  EXPECT_THAT(text(), HasSubstr("It was tried until its time was over."));
  EXPECT_THAT(text(), HasSubstr("Action: failed\r\nStatus: 4.4.1\r\n"));
}

TEST_F(BounceTest, Utf8AddressesHaveTheirOwnTypes) {
  message_.smtputf8 = true;
  report_.recipients[0].recipient.original = "jürgen@example.net";
  EXPECT_THAT(text(), HasSubstr("Content-Type: message/global-delivery-status"));
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: utf-8; jürgen@example.net"));
  EXPECT_THAT(text(), HasSubstr("Content-Type: message/global\r\n"));
}

TEST_F(BounceTest, EightBitRepliesAreMadeSafeWhereTheMessageWasNot) {
  report_.recipients[0].outcome.reply = "550 kein Postfach f\xc3\xbcr Sie";
  EXPECT_THAT(text(), HasSubstr("550 kein Postfach f??r Sie"));
}

TEST_F(BounceTest, OnlyWhatAServerSaidIsAnSmtpDiagnostic) {
  report_.recipients[0].outcome = Outcome::temporary("4.4.1", "No address of mx.example.net answers");
  EXPECT_THAT(text(), HasSubstr("Diagnostic-Code: x-postrider; No address of mx.example.net answers\r\n"));
}

TEST_F(BounceTest, AnExpandedAliasSaysWhatThatMeans) {
  report_.action = ReportAction::expanded;
  report_.recipients[0].outcome = Outcome::delivered();
  EXPECT_THAT(text(), HasSubstr("Subject: Your message was passed on to several recipients\r\n"));
  EXPECT_THAT(text(), HasSubstr("Action: expanded\r\nStatus: 2.0.0\r\n"));
  EXPECT_THAT(text(), HasSubstr("where one of them cannot be reached"));
  EXPECT_THAT(text(), Not(HasSubstr("At noon?")));
}

TEST_F(BounceTest, ARelayedMessageSaysThatNoMoreIsKnown) {
  report_.action = ReportAction::relayed;
  report_.recipients[0].outcome = Outcome::delivered();
  report_.recipients[0].outcome.kind = Outcome::Kind::relayed;
  report_.recipients[0].outcome.remote = "mx.example.net [192.0.2.7]";
  EXPECT_THAT(text(), HasSubstr("Subject: Your message was passed on\r\n"));
  EXPECT_THAT(text(), HasSubstr("Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.example.net\r\n"));
  EXPECT_THAT(text(), HasSubstr("text/rfc822-headers\r\n\r\nSubject: Lunch\r\n"));
}

TEST_F(BounceTest, SeveralRecipientsStandInOneReport) {
  report_.recipients.push_back(report_.recipients[0]);
  report_.recipients[1].recipient.original = "carol@example.net";
  report_.recipients[1].outcome = Outcome::permanent("5.2.2", "552 5.2.2 Full");
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: rfc822; bob@example.net"));
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: rfc822; carol@example.net"));
  EXPECT_THAT(text(), HasSubstr("mailbox is full"));
}

TEST(ExplainStatus, AlwaysHasASentence) {
  EXPECT_THAT(explain_status("5.1.1"), HasSubstr("no such address"));
  EXPECT_THAT(explain_status("4.1.1"), HasSubstr("no such address"));
  EXPECT_THAT(explain_status("5.1.10"), HasSubstr("no mail at all"));
  EXPECT_THAT(explain_status("5.7.26"), HasSubstr("rules"));
  EXPECT_THAT(explain_status(""), HasSubstr("no better reason"));
  EXPECT_THAT(explain_status("5.9.9"), HasSubstr("no better reason"));
}

TEST(WantsReport, FollowsNotify) {
  store::QueuedMessage message;
  message.reverse_path = "a@example.org";
  store::QueuedRecipient recipient;
  EXPECT_TRUE(wants_report(ReportAction::failed, message, recipient));
  EXPECT_TRUE(wants_report(ReportAction::delayed, message, recipient));
  EXPECT_FALSE(wants_report(ReportAction::delivered, message, recipient));
  recipient.notify = store::kNotifySuccess;
  EXPECT_FALSE(wants_report(ReportAction::failed, message, recipient));
  EXPECT_TRUE(wants_report(ReportAction::delivered, message, recipient));
  recipient.notify = store::kNotifyNever;
  EXPECT_FALSE(wants_report(ReportAction::failed, message, recipient));
  message.reverse_path.clear();
  recipient.notify = store::kNotifyFailure;
  EXPECT_FALSE(wants_report(ReportAction::failed, message, recipient));
}

}  // namespace
}  // namespace postrider
