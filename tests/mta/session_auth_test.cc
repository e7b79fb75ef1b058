// Submission: AUTH, STARTTLS, and what a logged-in client may do.
#include <fmt/format.h>

#include "common/base/base64.h"
#include "common/sasl/password.h"
#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using namespace std::string_literals;

class AuthTest : public SessionTest {
 protected:
  std::unique_ptr<Client> greeted(Role role = Role::submission) {
    auto client = std::make_unique<Client>(port(role));
    if (role == Role::submissions) client->start_tls();
    go_on(*client, R"(
      S: 220 *
      C: EHLO client.example
      S: 250 ...)");
    return client;
  }
  std::unique_ptr<Client> logged_in(Role role = Role::submission) {
    auto client = greeted(role);
    EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 9), "235 2.7.0");
    return client;
  }
  std::string reply_to(Client& client, std::string_view line) {
    client.send(std::string(line) + "\r\n");
    return client.reply().value_or("closed");
  }
};

TEST_F(AuthTest, MailNeedsALogin) {
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<alice@example.test>").substr(0, 9), "530 5.7.0");
  EXPECT_EQ(reply_to(*client, "VRFY alice").substr(0, 9), "530 5.7.0");
}

TEST_F(AuthTest, PlainWithAndWithoutInitialResponse) {
  logged_in();
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN"), "334 ");
  EXPECT_EQ(reply_to(*client, base64("\0alice@example.test\0secret"s)).substr(0, 9), "235 2.7.0");
}

TEST_F(AuthTest, LoginAsksForNameAndPassword) {
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "auth login"), "334 " + base64("Username:"));
  EXPECT_EQ(reply_to(*client, base64("alice@example.test")), "334 " + base64("Password:"));
  EXPECT_EQ(reply_to(*client, base64("secret")).substr(0, 9), "235 2.7.0");
}

/// The client's side of RFC 5802.
struct ScramClient {
  std::string user, password, bare = {};
  std::string first() {
    bare = "n=" + user + ",r=abcdef";
    return "n,," + bare;
  }
  std::string last(const std::string& server_first) {
    const auto nonce = server_first.substr(2, server_first.find(',') - 2);
    const auto salt_at = server_first.find(",s=") + 3, count_at = server_first.find(",i=") + 3;
    const auto salt = base64_decode(server_first.substr(salt_at, count_at - 3 - salt_at)).value();
    const int count = std::stoi(server_first.substr(count_at));
    const std::string without_proof = "c=biws,r=" + nonce;
    std::string salted(32, '\0');
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                      reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()), count,
                      EVP_sha256(), 32, reinterpret_cast<unsigned char*>(salted.data()));
    auto key = sasl::hmac_sha256(salted, "Client Key");
    const auto signature = sasl::hmac_sha256(sasl::sha256(key), bare + "," + server_first + "," + without_proof);
    for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(key[i] ^ signature[i]);
    return without_proof + ",p=" + base64(key);
  }
};

TEST_F(AuthTest, ScramProvesThePasswordWithoutSendingIt) {
  for (const auto& [user, password, right] : {std::tuple{"alice@example.test", "secret", true},
                                              {"alice@example.test", "wrong", false},
                                              {"nobody@example.test", "secret", false}}) {
    auto client = greeted();
    ScramClient scram{user, password};
    const auto challenge = reply_to(*client, "AUTH SCRAM-SHA-256 " + base64(scram.first()));
    ASSERT_EQ(challenge.substr(0, 4), "334 ");
    const auto answer = reply_to(*client, base64(scram.last(base64_decode(challenge.substr(4)).value())));
    if (right) {
      EXPECT_EQ(answer.substr(0, 4), "334 ");
      EXPECT_EQ(base64_decode(answer.substr(4))->substr(0, 2), "v=");
      EXPECT_EQ(reply_to(*client, "").substr(0, 9), "235 2.7.0");
      EXPECT_EQ(reply_to(*client, "MAIL FROM:<alice@example.test>").substr(0, 3), "250");
    } else {
      EXPECT_EQ(answer.substr(0, 9), "535 5.7.8") << user;
      EXPECT_EQ(reply_to(*client, "MAIL FROM:<alice@example.test>").substr(0, 3), "530");
    }
  }
}

TEST_F(AuthTest, WrongNamesAndWrongPasswordsGetOneAnswer) {
  auto client = greeted();
  const auto wrong = reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0wrong"s));
  EXPECT_EQ(wrong.substr(0, 9), "535 5.7.8");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0nobody@example.test\0secret"s)), wrong);
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0"s)), wrong);
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0\0secret"s)), wrong);
}

