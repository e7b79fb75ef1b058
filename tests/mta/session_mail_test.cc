// The envelope: MAIL and RCPT.
#include <fmt/format.h>

#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

class MailTest : public SessionTest {
 protected:
  /// Goes to a session that has said EHLO.
  std::unique_ptr<Client> greeted() {
    auto client = std::make_unique<Client>(port(Role::smtp));
    go_on(*client, R"(
      S: 220 *
      C: EHLO client.example
      S: 250 ...)");
    return client;
  }
  /// The last reply of the conversation MAIL, RCPT...
  std::string reply_to(Client& client, std::string_view command) {
    client.send(std::string(command) + "\r\n");
    return client.reply().value_or("closed");
  }
  /// Addresses of the recipients of the one message that is sent to these paths.
  std::vector<std::string> sent_to(const std::vector<std::string>& paths) {
    auto client = greeted();
    reply_to(*client, "MAIL FROM:<sender@client.example>");
    for (const auto& path : paths) EXPECT_EQ(reply_to(*client, "RCPT TO:" + path).substr(0, 9), "250 2.1.5") << path;
    reply_to(*client, "DATA");
    EXPECT_EQ(reply_to(*client, "Subject: x\r\n\r\nx\r\n.").substr(0, 9), "250 2.0.0");
    std::vector<std::string> addresses;
    for (const auto& recipient : only_message().envelope.recipients) {
      EXPECT_EQ(recipient.number, static_cast<int64_t>(addresses.size()) + 1);
      addresses.push_back(recipient.address);
    }
    return addresses;
  }
};

TEST_F(MailTest, UsersAreKnownInAnyCase) {
  EXPECT_EQ(sent_to({"<ALICE@Example.TEST>"}), std::vector<std::string>{"alice@example.test"});
}

TEST_F(MailTest, AnAliasBecomesItsTargets) {
  const std::vector<std::string> expected = {"alice@example.test", "bob@example.test", "carol@elsewhere.example"};
  EXPECT_EQ(sent_to({"<team@example.test>"}), expected);
}

TEST_F(MailTest, AnAccountGetsOneCopy) {
  const std::vector<std::string> expected = {"alice@example.test", "bob@example.test", "carol@elsewhere.example"};
  EXPECT_EQ(
      sent_to({"<alice@example.test>", "<alice+list@example.test>", "<alice@example.test>", "<team@example.test>"}),
      expected);
}

TEST_F(MailTest, ThePathThatWasGivenIsKept) {
  sent_to({"<alice+news@example.test>"});
  EXPECT_EQ(only_message().envelope.recipients.at(0).original, "alice+news@example.test");
}

TEST_F(MailTest, PostmasterNeedsNoDomain) {
  EXPECT_EQ(sent_to({"<Postmaster>"}), std::vector<std::string>{"alice@example.test"});
}

TEST_F(MailTest, ULabelsAndALabelsAreOneDomain) {
  directory->with(
      [](store::Directory& d) { ASSERT_TRUE(d.add_account("eve@xn--bcher-kva.example", sasl::dummy_record())); });
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<> SMTPUTF8").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client,
                     "RCPT TO:<eve@b\xC3\xBC"
                     "cher.example>")
                .substr(0, 9),
            "250 2.1.5");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<eve@XN--BCHER-KVA.example>").substr(0, 9), "250 2.1.5");
}

TEST_F(MailTest, UnknownUsersAndForeignDomainsAreRefused) {
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<nobody@example.test>").substr(0, 9), "550 5.1.1");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<someone@elsewhere.example>").substr(0, 9), "550 5.7.1");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@[127.0.0.1]>").substr(0, 9), "550 5.7.1");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice%elsewhere.example@example.test>").substr(0, 9), "550 5.1.1");
}

TEST_F(MailTest, TrustedNetworksMaySendAnywhere) {
  configure([](Config& c) { c.smtp.trusted_networks = {"192.0.2.0/24", "127.0.0.0/8"}; });
  EXPECT_EQ(sent_to({"<Someone@ELSEWHERE.example>"}), std::vector<std::string>{"Someone@elsewhere.example"});
}

TEST_F(MailTest, AnAliasOfSeveralIsToldOfOnce) {
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<team@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;team@example.test")
                .substr(0, 3),
            "250");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test> NOTIFY=SUCCESS").substr(0, 3), "250");
  reply_to(*client, "DATA");
  client->send("Message-ID: <m1@client.example>\r\n\r\nx\r\n.\r\n");
  EXPECT_EQ(client->reply()->substr(0, 3), "250");
  const auto message = only_message().envelope;
  ASSERT_EQ(message.expanded.size(), 1U);
  EXPECT_EQ(message.expanded[0].original, "team@example.test");
  EXPECT_EQ(message.expanded[0].orcpt, "rfc822;team@example.test");
  for (const auto& recipient : message.recipients)
    EXPECT_EQ(recipient.notify, store::kNotifyFailure) << recipient.address;
  EXPECT_EQ(message.message_id, "<m1@client.example>");
}

