// What a client may try that none should: orders of commands, numbers of them, and text meant for somebody else.
#include <fmt/format.h>

#include "common/base/base64.h"
#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using namespace std::string_literals;

class BadInputTest : public SessionTest {
 protected:
  std::unique_ptr<Client> greeted(Role role = Role::smtp) {
    auto client = std::make_unique<Client>(port(role));
    go_on(*client, "S: 220 *\nC: EHLO client.example\nS: 250 ...\n");
    return client;
  }
  std::string reply_to(Client& client, std::string_view line) {
    client.send(std::string(line) + "\r\n");
    return client.reply().value_or("closed");
  }
};

TEST_F(BadInputTest, NothingIsObeyedAfterA421) {
  configure([](Config& c) { c.smtp.max_errors = 3; });
  auto client = greeted();
  client->send("X\r\nX\r\nX\r\nX\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n");
  for (int n = 0; n < 4; ++n) EXPECT_EQ(client->reply()->substr(0, 3), "500");
  EXPECT_EQ(client->reply()->substr(0, 9), "421 4.7.0");
  EXPECT_EQ(client->line(), std::nullopt);
}

TEST_F(BadInputTest, ManyThousandRecipientsEndTheSessionInTheEnd) {
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  directory->with([](store::Directory& d) { ASSERT_TRUE(d.set_catch_all("example.test", "alice@example.test")); });
  size_t sent = 0;
  std::string last;
  while (sent < 20'000 && !last.starts_with("421") && last != "closed") {
    std::string batch;
    for (int n = 0; n < 500; ++n) batch += fmt::format("RCPT TO:<u{}@example.test>\r\n", sent + static_cast<size_t>(n));
    client->send(batch);
    for (int n = 0; n < 500 && !last.starts_with("421") && last != "closed"; ++n, ++sent)
      last = client->reply().value_or("closed");
  }
  EXPECT_TRUE(last.starts_with("421 4.7.0")) << last;
  EXPECT_LE(sent, config.smtp.max_recipients + kMaxRefusedRecipients + 2);
}

TEST_F(BadInputTest, ALoginThatIsBrokenOffAgainAndAgainEndsTheSession) {
  auto client = greeted(Role::submission);
  std::string last;
  size_t tries = 0;
  for (; tries < 100 && last.substr(0, 3) != "421"; ++tries) {
    EXPECT_EQ(reply_to(*client, "AUTH PLAIN"), "334 ");
    last = reply_to(*client, "*");
    if (tries + 1 == kMaxAuthFailures) last = client->reply().value_or("closed");
  }
  EXPECT_EQ(tries, kMaxAuthFailures);
}

TEST_F(BadInputTest, ARememberedPasswordServesNobodyElse) {
  auto alice = greeted(Role::submission);
  EXPECT_EQ(reply_to(*alice, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 3), "235");
  directory->with([](store::Directory& d) {
    ASSERT_TRUE(d.set_password("bob@example.test", *sasl::make_password_record("another")));
  });
  auto bob = greeted(Role::submission);
  EXPECT_EQ(reply_to(*bob, "AUTH PLAIN " + base64("\0bob@example.test\0secret"s)).substr(0, 3), "535");
}

TEST_F(BadInputTest, QuotesOfSqlAreTextInEveryTable) {
  configure([](Config& c) {
    c.greylist.enabled = "on";
    c.rates.recipient = {"100/1h"};
    c.rates.account = {"100/1h"};
  });
  auto client = greeted();
  for (std::string_view sender :
       {"a'b@client.example", "\"';drop table seen;--\"@client.example", "\"\\\"\"@client.example"}) {
    EXPECT_EQ(reply_to(*client, fmt::format("MAIL FROM:<{}>", sender)).substr(0, 3), "250") << sender;
    EXPECT_EQ(reply_to(*client, "RCPT TO:<\"alice+';--\"@example.test>").substr(0, 9), "450 4.7.1") << sender;
    EXPECT_EQ(reply_to(*client, "RSET").substr(0, 3), "250");
  }
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<again@client.example>").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<bob@example.test>").substr(0, 9), "450 4.7.1");
}

TEST_F(BadInputTest, ToBeAskedToComeAgainIsNoMistake) {
  configure([](Config& c) {
    c.smtp.max_errors = 3;
    c.rates.recipient = {"1/1h"};
  });
  auto client = greeted();
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<a@client.example>").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test>").substr(0, 3), "250");
  for (int n = 0; n < 10; ++n) EXPECT_EQ(reply_to(*client, "RCPT TO:<alice@example.test>").substr(0, 9), "450 4.7.1");
  EXPECT_EQ(reply_to(*client, "RCPT TO:<bob@example.test>").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "DATA").substr(0, 3), "354");
}

TEST_F(BadInputTest, StarttlsWithinAMessageIsText) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example>
    S: 250 *
    C: RCPT TO:<alice@example.test>
    S: 250 *
    C: DATA
    S: 354 *
    C: STARTTLS
    C: .
    S: 250 *
    C: QUIT
    S: 221 *
    END)");
  EXPECT_TRUE(only_message().text.ends_with("STARTTLS\r\n"));
}

}  // namespace
}  // namespace postrider