TEST_F(AuthTest, ABadExchangeIsAnsweredAndTheSessionGoesOn) {
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "AUTH").substr(0, 9), "501 5.5.4");
  EXPECT_EQ(reply_to(*client, "AUTH EXTERNAL =").substr(0, 9), "504 5.5.4");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN A").substr(0, 9), "501 5.5.2");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN %%%%").substr(0, 9), "501 5.5.2");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN"), "334 ");
  EXPECT_EQ(reply_to(*client, "*").substr(0, 9), "501 5.7.0");
  EXPECT_EQ(reply_to(*client, "NOOP").substr(0, 3), "250");
}

TEST_F(AuthTest, AnOverlongResponseIsSkipped) {
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN"), "334 ");
  EXPECT_EQ(reply_to(*client, std::string(1 << 20, 'A')).substr(0, 9), "500 5.5.6");
  EXPECT_EQ(reply_to(*client, "NOOP").substr(0, 3), "250");
}

TEST_F(AuthTest, GuessingEndsTheSession) {
  auto client = greeted();
  for (size_t n = 0; n < kMaxAuthFailures; ++n) {
    EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0nobody@example.test\0x"s)).substr(0, 3), "535");
  }
  EXPECT_EQ(client->reply()->substr(0, 9), "421 4.7.0");
  EXPECT_EQ(client->line(), std::nullopt);
}

TEST_F(AuthTest, OnceIsEnoughAndNotWithinATransaction) {
  auto client = logged_in();
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 9), "503 5.5.1");
  reply_to(*client, "MAIL FROM:<alice@example.test>");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN").substr(0, 9), "503 5.5.1");
}

TEST_F(AuthTest, AuthNeedsEhlo) {
  talk(R"(
    S: 220 *
    C: AUTH PLAIN
    S: 503 5.5.1 *
    C: HELO client.example
    S: 250 *
    C: AUTH PLAIN
    S: 503 5.5.1 *)",
       Role::submission);
}

TEST_F(AuthTest, AnAccountThatIsSwitchedOffCannotLogIn) {
  logged_in();  // its password is remembered now
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_enabled("alice@example.test", false)); });
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 3), "535");
}

TEST_F(AuthTest, ShortNamesAreCompletedWhereThatIsConfigured) {
  configure([](Config& c) { c.login.default_domain = "example.test"; });
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice\0secret"s)).substr(0, 3), "235");
}

TEST_F(AuthTest, TheSenderMustBelongToTheAccount) {
  auto client = logged_in();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<bob@example.test>").substr(0, 9), "553 5.7.1");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<alice@elsewhere.example>").substr(0, 9), "553 5.7.1");
  for (std::string_view sender : {"<alice@example.test>", "<Alice+list@example.test>", "<team@example.test>", "<>"}) {
    EXPECT_EQ(reply_to(*client, "MAIL FROM:" + std::string(sender)).substr(0, 3), "250") << sender;
    reply_to(*client, "RSET");
  }
}

TEST_F(AuthTest, SubmittedMailMayGoAnywhereAndIsCompleted) {
  auto client = logged_in();
  reply_to(*client, "MAIL FROM:<alice@example.test> AUTH=<>");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<Carol@elsewhere.example>").substr(0, 3), "250");
  reply_to(*client, "DATA");
  EXPECT_EQ(reply_to(*client, "Subject: x\r\n\r\nDate: in the body\r\n.").substr(0, 3), "250");
  const auto message = only_message();
  EXPECT_EQ(message.envelope.authenticated_as, "alice@example.test");
  EXPECT_EQ(message.envelope.recipients.at(0).account, 0);
  EXPECT_EQ(message.envelope.recipients.at(0).address, "Carol@elsewhere.example");
  EXPECT_NE(message.text.find("with ESMTPA"), std::string::npos);
  EXPECT_NE(message.text.find("\r\nDate: "), std::string::npos);
  EXPECT_NE(message.text.find("\r\nMessage-ID: <"), std::string::npos);
  EXPECT_NE(message.text.find("@mx.example.test>\r\nSubject: x\r\n\r\nDate: in the body\r\n"), std::string::npos);
}

TEST_F(AuthTest, DateAndMessageIdOfTheClientStay) {
  auto client = logged_in();
  reply_to(*client, "MAIL FROM:<alice@example.test>");
  reply_to(*client, "RCPT TO:<bob@example.test>");
  reply_to(*client, "DATA");
  reply_to(*client, "date: Mon, 23 Nov 2026 08:15:00 +0000\r\nmessage-id: <a@b>\r\n\r\nx\r\n.");
  const auto text = only_message().text;
  EXPECT_EQ(text.find("\r\nDate: "), std::string::npos);
  EXPECT_EQ(text.find("Message-ID"), std::string::npos);
}

