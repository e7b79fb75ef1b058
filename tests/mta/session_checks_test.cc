// What a session finds out about mail from other servers, and how it signs that of our users.
#include <fmt/format.h>

#include "common/mail/header.h"
#include "common/mailauth/dkim_sign.h"
#include "store/dkim_keys.h"
#include "tests/mailauth/signatures.h"
#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

class ChecksTest : public SessionTest {
 protected:
  ChecksTest() {
    authenticate(dns);
    dns.txt("good.example", "v=spf1 ip4:127.0.0.0/8 -all");
    dns.txt("client.example", "v=spf1 a -all");
    dns.add("client.example", DnsType::a, std::string("\x7f\0\0\1", 4));
    dns.txt("bad.example", "v=spf1 -all exp=why.bad.example");
    dns.txt("why.bad.example", "%{i} is none of ours");
    for (const char* domain : {"good.example", "bad.example"})
      dns.txt(fmt::format("_dmarc.{}", domain), "v=DMARC1; p=reject");
  }

  /// The reply to a message.
  std::string send(const std::string& sender, const std::string& message) {
    Client client(port(Role::smtp));
    go_on(client, "S: 220 *\nC: EHLO client.example\nS: 250 ...\n");
    go_on(client,
          fmt::format("C: MAIL FROM:<{}>\nS: 250 *\nC: RCPT TO:<alice@example.test>\nS: 250 *\nC: DATA\nS: 354 *\n",
                      sender));
    client.send(message + ".\r\n");
    return client.reply().value_or("closed");
  }
  std::string results() {
    const std::string text = only_message().text;
    return find_header(std::string_view(text).substr(0, header_block_size(text)), "Authentication-Results")
        .value_or("");
  }
  std::string signed_by(const std::string& domain, const std::string& message) {
    const dkim::Key key = dkim::generate_key(dkim::Algorithm::ed25519_sha256);
    dns.txt("s1._domainkey." + domain, dkim::key_record_text(key));
    const size_t head = header_block_size(message);
    dkim::BodyHash body;
    body.feed(std::string_view(message).substr(head));
    return dkim::sign_message(std::string_view(message).substr(0, head), body.finish(), {{domain, "s1", key}},
                              clock.unix_time()) +
           message;
  }

  DnsTable dns;
};

TEST_F(ChecksTest, WhatPassesIsNoted) {
  EXPECT_EQ(
      send("carol@good.example", signed_by("good.example", "From: carol@good.example\r\n\r\nhello\r\n")).substr(0, 3),
      "250");
  const std::string found = results();
  EXPECT_TRUE(found.starts_with("mx.example.test;")) << found;
  EXPECT_NE(found.find("spf=pass smtp.mailfrom=carol@good.example;"), std::string::npos) << found;
  EXPECT_NE(found.find("spf=pass smtp.helo=client.example;"), std::string::npos) << found;
  EXPECT_NE(found.find("dkim=pass header.d=good.example header.s=s1 header.a=ed25519-sha256"), std::string::npos)
      << found;
  EXPECT_NE(found.find("dmarc=pass (p=reject) header.from=good.example"), std::string::npos) << found;
  EXPECT_TRUE(only_message().text.starts_with("Authentication-Results:"));
}

TEST_F(ChecksTest, AForgedAuthorIsRefusedAsTheDomainAsks) {
  const std::string reply = send("carol@good.example", "From: ceo@bad.example\r\n\r\nhello\r\n");
  EXPECT_TRUE(reply.starts_with("550 5.7.1 bad.example asks by DMARC")) << reply;
  EXPECT_TRUE(taken().empty());
}

TEST_F(ChecksTest, OneForgedAuthorAmongSeveralIsEnough) {
  EXPECT_TRUE(
      send("carol@good.example", "From: carol@good.example, ceo@bad.example\r\n\r\nx\r\n").starts_with("550 5.7.1"));
  EXPECT_TRUE(send("carol@good.example", "From: carol@good.example\r\nFrom: ceo@bad.example\r\n\r\nx\r\n")
                  .starts_with("550 5.7.1"));
  EXPECT_TRUE(send("carol@good.example", "From: a@a.a,a@b.b,a@c.c,a@d.d,ceo@bad.example\r\n\r\nx\r\n")
                  .starts_with("550 5.7.1"));
}

TEST_F(ChecksTest, NotingRefusesNothing) {
  configure([](Config& config) { config.checks.dmarc = "note"; });
  EXPECT_TRUE(send("ceo@bad.example", "From: ceo@bad.example\r\n\r\nhello\r\n").starts_with("250"));
  EXPECT_NE(results().find("spf=fail smtp.mailfrom=ceo@bad.example"), std::string::npos) << results();
  EXPECT_NE(results().find("dmarc=fail (p=reject) header.from=bad.example"), std::string::npos) << results();
}

TEST_F(ChecksTest, SpfMayRefuse) {
  configure([](Config& config) { config.checks.spf = "reject"; });
  const std::string reply = send("ceo@bad.example", "From: carol@good.example\r\n\r\nhello\r\n");
  EXPECT_TRUE(reply.starts_with("550 5.7.23 bad.example says by SPF")) << reply;
  EXPECT_TRUE(reply.ends_with("it explains: 127.0.0.1 is none of ours")) << reply;
}

TEST_F(ChecksTest, NothingIsSaidOfWhatIsOff) {
  configure([](Config& config) { config.checks.spf = config.checks.dkim = config.checks.dmarc = "off"; });
  EXPECT_TRUE(send("ceo@bad.example", "From: ceo@bad.example\r\n\r\nhello\r\n").starts_with("250"));
  EXPECT_EQ(results(), "");
  EXPECT_EQ(dns.asked(), 0u);
}

