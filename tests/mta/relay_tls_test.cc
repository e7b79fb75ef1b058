// STARTTLS, smart hosts that want a login, and LMTP, from the client's side.
#include "common/base/ascii.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using config::TlsLevel;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class RelayTlsTest : public RelayLinkTest {
 protected:
  void trust_server() { ASSERT_TRUE(tls_->trust(server_.certificate())); }
  void log_in_as(const std::string& user, const std::string& password) {
    RelayLogin login{user, password};
    login_ = std::make_shared<const RelayLogin>(login);
  }
};

TEST_F(RelayTlsTest, TlsIsTakenWhereItIsOffered) {
  server_.use_tls("somebody.else.example");
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::relayed) << "any certificate is better than none";
  EXPECT_THAT(outcome.tls, HasSubstr("TLSv1.3"));
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_TRUE(server_.got()[0].encrypted);
  EXPECT_THAT(server_.commands(), ElementsAre(HasSubstr("EHLO"), "STARTTLS", HasSubstr("EHLO"), HasSubstr("MAIL"),
                                              HasSubstr("RCPT"), "DATA"));
}

TEST_F(RelayTlsTest, TheNextConnectionResumesTheSession) {
  server_.use_tls("127.0.0.1");
  settings_.max_messages_per_connection = 1;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 3);
  EXPECT_EQ(server_.resumed(), 2);
}

TEST_F(RelayTlsTest, TlsThatIsBrokenIsDoneWithout) {
  server_.use_tls("127.0.0.1");
  server_.reply("STARTTLS", "220 go on\r\nthis is no handshake");
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::relayed);
  EXPECT_THAT(outcome.tls, IsEmpty());
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_FALSE(server_.got()[0].encrypted);
  EXPECT_EQ(server_.connections(), 2);
}

TEST_F(RelayTlsTest, OldTlsIsNone) {
  server_.use_tls("127.0.0.1");
  server_.know_old_tls_only();
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::relayed);
  EXPECT_THAT(outcome.tls, IsEmpty());
  tls_level_ = TlsLevel::encrypted;
  make_link(server_);
  EXPECT_EQ(attempt_one().kind, Kind::unreachable) << "where TLS must be, it gets nothing";
  ASSERT_TRUE(server_.wait_for(1));
  EXPECT_EQ(server_.got().size(), 1u);
}

