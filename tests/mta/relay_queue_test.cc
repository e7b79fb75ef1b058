#include <gmock/gmock.h>

#include "mta/relay.h"
#include "tests/mta/name_server.h"
#include "tests/mta/queue_pipeline.h"
#include "tests/mta/relay_server.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// The whole way out: session, queue, relay, a server on the loopback.
class RelayTest : public Pipeline {
 protected:
  RelayTest() {
    config_.server.hostname = "mx.example.org";
    config_.routes["example.net"] = server_.address();
    config_.relay.connect_timeout = config_.relay.command_timeout = Seconds(10);
    config_.relay.max_connections_per_destination = 4;
  }
  void start_relay() {
    config_.server.state = state_.path();
    auto relay = Relay::make(config_, *runner_, reporter_, forwarding_, clock_);
    ASSERT_TRUE(relay) << relay.error().message;
    relay_ = relay->get();
    runner_->set_remote(std::move(*relay));
    start();
  }
  store::QueuedMessage to_carol(std::string_view text = "Subject: x\r\n\r\nhello\r\n") {
    return message({{0, "carol@example.net"}}, text);
  }
  /// Waits until a condition on the queue's content holds.
  template <class Condition>
  void wait_for_queue(Condition condition) {
    while (!condition(queued())) std::this_thread::yield();
  }

  RelayServer server_;
  Config config_;
  Relay* relay_ = nullptr;
};

TEST_F(RelayTest, MailForOthersIsHandedOverAndLeavesTheQueue) {
  start_relay();
  ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope,
              ElementsAre(HasSubstr("MAIL FROM:<alice@example.org>"), "RCPT TO:<carol@example.net>"));
  wait_for_queue([](const auto& queue) { return queue.empty(); });
}

TEST_F(RelayTest, RecipientsOfOneDestinationShareATransaction) {
  start_relay();
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}, {0, "dave@Example.NET"}})));
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope, SizeIs(3));
}

TEST_F(RelayTest, ManyMessagesShareFewConnections) {
  start_relay();
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 200; ++i) messages.push_back(to_carol());
  accept_all(std::move(messages));
  ASSERT_TRUE(server_.wait_for(200));
  EXPECT_LE(server_.connections(), 8) << "four at a time, each for a hundred messages";
}

TEST_F(RelayTest, ARefusalComesBackToTheSender) {
  start_relay();
  server_.reply("RCPT", "550 5.1.1 never heard of");
  ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("550 5.1.1 never heard of"));
}

TEST_F(RelayTest, LaterIsLater) {
  start_relay();
  server_.reply("RCPT", "451 4.7.1 greylisted");
  ASSERT_TRUE(accept(to_carol()));
  wait_for_queue([](const auto& queue) { return queue.at(0).recipients.at(0).next_attempt != store::kInHand; });
  EXPECT_THAT(queued()[0].recipients[0].last_reply, HasSubstr("greylisted"));
  server_.reply("RCPT", "250 ok");
  clock_.advance(std::chrono::seconds(66));
  runner_->wake();
  ASSERT_TRUE(server_.wait_for(1));
}

TEST_F(RelayTest, ADeadDestinationIsProbedByOneMessageAndItsBacklogFlowsWhenItIsBack) {
  start_relay();
  server_.reply("GREETING", "421 4.3.2 down");
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 50; ++i) messages.push_back(to_carol());
  accept_all(std::move(messages));
  auto all_wait = [](const auto& queue) {
    return std::all_of(queue.begin(), queue.end(),
                       [](const auto& message) { return message.recipients.at(0).next_attempt != store::kInHand; });
  };
  wait_for_queue(all_wait);
  EXPECT_LE(server_.connections(), 2);
  int attempted = 0;
  for (const auto& message : queued()) attempted += message.recipients[0].attempts;
  EXPECT_LE(attempted, 2) << "the others were not tried";

  int before = server_.connections();
  clock_.advance(std::chrono::seconds(61));
  runner_->wake();
  while (server_.connections() == before) std::this_thread::yield();
  wait_for_queue(all_wait);
  EXPECT_EQ(server_.connections(), before + 1) << "one probe";

  server_.reply("GREETING", "220 back");
  clock_.advance(std::chrono::seconds(301));
  runner_->wake();
  ASSERT_TRUE(server_.wait_for(50)) << "all of them, without waiting for their own time";
  wait_for_queue([](const auto& queue) { return queue.empty(); });
}

TEST_F(RelayTest, ADeadDestinationHoldsUpNoOther) {
  RelayServer other;
  config_.routes["example.com"] = other.address();
  start_relay();
  server_.reply("GREETING", "421 down");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}, {0, "erin@example.com"}})));
  ASSERT_TRUE(other.wait_for(1));
}