TEST_F(ChecksTest, AFailureOfDnsIsATemporaryErrorAndNoReasonToRefuse) {
  dns.fail("_dmarc.down.example", DnsType::txt);
  dns.fail("down.example", DnsType::txt);
  EXPECT_TRUE(send("a@down.example", "From: a@down.example\r\n\r\nhello\r\n").starts_with("250"));
  EXPECT_NE(results().find("spf=temperror"), std::string::npos) << results();
  EXPECT_NE(results().find("dmarc=temperror"), std::string::npos) << results();
}

TEST_F(ChecksTest, WhereRefusalHangsOnDnsTheSenderIsToComeAgain) {
  dns.fail("halfway.example", DnsType::txt);
  dns.txt("_dmarc.halfway.example", "v=DMARC1; p=reject");
  EXPECT_TRUE(send("a@halfway.example", "From: a@halfway.example\r\n\r\nhello\r\n").starts_with("451 4.7.24"));
}

TEST_F(ChecksTest, ForgedResultsAreTakenOutAndSignaturesOverThemStillHold) {
  const std::string message =
      "Authentication-Results: mx.example.test; dmarc=pass\r\nAuthentication-Results: other.example; spf=pass\r\n" +
      signed_by("good.example", "From: carol@good.example\r\n\r\nhello\r\n");
  EXPECT_TRUE(send("carol@good.example", message).starts_with("250"));
  const std::string text = only_message().text;
  EXPECT_EQ(count_headers(text, "Authentication-Results"), 2u);
  EXPECT_EQ(text.find("mx.example.test; dmarc=pass"), std::string::npos);
  EXPECT_NE(results().find("dkim=pass"), std::string::npos) << results();
}

TEST_F(ChecksTest, ALargeMessageIsVerifiedFromItsFile) {
  std::string message =
      "Authentication-Results: mx.example.test; none\r\nFrom: carol@good.example\r\nSubject: large\r\n\r\n";
  const size_t head = message.size();
  for (int n = 0; message.size() < 2'000'000; ++n) message += fmt::format("line {} {:x}\r\n", n, n * 2654435761u);
  EXPECT_TRUE(send("carol@good.example", signed_by("good.example", message)).starts_with("250"));
  const Taken taken_one = only_message();
  EXPECT_FALSE(taken_one.envelope.body->in_memory());
  EXPECT_NE(results().find("dkim=pass"), std::string::npos) << results();
  EXPECT_TRUE(taken_one.text.starts_with("Authentication-Results: mx.example.test;\r\n\tspf=pass"))
      << taken_one.text.substr(0, 200);
  EXPECT_TRUE(taken_one.text.ends_with(message.substr(head)));
  // As the queue reads it after a restart.
  const store::Spool again = store::Spool::adopt(taken_one.envelope.body->path());
  std::string text;
  again.read([&](std::string_view piece) { text += piece; });
  EXPECT_TRUE(text == taken_one.text);
}

TEST_F(ChecksTest, AMessageWithoutAuthorIsNobodysForgery) {
  EXPECT_TRUE(send("carol@good.example", "Subject: x\r\n\r\nhello\r\n").starts_with("250"));
  EXPECT_TRUE(send("", "hello\r\n").starts_with("250"));
}

// --- mail of our users

TEST_F(ChecksTest, WhatOurUsersSendIsSigned) {
  store::DkimKeys keys(folder.string());
  for (const auto& key : keys.create("example.test", 0, 0)) dns.txt(key.record_name(), key.record);
  Client client(port(Role::submission));
  go_on(client, fmt::format("S: 220 *\nC: EHLO client.example\nS: 250 ...\nC: AUTH PLAIN {}\nS: 235 *\n",
                            base64(std::string("\0alice@example.test\0secret", 26))));
  go_on(
      client,
      "C: MAIL FROM:<alice@example.test>\nS: 250 *\nC: RCPT TO:<bob@elsewhere.example>\nS: 250 *\nC: DATA\nS: 354 *\n");
  client.send("From: alice@example.test\r\nSubject: x\r\n\r\nhello\r\n.\r\n");
  EXPECT_EQ(client.reply()->substr(0, 3), "250");
  const std::string text = only_message().text;
  EXPECT_EQ(find_header(text, "Authentication-Results"), std::nullopt);
  const auto results = verify_signatures(dns, text, clock.unix_time());
  ASSERT_EQ(results.size(), 2u);
  for (const auto& result : results) EXPECT_EQ(result.verdict, dkim::Verdict::pass) << result.reason;
  EXPECT_NE(text.find("\r\nMessage-ID: "), std::string::npos);
}

TEST_F(ChecksTest, ADomainWithoutKeysIsNotSigned) {
  Client client(port(Role::submission));
  go_on(client, fmt::format("S: 220 *\nC: EHLO client.example\nS: 250 ...\nC: AUTH PLAIN {}\nS: 235 *\n",
                            base64(std::string("\0alice@example.test\0secret", 26))));
  go_on(client,
        "C: MAIL FROM:<alice@example.test>\nS: 250 *\nC: RCPT TO:<bob@example.test>\nS: 250 *\nC: DATA\nS: 354 *\n");
  client.send("From: alice@example.test\r\n\r\nhello\r\n.\r\n");
  EXPECT_EQ(client.reply()->substr(0, 3), "250");
  EXPECT_EQ(find_header(only_message().text, "DKIM-Signature"), std::nullopt);
}

}  // namespace
}  // namespace postrider