// --- TLS

TEST_F(AuthTest, StarttlsBeginsANewSession) {
  auto client = greeted();
  go_on(*client, R"(
    C: STARTTLS
    S: 220 2.0.0 *
    TLS
    C: MAIL FROM:<alice@example.test>
    S: 503 5.5.1 *
    C: STARTTLS
    S: 503 5.5.1 *
    C: EHLO client.example
    S: 250 ...
    C: STARTTLS
    S: 503 5.5.1 *)");
  EXPECT_EQ(reply_to(*client, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 3), "235");
}

TEST_F(AuthTest, AMessageCanSayHowMuchTlsItNeeds) {
  auto client = greeted(Role::smtp);
  go_on(*client, R"(
    C: MAIL FROM:<carol@client.example> REQUIRETLS
    S: 530 5.7.10 *
    C: STARTTLS
    S: 220 *
    TLS)");
  client->send("EHLO client.example\r\n");
  std::string offered;
  for (auto line = client->line(); line; line = client->line()) {
    offered += *line + '\n';
    if (line->starts_with("250 ")) break;
  }
  EXPECT_NE(offered.find("REQUIRETLS"), std::string::npos);
  const auto send = [&](const std::string& parameter, const std::string& field) {
    go_on(*client,
          "\n    C: MAIL FROM:<carol@client.example>" + parameter +
              "\n    S: 250 *\n    C: RCPT TO:<alice@example.test>\n    S: 250 *\n    C: DATA\n    S: 354 *\n    C: " +
              field + "\n    C: Subject: x\n    C:\n    C: hello\n    C: .\n    S: 250 *");
    return taken().back().envelope.tls;
  };
  EXPECT_EQ(send("", "A: b"), TlsNeed::as_policy);
  EXPECT_EQ(send(" REQUIRETLS", "A: b"), TlsNeed::required);
  EXPECT_EQ(send("", "TLS-Required: no"), TlsNeed::waived);
  EXPECT_EQ(send("", "TLS-Required: yes"), TlsNeed::as_policy);
  EXPECT_EQ(send(" REQUIRETLS", "TLS-Required: No"), TlsNeed::required);
}

TEST_F(AuthTest, StarttlsForgetsTheLoginAndTheTransaction) {
  auto client = logged_in();
  reply_to(*client, "MAIL FROM:<alice@example.test>");
  go_on(*client, R"(
    C: STARTTLS
    S: 220 *
    TLS
    C: EHLO client.example
    S: 250 ...
    C: RCPT TO:<alice@example.test>
    S: 530 5.7.0 *)");
}

TEST_F(AuthTest, WhatWasSentAheadOfTheHandshakeIsNeverObeyed) {
  auto client = greeted(Role::smtp);
  client->send("STARTTLS\r\nNOOP\r\nMAIL FROM:<evil@client.example>\r\n");
  EXPECT_EQ(client->reply()->substr(0, 3), "220");
  client->start_tls();
  go_on(*client, R"(
    C: HELP
    S: 214 ...
    C: EHLO client.example
    S: 250 ...
    C: RCPT TO:<alice@example.test>
    S: 503 5.5.1 *)");
}

TEST_F(AuthTest, ImplicitTlsGreetsInside) {
  auto client = logged_in(Role::submissions);
  reply_to(*client, "MAIL FROM:<alice@example.test>");
  reply_to(*client, "RCPT TO:<bob@example.test>");
  reply_to(*client, "DATA");
  EXPECT_EQ(reply_to(*client, "x\r\n.").substr(0, 3), "250");
  EXPECT_NE(only_message().text.find("with ESMTPSA"), std::string::npos);
  EXPECT_NE(only_message().text.find("TLSv1.3"), std::string::npos);
}

TEST_F(AuthTest, ALargeMessageThroughTls) {
  auto client = logged_in(Role::submissions);
  reply_to(*client, "MAIL FROM:<alice@example.test>");
  reply_to(*client, "RCPT TO:<bob@example.test>");
  reply_to(*client, "DATA");
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 2'000'000) text += std::string(76, 'x') + "\r\n";
  EXPECT_EQ(reply_to(*client, text + ".").substr(0, 3), "250");
  EXPECT_TRUE(only_message().text.ends_with(text.substr(16)));
}

}  // namespace
}  // namespace postrider