TEST_F(RelayTest, WhatWasNotTakenSurvivesARestart) {
  start_relay();
  server_.reply("GREETING", "421 down");
  ASSERT_TRUE(accept(to_carol()));
  runner_->stop();
  ASSERT_THAT(queued(), SizeIs(1));
  server_.reply("GREETING", "220 up");
  clock_.advance(std::chrono::seconds(3'000));
  make();
  start_relay();
  ASSERT_TRUE(server_.wait_for(1));
  wait_for_queue([](const auto& queue) { return queue.empty(); });
}

TEST_F(RelayTest, AnAddressWithoutADomainBounces) {
  start_relay();
  ASSERT_TRUE(accept(message({{0, "carol@exa mple"}})));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Status: 5.1.2"));
}

/// The same with a name server of its own, and servers at the port that DNS does not say.
class RelayDnsTest : public RelayTest {
 protected:
  RelayDnsTest()
      : names_({"one.test. MX 10 mx.test.", "two.test. MX 10 mx.test.", "three.test. MX 10 other.test.",
                "gone.test. MX 10 dead.test.", "half.test. MX 10 dead.test.", "half.test. MX 20 mx.test.",
                "null.test. MX 0 .", "mx.test. A 127.0.0.2", "other.test. A 127.0.0.3", "dead.test. A 127.0.0.4"},
               {"broken.test."}),
        mx_("127.0.0.2"),
        other_("127.0.0.3", mx_.port()) {
    config_.dns.server = names_.address();
    config_.relay.port = mx_.port();
  }
  NameServer names_;
  RelayServer mx_, other_;
};

TEST_F(RelayDnsTest, DomainsOfOneMailHostShareATransaction) {
  start_relay();
  ASSERT_TRUE(accept(message({{0, "a@one.test"}})));
  ASSERT_TRUE(accept(message({{0, "b@two.test"}})));
  wait_for_queue([](const auto& queue) { return queue.empty(); });
  ASSERT_TRUE(accept(message({{0, "a@one.test"}, {0, "b@two.test"}, {0, "c@three.test"}})));
  ASSERT_TRUE(mx_.wait_for(3));
  ASSERT_TRUE(other_.wait_for(1));
  EXPECT_THAT(mx_.got()[2].envelope, SizeIs(3));
  EXPECT_EQ(mx_.connections(), 1) << "it was kept";
}

TEST_F(RelayDnsTest, WhatDnsSaysDecides) {
  start_relay();
  ASSERT_TRUE(accept(message({{0, "a@null.test"}})));
  ASSERT_TRUE(wait_for_inbox(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Status: 5.1.10"));
  ASSERT_TRUE(accept(message({{0, "a@nowhere.test"}})));
  ASSERT_TRUE(wait_for_inbox(alice_, 2));
  EXPECT_THAT(inbox(alice_).at(1), HasSubstr("Status: 5.1.2"));
  ASSERT_TRUE(accept(message({{0, "a@broken.test"}})));
  wait_for_queue(
      [](const auto& queue) { return queue.size() == 1 && queue[0].recipients.at(0).next_attempt != store::kInHand; });
  EXPECT_THAT(queued()[0].recipients[0].last_reply, HasSubstr("broken.test"));
  EXPECT_EQ(queued()[0].recipients[0].attempts, 1);
}

TEST_F(RelayDnsTest, ADeadHostDoesNotHideAnotherOne) {
  start_relay();
  ASSERT_TRUE(accept(message({{0, "a@half.test"}, {0, "b@gone.test"}})));
  ASSERT_TRUE(mx_.wait_for(1));
  EXPECT_THAT(mx_.got()[0].envelope, SizeIs(2));
}

TEST_F(RelayTest, NewRoutesServeWhatWaits) {
  uint16_t nobody = 0;
  {
    RelayServer gone;
    nobody = gone.port();
  }
  config_.routes["example.net"] = "127.0.0.1:" + std::to_string(nobody);
  start_relay();
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 3; ++i) messages.push_back(to_carol());
  accept_all(std::move(messages));
  wait_for_queue([](const auto& queue) {
    return queue.size() == 3 && std::all_of(queue.begin(), queue.end(), [](const auto& message) {
             return message.recipients.at(0).next_attempt != store::kInHand;
           });
  });
  config_.routes["example.net"] = server_.address();
  ASSERT_TRUE(relay_->configure(config_));
  clock_.advance(std::chrono::seconds(70));
  runner_->wake();
  ASSERT_TRUE(server_.wait_for(3));
}

TEST_F(RelayTest, TheSmartHostTakesWhatHasNoRoute) {
  RelayServer smart;
  smart.want_login("SCRAM-SHA-256 PLAIN", "us@example.org", "correct horse");
  smart.use_tls("127.0.0.1");
  smart.want_login("SCRAM-SHA-256 PLAIN", "us@example.org", "correct horse");
  std::FILE* file = std::fopen(state_.file("password").c_str(), "we");
  std::fputs("correct horse\n", file);
  std::fclose(file);
  config_.relay.smart_host = smart.address();
  config_.relay.smart_host_user = "us@example.org";
  config_.relay.smart_host_password_file = state_.file("password");
  config_.relay.smart_host_tls = "encrypted";
  start_relay();
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}, {0, "erin@example.com"}, {0, "fred@example.edu"}})));
  ASSERT_TRUE(smart.wait_for(1));
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(smart.got()[0].envelope, SizeIs(3)) << "both domains in one transaction";
  EXPECT_TRUE(smart.got()[0].encrypted);
  EXPECT_EQ(smart.got()[0].user, "us@example.org");
}

