// DANE (RFC 7672): hand-overs to servers whose zone is signed, and REQUIRETLS over them.
#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/date.h"
#include "mta/tls_reporter.h"
#include "tests/mta/name_server.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// One server on the mail host's address; the zone around it says of its certificate what each test needs.
class RelayDaneTest : public RelayLinkTest {
 protected:
  RelayDaneTest() : mx_("127.0.0.5") { mx_.use_tls("mx.signed.test"); }

  std::string hash() const { return net::inspect_certificate(mx_.certificate(), "mx.signed.test")->key_sha256; }
  static std::string wrong() { return std::string(64, 'a'); }
  std::string tlsa(const std::string& host, const std::string& rdata) const {
    return fmt::format("_{}._tcp.{}. 300 IN TLSA {}", mx_.port(), host, rdata);
  }
  void start(const std::vector<std::string>& zone, const std::vector<std::string>& refused = {}) {
    names_ = std::make_unique<NameServer>(
        std::vector<std::string>{"plain.test. MX 10 mx.signed.test.", "_mail.plain.test. TXT x"}, refused, zone);
    RouterSettings router;
    router.hostname = settings_.hostname;
    router.dns = dns_settings(names_->address(), names_->trust_anchor());
    router.private_addresses = true;
    router.port = mx_.port();
    configure(router);
  }
  void configure(const RouterSettings& router) {
    link_.reset();
    router_ = std::make_unique<Router>(loop_, router);
    link_ = std::make_unique<SmtpLink>(RelayParts{*router_, settings_, workers_, tls_, &reporter_});
  }
  Outcome send_to(const std::string& domain) {
    std::vector<Outcome> outcomes;
    auto run = [&]() -> asio::awaitable<void> {
      std::vector<size_t> recipients{0};
      RoutePtr route = co_await router_->find(domain);
      outcomes = co_await link_->attempt(route, message_, recipients);
      co_await link_->close();
    };
    run_to_end(run());
    return outcomes.at(0);
  }
  void expect_no_mail() { EXPECT_THAT(mx_.commands(), Not(Contains(HasSubstr("MAIL")))); }

  RelayServer mx_;
  std::unique_ptr<NameServer> names_;
  ManualClock clock_{1'700'000'000};
  TlsReporter reporter_{state_.path(), clock_};
};

TEST_F(RelayDaneTest, ACertificateThatFitsIsVerified) {
  start({tlsa("mx.signed.test", "3 1 1 " + wrong()), tlsa("mx.signed.test", "3 1 1 " + hash())});
  Outcome outcome = send_to("signed.test");
  EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
  EXPECT_THAT(outcome.tls, HasSubstr("verified (DANE"));
}

TEST_F(RelayDaneTest, AnotherCertificateGetsNoMail) {
  start({tlsa("mx.signed.test", "3 1 1 " + wrong())});
  ASSERT_TRUE(tls_->trust(mx_.certificate())) << "authorities count for nothing beside DANE";
  Outcome outcome = send_to("signed.test");
  EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_EQ(outcome.status, "4.7.5");
  EXPECT_THAT(outcome.reply, HasSubstr("DANE: mx.signed.test has TLSA records"));
  expect_no_mail();
}

TEST_F(RelayDaneTest, AServerWhoseStarttlsWasStrippedGetsNoMail) {
  start({tlsa("mx.signed.test", "3 1 1 " + hash())});
  mx_.reply("EHLO", "250-server\r\n250 8BITMIME");
  EXPECT_EQ(send_to("signed.test").status, "4.7.4");
  mx_.reply("EHLO", "250-server\r\n250 STARTTLS");
  mx_.reply_once("STARTTLS", "454 4.7.0 not now");
  EXPECT_EQ(send_to("signed.test").status, "4.7.4");
  mx_.reply_once("STARTTLS", "220 go on\r\nthis is no handshake");
  Outcome outcome = send_to("signed.test");
  EXPECT_EQ(outcome.status, "4.7.5");
  EXPECT_THAT(outcome.reply, HasSubstr("DANE"));
  expect_no_mail();
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
}

TEST_F(RelayDaneTest, RecordsThatCannotBeUsedAskForTlsAlone) {
  start({tlsa("mx.signed.test", "1 1 1 " + wrong()), tlsa("mx.signed.test", "3 0 0 0000")});
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed) << "a certificate that is none anchors nothing";
  mx_.reply("EHLO", "250-server\r\n250 8BITMIME");
  EXPECT_EQ(send_to("signed.test").status, "4.7.4");
}

TEST_F(RelayDaneTest, TheAuthorityOfUsage2HasToNameTheHost) {
  const std::string folder = state_.path();
  const std::string script = fmt::format(
      "cd {} && exec >/dev/null 2>&1 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 "
      "-keyout ca.key -out ca.pem -subj /CN=authority && for name in mx.signed.test signed.test mx.elsewhere.test; do "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=x && "
      "printf 'subjectAltName=DNS:%s\\n' $name > $name.ext && openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key "
      "-CAcreateserial -days 9 -extfile $name.ext -out $name.crt && cat $name.crt ca.pem > $name.pem || exit; done; "
      "openssl x509 -in ca.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | "
      "cut -c1-64 > ca.hash",
      folder);
  ASSERT_EQ(std::system(script.c_str()), 0);
  char text[65] = {};
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(state_.file("ca.hash").c_str(), "re"), &std::fclose);
  ASSERT_EQ(std::fread(text, 1, 64, file.get()), 64U);
  start({tlsa("mx.signed.test", std::string("2 1 1 ") + text)});
  const auto send_with = [&](const std::string& name) {
    mx_.use_certificate(state_.file(name + ".pem"), state_.file(name + ".key"));
    return send_to("signed.test");
  };
  EXPECT_EQ(send_with("mx.signed.test").kind, Kind::relayed);
  EXPECT_EQ(send_with("signed.test").kind, Kind::relayed) << "the domain's own name will do (RFC 7672 3.2.3)";
  EXPECT_EQ(send_with("mx.elsewhere.test").status, "4.7.5");
}

