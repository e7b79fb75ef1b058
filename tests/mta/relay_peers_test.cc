// Servers that do not keep to SMTP, or do not mean well: nothing is lost, nothing hangs, and nothing grows.
#include "common/base/ascii.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::AnyOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class RelayPeersTest : public RelayLinkTest {
 protected:
  void be_impatient() {
    settings_.command_timeout = settings_.block_timeout = settings_.end_timeout = milliseconds(200);
    settings_.envelope_timeout = milliseconds(500);
  }
  /// How long an attempt takes.
  milliseconds timed(Outcome& outcome) {
    auto begin = steady_clock::now();
    outcome = attempt_one();
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
  }
};

constexpr const char* kPlaces[] = {"GREETING", "EHLO", "MAIL", "RCPT", "DATA", "\n."};

TEST_F(RelayPeersTest, AConnectionThatEndsBeforeTheReplyMeansAgain) {
  for (const char* where : kPlaces) {
    RelayServer server;
    server.reply(where, RelayServer::kClose);
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << where;
    EXPECT_FALSE(link_->is_open()) << where;
  }
}

TEST_F(RelayPeersTest, TheSameWithoutPipelining) {
  for (const char* where : kPlaces) {
    RelayServer server;
    server.reply("EHLO", "250 server");
    server.reply(where, RelayServer::kClose);
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << where;
  }
}

TEST_F(RelayPeersTest, SilenceAtAnyPlaceIsLeftAfterItsTime) {
  be_impatient();
  for (const char* where : kPlaces) {
    RelayServer server;
    server.reply(where, RelayServer::kSilence);
    make_link(server);
    Outcome outcome;
    EXPECT_LT(timed(outcome), std::chrono::seconds(5)) << where;
    EXPECT_EQ(outcome.kind, Kind::unreachable) << where;
    // Where it pipelines, the reply that comes is that to another command.
    EXPECT_THAT(outcome.reply, AnyOf(HasSubstr("timed out"), HasSubstr("out of step"))) << where;
  }
}

TEST_F(RelayPeersTest, AnOctetNowAndThenIsNoReply) {
  be_impatient();
  server_.set_slowness(milliseconds(100));
  Outcome outcome;
  EXPECT_LT(timed(outcome), std::chrono::seconds(3));
  EXPECT_EQ(outcome.kind, Kind::unreachable);
}

TEST_F(RelayPeersTest, AServerThatIsSlowWithEveryReplyIsLeftInTheEnd) {
  settings_.command_timeout = milliseconds(5'000);
  settings_.envelope_timeout = milliseconds(300);
  server_.set_slowness(milliseconds(10));  // about 150 ms a reply
  for (int i = 0; i < 90; ++i) add_recipient("u" + std::to_string(i) + "@example.net");
  auto begin = steady_clock::now();
  for (const Outcome& outcome : attempt()) EXPECT_NE(outcome.kind, Kind::relayed);
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(RelayPeersTest, ALineOfTenMegabytesIsNoReply) {
  for (const char* where : {"GREETING", "EHLO", "RCPT"}) {
    RelayServer server;
    server.reply(where, "250 " + std::string(10 << 20, 'x'));
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << where;
  }
}

TEST_F(RelayPeersTest, LinesWithoutEndAreNoReply) {
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "250-more\r\n";
  server_.reply("EHLO", lines + "250 end");
  EXPECT_EQ(attempt_one().kind, Kind::unreachable);
}

TEST_F(RelayPeersTest, WrongCodesEndTheConnection) {
  for (const char* where : {"MAIL", "RCPT", "\n."}) {
    RelayServer server;
    server.reply(where, "354 what");
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << where;
    EXPECT_FALSE(link_->is_open()) << where;
  }
  for (const char* reply : {"250 ok", "220 ready", "334 ", "100 continue", "600 what", "hello", "25x ok", "250\tok"}) {
    RelayServer server;
    server.reply("DATA", reply);
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << reply;
    EXPECT_FALSE(link_->is_open()) << reply;
  }
}

TEST_F(RelayPeersTest, RepliesTooManyAreNotTakenForOthers) {
  server_.reply("RCPT", "250 ok\r\n250 ok");
  EXPECT_EQ(attempt_one().kind, Kind::unreachable);
  EXPECT_FALSE(link_->is_open());
}

TEST_F(RelayPeersTest, AReplyTooManyIsNotTakenForTheAnswerToBinaryContent) {
  server_.reply("EHLO", "250-server\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME");
  server_.reply("RCPT", "250 ok\r\n250 ok");
  server_.reply_to_content("554 5.6.0 no");
  message_.binary = message_.eight_bit = true;
  EXPECT_NE(attempt_one().kind, Kind::relayed);
}

TEST_F(RelayPeersTest, AReplyTooManyIsNotTakenForTheAnswerToTheContent) {
  for (const char* ehlo : {"250-server\r\n250 PIPELINING", "250 server"}) {
    RelayServer server;
    server.reply("EHLO", ehlo);
    server.reply("DATA", "354 go on\r\n250 2.0.0 ok");
    server.reply_to_content("554 5.6.0 no");
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable);
    EXPECT_FALSE(link_->is_open());
  }
}

TEST_F(RelayPeersTest, AReplyTooManyIsNotTakenForAnotherRecipients) {
  add_recipient("carol@example.net");
  server_.reply("EHLO", "250 server");
  server_.reply("RCPT TO:<bob", "250 ok\r\n250 ok");
  server_.reply("RCPT TO:<carol", "354 what");
  server_.reply("DATA", "250 ok");
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_FALSE(link_->is_open());
}

TEST_F(RelayPeersTest, RepliesTooFewAreATimeout) {
  be_impatient();
  add_recipient("carol@example.net");
  server_.reply("RCPT TO:<carol", RelayServer::kSilence);
  server_.reply("DATA", RelayServer::kSilence);
  for (const Outcome& outcome : attempt()) EXPECT_EQ(outcome.kind, Kind::unreachable);
}

TEST_F(RelayPeersTest, AServerThatIsClosingIsLeft) {
  for (const char* where : kPlaces) {
    RelayServer server;
    server.reply(where, "421 4.3.2 closing");
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::unreachable) << where;
    EXPECT_FALSE(link_->is_open()) << where;
  }
}