TEST_F(RelayTest, APasswordFileThatIsMissingIsSaid) {
  config_.relay.smart_host = "127.0.0.1:25";
  config_.relay.smart_host_user = "us@example.org";
  config_.relay.smart_host_password_file = state_.file("nothing");
  auto relay = Relay::make(config_, *runner_, reporter_, forwarding_, clock_);
  ASSERT_FALSE(relay);
  EXPECT_THAT(relay.error().message, HasSubstr("smart_host_password_file"));
}

TEST_F(RelayTest, LimitsOfADestinationAreKept) {
  config_.limits["example.net"] = "connections=1 messages_per_connection=3 messages_per_minute=6000";
  start_relay();
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 31; ++i) messages.push_back(to_carol());
  auto begin = std::chrono::steady_clock::now();
  accept_all(std::move(messages));
  ASSERT_TRUE(server_.wait_for(31));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(290)) << "100 a second";
  EXPECT_LE(server_.most_at_once(), 2) << "one that is just being closed may count";
  EXPECT_EQ(server_.connections(), 11);
}

TEST_F(RelayTest, AnIdleConnectionMakesRoomForOneThatIsNeeded) {
  RelayServer other;
  config_.routes["example.com"] = other.address();
  config_.relay.max_connections = 1;
  start_relay();
  ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(server_.wait_for(1));
  ASSERT_TRUE(accept(message({{0, "erin@example.com"}})));
  ASSERT_TRUE(other.wait_for(1)) << "long before the idle timeout of half a minute";
  ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(server_.wait_for(2));
}

TEST_F(RelayTest, SeveralConnectionsAreKeptWhenThereIsNothingToDo) {
  start_relay();
  server_.set_slowness(std::chrono::milliseconds(1));  // so that more than one is needed
  auto burst = [&] {
    std::vector<store::QueuedMessage> messages;
    for (int i = 0; i < 20; ++i) messages.push_back(to_carol());
    accept_all(std::move(messages));
  };
  burst();
  ASSERT_TRUE(server_.wait_for(20));
  wait_for_queue([](const auto& queue) { return queue.empty(); });
  EXPECT_GT(server_.connections(), 1);
  burst();
  ASSERT_TRUE(server_.wait_for(40));
  EXPECT_LE(server_.connections(), 4) << "those of the first burst serve the second";
}

TEST_F(RelayTest, AServerThatPutsOffGetsOneConnectionAtATime) {
  start_relay();
  server_.set_slowness(std::chrono::milliseconds(1));
  server_.reply("MAIL", "450 4.7.1 not so fast");
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 10; ++i) messages.push_back(to_carol());
  accept_all(std::move(messages));
  wait_for_queue([](const auto& queue) {
    return std::all_of(queue.begin(), queue.end(),
                       [](const auto& message) { return message.recipients.at(0).attempts == 1; });
  });
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(RelayTest, AHangingDestinationHoldsLittleInMemory) {
  RelayServer other;
  config_.routes["example.com"] = other.address();
  start_relay();
  server_.reply("GREETING", RelayServer::kSilence);
  std::vector<store::QueuedMessage> messages;
  for (size_t i = 0; i < kMaxUntriedWork + 50; ++i) messages.push_back(to_carol());
  accept_all(std::move(messages));
  wait_for_queue([](const auto& queue) {
    auto waits = [](const auto& message) { return message.recipients.at(0).next_attempt != store::kInHand; };
    return std::count_if(queue.begin(), queue.end(), waits) >= 40;
  });
  ASSERT_TRUE(accept(message({{0, "erin@example.com"}})));
  ASSERT_TRUE(other.wait_for(1));
}

TEST_F(RelayTest, LmtpRoutesFeedOtherStores) {
  RelayServer store;
  store.speak_lmtp();
  store.reply("\n.<dave", "550 5.2.2 full for ever");
  config_.routes["example.com"] = "lmtp:" + store.address();
  start_relay();
  ASSERT_TRUE(accept(message({{0, "erin@example.com"}, {0, "dave@example.com"}})));
  ASSERT_TRUE(store.wait_for(1));
  ASSERT_TRUE(wait_for_inbox(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("full for ever"));
  EXPECT_THAT(inbox(alice_).at(0), testing::Not(HasSubstr("erin@example.com")));
}

}  // namespace
}  // namespace postrider
