#include "mta/relay_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/mta/relay_server.h"

namespace postrider {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class RelayClientTest : public testing::Test {
 protected:
  RelayClientTest() {
    settings_.hostname = "mx.example.org";
    settings_.connect_timeout = settings_.command_timeout = std::chrono::seconds(10);
    message_.reverse_path = "alice@example.org";
    set_body("Subject: x\r\n\r\n.dot\r\nhello\r\n");
    add_recipient("bob@example.net");
  }
  void set_body(const std::string& text) {
    store::Spool spool("/tmp");
    spool.append(text);
    message_.body = std::make_shared<const store::Spool>(std::move(spool));
  }
  void add_recipient(const std::string& address) {
    store::QueuedRecipient recipient;
    recipient.number = static_cast<int64_t>(message_.recipients.size()) + 1;
    recipient.address = address;
    message_.recipients.push_back(recipient);
  }
  void make_link(uint16_t port) {
    RouterSettings router;
    router.hostname = settings_.hostname;
    router.routes["example.net"] = "127.0.0.1:" + std::to_string(port);
    router_ = std::make_unique<Router>(loop_, router);
    link_ = std::make_unique<SmtpLink>("example.net", *router_, settings_, nullptr);
  }
  std::vector<Outcome> attempt() {
    if (link_ == nullptr) make_link(server_.port());
    std::vector<Outcome> outcomes;
    auto run = [&]() -> asio::awaitable<void> {
      std::vector<size_t> recipients;
      for (size_t i = 0; i < message_.recipients.size(); ++i) recipients.push_back(i);
      outcomes = co_await link_->attempt(message_, recipients);
    };
    run_to_end(run());
    return outcomes;
  }
  void run_to_end(asio::awaitable<void> task) {
    bool done = false;
    asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr error) {
      EXPECT_EQ(error, nullptr);
      done = true;
    });
    loop_.restart();
    while (!done) loop_.run_one();  // a connection that is kept has work on the loop
  }
  using Kind = Outcome::Kind;

  RelayServer server_;
  RelaySettings settings_;
  store::QueuedMessage message_;
  asio::io_context loop_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<SmtpLink> link_;
};

TEST_F(RelayClientTest, HandsAMessageOver) {
  auto outcomes = attempt();
  ASSERT_THAT(outcomes, SizeIs(1));
  EXPECT_EQ(outcomes[0].kind, Kind::relayed);
  EXPECT_EQ(outcomes[0].remote, "127.0.0.1 [127.0.0.1]");
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope, ElementsAre("MAIL FROM:<alice@example.org> SIZE=27", "RCPT TO:<bob@example.net>"));
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

TEST_F(RelayClientTest, AConnectionThatEndsBeforeTheReplyMeansAgain) {
  for (const char* where : {"GREETING", "EHLO", "MAIL", "RCPT", "DATA", "\n."}) {
    RelayServer server;
    server.reply(where, "");
    make_link(server.port());
    EXPECT_EQ(attempt().at(0).kind, Kind::unreachable) << where;
  }
}

TEST_F(RelayClientTest, AnIdleConnectionThatWasClosedIsMadeAnew) {
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  server_.reply_once("MAIL", "");
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 2);
}

TEST_F(RelayClientTest, NobodyThereIsUnreachable) {
  uint16_t port = 0;
  {
    RelayServer gone;
    port = gone.port();
  }
  make_link(port);
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::unreachable);
  EXPECT_THAT(outcomes.at(0).reply, HasSubstr("127.0.0.1"));
}

TEST_F(RelayClientTest, AServerThatIsClosingIsLeft) {
  server_.reply("MAIL", "421 4.3.2 closing");
  EXPECT_EQ(attempt().at(0).kind, Kind::unreachable);
  EXPECT_FALSE(link_->is_open());
}

TEST_F(RelayClientTest, ARefusedGreetingIsTriedAgainUnlessItSaysNever) {
  server_.reply("GREETING", "554 5.3.2 not today");
  EXPECT_EQ(attempt().at(0).kind, Kind::unreachable);
  server_.reply("GREETING", "521 5.3.2 no mail here");
  EXPECT_EQ(attempt().at(0).kind, Kind::permanent);
}

TEST_F(RelayClientTest, WrongCodesEndTheConnection) {
  server_.reply("RCPT", "354 what");
  EXPECT_EQ(attempt().at(0).kind, Kind::unreachable);
  EXPECT_FALSE(link_->is_open());
}

TEST_F(RelayClientTest, ALineWithoutEndIsNoReply) {
  server_.reply("GREETING", "220 " + std::string(100'000, 'x'));
  EXPECT_EQ(attempt().at(0).kind, Kind::unreachable);
}

TEST_F(RelayClientTest, AMessageThatIsTooLargeIsNotSent) {
  server_.reply("EHLO", "250-server\r\n250 SIZE 10");
  EXPECT_EQ(attempt().at(0).status, "5.3.4");
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RelayClientTest, EightBitMailNeedsAServerThatTakesIt) {
  message_.eight_bit = true;
  set_body("Subject: x\r\n\r\n\xc3\xbc\r\n");
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope[0], HasSubstr("BODY=8BITMIME"));
  server_.reply("EHLO", "250 server");
  make_link(server_.port());
  EXPECT_EQ(attempt().at(0).status, "5.6.3");
  set_body("Subject: x\r\n\r\nplain after all\r\n");
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed);
}

TEST_F(RelayClientTest, Utf8AddressesNeedAServerThatTakesThem) {
  message_.smtputf8 = true;
  message_.recipients[0].address = "j\xc3\xbcrgen@example.net";
  EXPECT_EQ(attempt().at(0).status, "5.6.7");
  message_.recipients[0].address = "jurgen@example.net";
  EXPECT_EQ(attempt().at(0).kind, Kind::relayed) << "nothing of it is UTF-8";
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

TEST(OrderHosts, TheBestPreferenceComesFirst) {
  std::vector<MxRecord> records{{20, "b"}, {10, "a"}, {30, "c"}, {10, "a"}};
  EXPECT_THAT(order_hosts(records, "us", 1), ElementsAre("a", "b", "c"));
}

TEST(OrderHosts, HostsBehindUsAreNoWay) {
  std::vector<MxRecord> records{{20, "us"}, {10, "a"}, {20, "b"}, {30, "c"}};
  EXPECT_THAT(order_hosts(records, "us", 1), ElementsAre("a"));
  EXPECT_THAT(order_hosts({{10, "us"}, {10, "b"}}, "us", 1), SizeIs(0));
}

TEST(OrderHosts, EqualOnesAreMixed) {
  std::set<std::string> first;
  for (uint64_t random = 0; random < 50; ++random) first.insert(order_hosts({{1, "a"}, {1, "b"}, {1, "c"}}, "us", random)[0]);
  EXPECT_THAT(first, SizeIs(3));
}

TEST(ParseMx, ReadsWireFormat) {
  std::string rdata("\0\x0a\2MX\7Example\3org\0", 18);
  auto record = parse_mx(rdata);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->preference, 10);
  EXPECT_EQ(record->host, "mx.example.org");
  EXPECT_EQ(parse_mx(std::string("\0\0\0", 3))->host, "");
  for (size_t cut = 0; cut < rdata.size(); ++cut) EXPECT_FALSE(parse_mx(rdata.substr(0, cut))) << cut;
  EXPECT_FALSE(parse_mx(std::string("\0\1\3a b\0", 7)));
}

}  // namespace
}  // namespace postrider