TEST_F(RelayPeersTest, WhoWasRefusedBeforeTheEndStaysRefused) {
  add_recipient("carol@example.net");
  add_recipient("dave@example.net");
  server_.reply("RCPT TO:<bob", "550 5.1.1 who");
  server_.reply("RCPT TO:<dave", RelayServer::kClose);
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::permanent);
  EXPECT_EQ(outcomes.at(1).kind, Kind::unreachable);
  EXPECT_EQ(outcomes.at(2).kind, Kind::unreachable);
}

TEST_F(RelayPeersTest, TakenAndThenClosedIsTaken) {
  server_.reply_once("\n.", "250 2.0.0 ok\r\n421 4.3.2 bye");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(attempt_one().kind, Kind::relayed) << "over another connection";
  EXPECT_EQ(server_.connections(), 2);
  ASSERT_TRUE(server_.wait_for(2));
  EXPECT_EQ(server_.got().size(), 2u);
}

TEST_F(RelayPeersTest, AnIdleConnectionThatWasClosedIsMadeAnew) {
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  server_.reply_once("MAIL", RelayServer::kClose);
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 2);
  server_.reply_once("MAIL", "421 4.4.2 you were idle");
  EXPECT_EQ(attempt_one().kind, Kind::relayed) << "that says nothing of the next connection";
  EXPECT_EQ(server_.connections(), 3);
}

TEST_F(RelayPeersTest, ALateReplyAfterResetDoesNotMoveTheOthers) {
  server_.reply_once("RCPT", "550 5.1.1 who");
  EXPECT_EQ(attempt_one().kind, Kind::permanent);
  server_.reply_once("RSET", "250 ok\r\n550 5.1.1 late");
  EXPECT_EQ(attempt_one().kind, Kind::unreachable) << "not the permanent refusal of another recipient";
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
}

TEST_F(RelayPeersTest, GreylistingIsATemporaryRefusalOverAConnectionThatGoesOn) {
  server_.reply_once("RCPT", "451 4.7.1 greylisted, come again in 5 minutes");
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::temporary);
  EXPECT_THAT(outcome.reply, HasSubstr("greylisted"));
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(RelayPeersTest, EveryMixOfRecipientsHasItsOutcomes) {
  for (const char* name : {"later", "never", "fine", "full"}) add_recipient(std::string(name) + "@example.net");
  server_.reply("RCPT TO:<later", "450 4.2.1 busy");
  server_.reply("RCPT TO:<never", "550 no status code");
  server_.reply("RCPT TO:<full", "552 5.2.2 full");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).kind, Kind::temporary);
  EXPECT_EQ(outcomes.at(2).kind, Kind::permanent);
  EXPECT_EQ(outcomes.at(2).status, "5.0.0");
  EXPECT_EQ(outcomes.at(3).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(4).status, "5.2.2");
}

TEST_F(RelayPeersTest, ContentForNobodyIsNotSent) {
  server_.reply("RCPT", "550 5.1.1 who");
  server_.reply_to_content("554 5.5.1 no valid recipients");
  EXPECT_EQ(attempt_one().kind, Kind::permanent);  // and DATA got its 354
  server_.reply("RCPT", "250 ok");
  server_.reply("\n.", "250 ok");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_EQ(server_.got().size(), 1u);
}

TEST_F(RelayPeersTest, NobodyThereIsUnreachable) {
  config::RouteTarget target;
  {
    RelayServer gone;
    target = target_of(gone);
  }
  make_link(target);
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_THAT(outcome.reply, HasSubstr("127.0.0.1"));
}

TEST_F(RelayPeersTest, ARefusedGreetingIsTriedAgainUnlessItSaysNever) {
  server_.reply("GREETING", "554 5.3.2 not today");
  EXPECT_EQ(attempt_one().kind, Kind::unreachable);
  server_.reply("GREETING", "521 5.3.2 no mail here");
  EXPECT_EQ(attempt_one().kind, Kind::permanent);
}

TEST_F(RelayPeersTest, AMessageThatIsTooLargeIsNotSent) {
  server_.reply("EHLO", "250-server\r\n250 SIZE 10");
  EXPECT_EQ(attempt_one().status, "5.3.4");
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
  EXPECT_TRUE(link_->is_open());
}

TEST_F(RelayPeersTest, ExtensionsThatAreNonsenseAreNone) {
  server_.reply(
      "EHLO",
      "250-server\r\n250-SIZE 99999999999999999999999\r\n250-LIMITS RCPTMAX=0 MAILMAX=x\r\n250-8BITMIME=yes\r\n250 ");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
}

TEST_F(RelayPeersTest, AConnectionThatIsCutWithinTheContentMeansAgain) {
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 3 << 20) text += "0123456789\r\n";
  set_body(text);
  server_.reply("EHLO", "250 server");
  server_.reply("DATA", "354 go on\r\n421 4.3.0 no more");
  EXPECT_NE(attempt_one().kind, Kind::relayed);
}

}  // namespace
}  // namespace postrider
