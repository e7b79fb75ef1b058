// What a client may try that none should: orders of commands, numbers of them, and text meant for somebody else.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

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
  /// What is answered to a client that sends an octet now and then, and never a line end.
  static std::string reply_to_a_trickle(Client& client) {
    std::atomic<bool> stop = false;
    std::thread trickle([&] {
      while (!stop) {
        client.send("x");
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    const std::string reply = client.reply().value_or("closed");
    stop = true;
    trickle.join();
    return reply;
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

TEST_F(BadInputTest, AnOctetNowAndThenKeepsNoCommandAlive) {
  configure([](Config& c) { c.smtp.command_timeout = Seconds(1); });
  auto client = greeted();
  EXPECT_EQ(reply_to_a_trickle(*client).substr(0, 9), "421 4.4.2");
  EXPECT_EQ(client->line(), std::nullopt);
}

TEST_F(BadInputTest, AnOctetNowAndThenKeepsNoMessageAlive) {
  configure([](Config& c) { c.smtp.data_timeout = Seconds(1); });
  auto client = greeted();
  reply_to(*client, "MAIL FROM:<a@client.example>");
  reply_to(*client, "RCPT TO:<alice@example.test>");
  EXPECT_EQ(reply_to(*client, "DATA").substr(0, 3), "354");
  EXPECT_EQ(reply_to_a_trickle(*client).substr(0, 9), "421 4.4.2");
  EXPECT_TRUE(taken().empty());
}

TEST_F(BadInputTest, WhoSendsAndNeverReadsIsLeft) {
  configure([](Config& c) {
    c.smtp.command_timeout = Seconds(1);
    c.smtp.max_commands = 1'000'000'000;
  });
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const int small = 4'096;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const timeval patience{20, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port(Role::smtp));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  char greeting[64];
  ASSERT_GT(::recv(socket, greeting, sizeof greeting, 0), 0);
  std::string commands;
  while (commands.size() < 64 << 10) commands += "HELP\r\n";
  while (::send(socket, commands.data(), commands.size(), MSG_NOSIGNAL) >= 0) {
  }
  EXPECT_NE(errno, EAGAIN) << "the session waits for ever";
  ::close(socket);
  auto other = greeted();
  EXPECT_EQ(reply_to(*other, "NOOP").substr(0, 3), "250");
}

TEST_F(BadInputTest, GarbageInALoginHarmsNoOther) {
  auto alice = greeted(Role::submission);
  EXPECT_EQ(reply_to(*alice, "AUTH LOGIN"), "334 " + base64("Username:"));
  auto other = greeted(Role::submission);
  for (std::string_view text : {"A", "AA=A", "====", "!!!!"}) {
    EXPECT_EQ(reply_to(*other, "AUTH PLAIN " + std::string(text)).substr(0, 9), "501 5.5.2") << text;
  }
  EXPECT_EQ(reply_to(*alice, base64("alice@example.test")), "334 " + base64("Password:"));
  EXPECT_EQ(reply_to(*alice, base64("secret")).substr(0, 3), "235");
  EXPECT_EQ(reply_to(*other, "MAIL FROM:<alice@example.test>").substr(0, 3), "530");
}

TEST_F(BadInputTest, CommandsThatAreNotOfferedAreUnknown) {
  auto client = greeted();
  for (std::string_view line : {"ETRN example.test'; DROP TABLE message; --", "ATRN", "TURN", "XCLIENT ADDR=192.0.2.1",
                                "XFORWARD", "SEND FROM:<a@b.example>", "LHLO x"}) {
    EXPECT_EQ(reply_to(*client, line).substr(0, 9), "500 5.5.1") << line;
  }
  for (std::string_view parameter :
       {"HOLDFOR=1", "HOLDUNTIL=2026-03-29T02:30:00+01:00", "HOLDUNTIL=yesterday", "BY=120;R", "MT-PRIORITY=9"}) {
    EXPECT_EQ(reply_to(*client, fmt::format("MAIL FROM:<a@client.example> {}", parameter)).substr(0, 9), "555 5.5.4")
        << parameter;
  }
}

}  // namespace
}  // namespace postrider