TEST_F(RelayTlsTest, ARefusalOfStarttlsIsDoneWithout) {
  server_.use_tls("127.0.0.1");
  server_.reply("STARTTLS", "454 4.7.0 not now");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(RelayTlsTest, WhereTlsMustBeThereIsNoFallingBack) {
  tls_level_ = TlsLevel::encrypted;
  EXPECT_EQ(attempt_one().status, "4.7.4") << "none is offered";
  server_.use_tls("127.0.0.1");
  server_.reply_once("STARTTLS", "454 4.7.0 not now");
  EXPECT_EQ(attempt_one().status, "4.7.4");
  server_.reply_once("STARTTLS", "220 go on\r\nthis is no handshake");
  EXPECT_EQ(attempt_one().kind, Kind::unreachable);
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
}

TEST_F(RelayTlsTest, ACertificateOfAnotherNameIsNotVerified) {
  tls_level_ = TlsLevel::verified;
  server_.use_tls("mx.elsewhere.example");
  trust_server();
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_EQ(outcome.status, "4.7.5");
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RelayTlsTest, ACertificateOfAnUnknownAuthorityIsNotVerified) {
  tls_level_ = TlsLevel::verified;
  server_.use_tls("127.0.0.1");
  EXPECT_EQ(attempt_one().status, "4.7.5");
}

TEST_F(RelayTlsTest, AVerifiedConnectionIsOneAlsoWhenItIsResumed) {
  tls_level_ = TlsLevel::verified;
  server_.use_tls("localhost");
  trust_server();
  settings_.max_messages_per_connection = 1;
  config::RouteTarget target = target_of(server_);
  target.host = "localhost";
  // The name is looked up in the system's hosts file, not in DNS.
  RouterSettings router;
  router.smart_host = target;
  router.smart_host_tls = tls_level_;
  router_ = std::make_unique<Router>(loop_, router);
  link_ = std::make_unique<SmtpLink>(RelayParts{*router_, settings_, workers_, tls_});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(server_.resumed(), 1);
}

TEST_F(RelayTlsTest, TlsFromTheFirstOctet) {
  server_.use_tls("127.0.0.1", true);
  config::RouteTarget target = target_of(server_);
  target.protocol = config::RouteTarget::Protocol::smtps;
  make_link(target);
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
  EXPECT_THAT(outcome.tls, HasSubstr("TLSv1.3"));
}

TEST_F(RelayTlsTest, LogsInWithEachMechanism) {
  log_in_as("relay@example.org", "correct horse");
  for (const char* mechanism : {"PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5 PLAIN SCRAM-SHA-256"}) {
    RelayServer server;
    server.want_login(mechanism, "relay@example.org", "correct horse");
    make_link(server);
    EXPECT_EQ(attempt_one().kind, Kind::relayed) << mechanism;
    ASSERT_TRUE(server.wait_for(1));
    EXPECT_EQ(server.got()[0].user, "relay@example.org");
  }
}

TEST_F(RelayTlsTest, AWrongPasswordLetsTheMailWaitAndIsNotRepeated) {
  log_in_as("relay@example.org", "wrong staple");
  for (const char* mechanism : {"PLAIN", "LOGIN", "SCRAM-SHA-256"}) {
    RelayServer server;
    server.want_login(mechanism, "relay@example.org", "correct horse");
    make_link(server);
    Outcome outcome = attempt_one();
    EXPECT_EQ(outcome.kind, Kind::unreachable) << mechanism;
    EXPECT_EQ(outcome.status, "4.7.8");
    EXPECT_THAT(outcome.reply, HasSubstr("relay@example.org"));
    EXPECT_THAT(outcome.reply, Not(HasSubstr("staple")));
    EXPECT_THAT(server.commands(), Not(Contains(HasSubstr("MAIL"))));
  }
}

TEST_F(RelayTlsTest, AServerWithoutLoginsGetsNoMail) {
  log_in_as("relay@example.org", "correct horse");
  EXPECT_EQ(attempt_one().status, "4.7.0");
}

TEST_F(RelayTlsTest, LmtpHasAReplyForEachRecipient) {
  server_.speak_lmtp();
  config::RouteTarget target = target_of(server_);
  target.protocol = config::RouteTarget::Protocol::lmtp;
  make_link(target);
  for (const char* name : {"carol", "dave", "erin"}) add_recipient(std::string(name) + "@example.net");
  server_.reply("RCPT TO:<carol", "550 5.1.1 who");
  server_.reply("\n.<dave", "452 4.2.2 full");
  server_.reply("\n.<erin", "554 5.6.0 no");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).status, "5.1.1");
  EXPECT_EQ(outcomes.at(2).kind, Kind::temporary);
  EXPECT_EQ(outcomes.at(3).status, "5.6.0");
  EXPECT_THAT(server_.commands(), Contains("LHLO mx.example.org"));
}

TEST_F(RelayTlsTest, WhoWasAnsweredBeforeLmtpBrokeHasHisOutcome) {
  server_.speak_lmtp();
  config::RouteTarget target = target_of(server_);
  target.protocol = config::RouteTarget::Protocol::lmtp;
  make_link(target);
  add_recipient("carol@example.net");
  server_.reply("\n.<carol", RelayServer::kClose);
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).kind, Kind::unreachable);
}

TEST_F(RelayTlsTest, LmtpOverAUnixSocket) {
  config::RouteTarget target;
  target.protocol = config::RouteTarget::Protocol::lmtp;
  target.path = state_.file("a socket with a name longer than an address");
  make_link(target);
  Outcome none = attempt_one();
  EXPECT_EQ(none.kind, Kind::unreachable);
  EXPECT_THAT(none.reply, HasSubstr("No such file"));
  RelayServer server("127.0.0.1", 0, target.path);
  server.speak_lmtp();
  for (int i = 0; i < 2; ++i) {
    Outcome outcome = attempt_one();
    EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
    EXPECT_EQ(outcome.remote, target.path);
  }
  EXPECT_EQ(server.connections(), 1);
}

}  // namespace
}  // namespace postrider