TEST_F(MailTest, OddPathsAreRefusedOrHarmless) {
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  for (std::string_view path :
       {"<>", "<\"\"@example.test>", "<alice>", "alice@example.test", "<alice@example.test", "<a b@example.test>",
        "<\"a@example.test>", "<a\\@example.test>", "<alice@-x>", "<alice@[nonsense]>", "<a\xFF@example.test>"}) {
    EXPECT_EQ(reply_to(*client, "RCPT TO:" + std::string(path)).substr(0, 9), "501 5.1.3") << path;
  }
  for (std::string_view path : {"<|id@example.test>", "<\"; drop table account; --\"@example.test>", "<'@example.test>",
                                "<\"/../x\"@example.test>"}) {
    EXPECT_EQ(reply_to(*client, "RCPT TO:" + std::string(path)).substr(0, 9), "550 5.1.1") << path;
  }
  EXPECT_EQ(reply_to(*client, "RCPT TO:<@a.example,@b.example:alice@example.test>").substr(0, 9), "250 2.1.5");
}

TEST_F(MailTest, ParametersAreChecked) {
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example> SIZE=-1").substr(0, 9), "501 5.5.4");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example> SIZE=99999999999999999999").substr(0, 9), "552 5.3.4");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example> FOO=BAR").substr(0, 9), "555 5.5.4");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<\xC3\xB6@client.example>").substr(0, 9), "553 5.6.7");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<\xC3\xB6@client.example> SMTPUTF8").substr(0, 9), "250 2.1.0");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test> NOTIFY=NEVER,DELAY").substr(0, 9), "501 5.5.4");
}

TEST_F(MailTest, DsnParametersAreKept) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example> RET=HDRS ENVID=QQ+2B1 BODY=8BITMIME SMTPUTF8 SIZE=100
    S: 250 *
    C: RCPT TO:<alice@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;al+2Bice@example.test
    S: 250 *
    C: DATA
    S: 354 *
    C: x
    C: .
    S: 250 *)");
  const auto message = only_message().envelope;
  EXPECT_EQ(message.reverse_path, "a@client.example");
  EXPECT_EQ(message.ret, "HDRS");
  EXPECT_EQ(message.envid, "QQ+1");
  EXPECT_TRUE(message.eight_bit);
  EXPECT_TRUE(message.smtputf8);
  EXPECT_FALSE(message.binary);
  EXPECT_EQ(message.client, "client.example [127.0.0.1]");
  ASSERT_EQ(message.recipients.size(), 1u);
  EXPECT_EQ(message.recipients[0].notify, store::kNotifySuccess | store::kNotifyDelay);
  EXPECT_EQ(message.recipients[0].orcpt, "rfc822;al+2Bice@example.test");
  EXPECT_NE(message.recipients[0].account, 0);
}

TEST_F(MailTest, ThereIsALimitOfRecipients) {
  configure([](Config& c) {
    c.smtp.max_recipients = 2;
    c.smtp.max_errors = 3;
  });
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  reply_to(*client, "RCPT TO:<alice@example.test>");
  reply_to(*client, "RCPT TO:<bob@example.test>");
  for (int n = 0; n < 10; ++n)
    EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test>").substr(0, 9), "452 4.5.3") << n;
  EXPECT_EQ(reply_to(*client, "DATA").substr(0, 3), "354");
}

TEST_F(MailTest, AThousandRecipientsInOneGo) {
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_catch_all("example.test", "alice@example.test")); });
  auto client = greeted();
  std::string pipelined = "MAIL FROM:<a@client.example>\r\n";
  for (int n = 0; n < 1'000; ++n) pipelined += fmt::format("RCPT TO:<user{}@example.test>\r\n", n);
  client->send(pipelined + "DATA\r\n");
  EXPECT_EQ(client->reply()->substr(0, 3), "250");
  for (int n = 0; n < 1'000; ++n) ASSERT_EQ(client->reply()->substr(0, 9), "250 2.1.5") << n;
  EXPECT_EQ(client->reply()->substr(0, 3), "354");
}

TEST_F(MailTest, ChangesOfTheDirectoryAreSeenAtOnce) {
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<dave@example.test>").substr(0, 9), "550 5.1.1");
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_alias("dave@example.test", {"bob@example.test"})); });
  EXPECT_EQ(reply_to(*client, "RCPT TO:<dave@example.test>").substr(0, 9), "250 2.1.5");
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.remove_alias("dave@example.test")); });
  EXPECT_EQ(reply_to(*client, "RCPT TO:<dave@example.test>").substr(0, 9), "550 5.1.1");
}

TEST_F(MailTest, QuotaIsLookedAtBeforeTheMessageIsSent) {
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_quota("bob@example.test", 1'000)); });
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example> SIZE=1001").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<bob@example.test>").substr(0, 9), "552 5.2.2");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test>").substr(0, 9), "250 2.1.5");
}

TEST_F(MailTest, AMessageThatFitsInNoMailboxIsRefusedAtItsEnd) {
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_quota("bob@example.test", 1'000)); });
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<bob@example.test>").substr(0, 9), "250 2.1.5");
  reply_to(*client, "DATA");
  EXPECT_EQ(reply_to(*client, std::string(990, 'x') + "\r\n" + std::string(990, 'x') + "\r\n.").substr(0, 9),
            "552 5.2.2");
  EXPECT_TRUE(taken().empty());
}

TEST_F(MailTest, ThereIsALimitOfMessagesInAConnection) {
  configure([](Config& c) { c.smtp.max_messages = 2; });
  auto client = greeted();
  for (int n = 0; n < 2; ++n) {
    reply_to(*client, "MAIL FROM:<a@client.example>");
    reply_to(*client, "RCPT TO:<alice@example.test>");
    reply_to(*client, "DATA");
    EXPECT_EQ(reply_to(*client, ".").substr(0, 3), "250");
  }
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example>").substr(0, 9), "421 4.7.0");
  EXPECT_EQ(client->line(), std::nullopt);
}

}  // namespace
}  // namespace postrider
