#include <gmock/gmock.h>

#include "mta/relay.h"
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
    runner_->set_remote(make_relay(config_, *runner_, clock_));
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
};

TEST_F(RelayTest, MailForOthersIsHandedOverAndLeavesTheQueue) {
  start_relay();
  ASSERT_TRUE(accept(to_carol()));
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_THAT(server_.got()[0].envelope, ElementsAre(HasSubstr("MAIL FROM:<alice@example.org>"), "RCPT TO:<carol@example.net>"));
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

}  // namespace
}  // namespace postrider