TEST_F(RelayDaneTest, OfAnUnsignedMxNothingIsAsked) {
  start({tlsa("mx.signed.test", "3 1 1 " + wrong())});
  Outcome outcome = send_to("plain.test");
  EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
  EXPECT_THAT(outcome.tls, Not(HasSubstr("DANE")));
}

TEST_F(RelayDaneTest, AliasesAreFollowedToTheirRecords) {
  const std::vector<std::string> aliases{"to-alias.signed.test. 300 IN MX 10 alias.signed.test.",
                                         "alias.signed.test. 300 IN CNAME mx.signed.test.",
                                         "to-other.signed.test. 300 IN MX 10 other.signed.test.",
                                         "other.signed.test. 300 IN CNAME mx2.signed.test.",
                                         "mx2.signed.test. 300 IN A 127.0.0.5",
                                         tlsa("other.signed.test", "3 1 1 " + wrong()),
                                         tlsa("mx.signed.test", "3 1 1 " + hash())};
  start(aliases);
  Outcome outcome = send_to("to-alias.signed.test");
  EXPECT_EQ(outcome.kind, Kind::relayed) << outcome.reply;
  EXPECT_THAT(outcome.tls, HasSubstr("DANE"));
  EXPECT_EQ(send_to("to-other.signed.test").status, "4.7.5") << "records of the alias itself count as well";
}

TEST_F(RelayDaneTest, WhereDnsFailsForTheRecordsMailWaits) {
  // The record is there: of a name that is not, the zone's own NSEC records would say so.
  start({tlsa("mx.signed.test", "3 1 1 " + hash())}, {fmt::format("_{}._tcp.mx.signed.test.", mx_.port())});
  Outcome outcome = send_to("signed.test");
  EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_THAT(outcome.reply, HasSubstr("DNS fails for the TLSA records"));
  EXPECT_EQ(mx_.connections(), 0);
  message_.tls = TlsNeed::waived;
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
}

TEST_F(RelayDaneTest, ASmartHostIsHeldToItsRecordsToo) {
  start({tlsa("mx.signed.test", "3 1 1 " + wrong())});
  RouterSettings router;
  router.dns = dns_settings(names_->address(), names_->trust_anchor());
  config::RouteTarget target;
  target.host = "mx.signed.test";
  target.port = mx_.port();
  router.routes["elsewhere.test"] = target;
  configure(router);
  EXPECT_EQ(send_to("elsewhere.test").status, "4.7.5");
}

TEST_F(RelayDaneTest, AMessageThatWaivesTlsGoesWhateverTheCertificate) {
  start({tlsa("mx.signed.test", "3 1 1 " + wrong())});
  message_.tls = TlsNeed::waived;
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
}

// Reports on TLS waive it: two servers that report to each other would have something to report every day.
TEST_F(RelayDaneTest, WhatWaivesTlsIsNotReported) {
  start({tlsa("mx.signed.test", "3 1 1 " + hash())});
  message_.tls = TlsNeed::waived;
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
  const auto reported = [this] {
    reporter_.write();
    clock_.advance(std::chrono::hours(24));
    return reporter_.unreported(day_of(clock_.unix_time()), 10).size();
  };
  EXPECT_EQ(reported(), 0u);
  message_.tls = TlsNeed::as_policy;
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
  EXPECT_EQ(reported(), 1u);
}

TEST_F(RelayDaneTest, AMessageThatNeedsTlsGoesOnlyWhereItIsPromised) {
  start({tlsa("mx.signed.test", "3 1 1 " + hash())});
  message_.tls = TlsNeed::required;
  Outcome outcome = send_to("signed.test");
  EXPECT_EQ(outcome.kind, Kind::permanent);
  EXPECT_EQ(outcome.status, "5.7.30");
  expect_no_mail();
  mx_.reply("EHLO", "250-server\r\n250-STARTTLS\r\n250 REQUIRETLS");
  EXPECT_EQ(send_to("signed.test").kind, Kind::relayed);
  EXPECT_THAT(mx_.commands(), Contains("MAIL FROM:<alice@example.org> REQUIRETLS"));
  outcome = send_to("plain.test");
  EXPECT_EQ(outcome.kind, Kind::permanent);
  EXPECT_EQ(outcome.status, "5.7.10") << "nobody vouches for the MX";
}

TEST_F(RelayDaneTest, AConnectionIsNotKeptForAMessageThatNeedsAnother) {
  start({});
  const auto attempt_with = [&](TlsNeed need) {
    message_.tls = need;
    auto run = [&]() -> asio::awaitable<void> {
      std::vector<size_t> recipients{0};
      RoutePtr route = co_await router_->find("signed.test");
      co_await link_->attempt(route, message_, recipients);
    };
    run_to_end(run());
  };
  attempt_with(TlsNeed::as_policy);
  attempt_with(TlsNeed::as_policy);
  EXPECT_EQ(mx_.connections(), 1);
  attempt_with(TlsNeed::required);
  EXPECT_EQ(mx_.connections(), 2);
}

}  // namespace
}  // namespace postrider
