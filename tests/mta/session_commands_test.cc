// Conversations without mail: greetings, order, limits.
#include <fmt/format.h>

#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using CommandsTest = SessionTest;

TEST_F(CommandsTest, EhloNamesWhatIsOffered) {
  talk(R"(
    S: 220 mx.example.test ESMTP *
    C: EHLO client.example
    S: 250-mx.example.test greets client.example
    S: 250-PIPELINING
    S: 250-SIZE 52428800
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-ENHANCEDSTATUSCODES
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250-LIMITS MAILMAX=10000 RCPTMAX=1000
    S: 250-STARTTLS
    S: 250 HELP
    C: QUIT
    S: 221 2.0.0 *
    END)");
}

TEST_F(CommandsTest, AuthIsOfferedOnSubmissionOnly) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250-*greets*
    S: 250-PIPELINING
    S: 250-SIZE*
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-ENHANCEDSTATUSCODES
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250-LIMITS*
    S: 250-STARTTLS
    S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
    S: 250 HELP)",
       Role::submission);
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
    S: 502 5.5.1 *)");
}

TEST_F(CommandsTest, HeloIsOneLine) {
  talk(R"(
    S: 220 *
    C: HELO client.example
    S: 250 mx.example.test)");
}

TEST_F(CommandsTest, GreetingsWithoutAnyNameAreRefused) {
  talk(R"(
    S: 220 *
    C: EHLO
    S: 501 5.5.4 *
    C: HELO a b
    S: 501 5.5.4 *
    C: EHLO [nonsense]
    S: 501 5.5.4 *
    C: EHLO [127.0.0.1]
    S: 250 ...)");
}

TEST_F(CommandsTest, SmallCommandsAnswer) {
  talk(R"(
    S: 220 *
    C: NOOP
    S: 250 2.0.0 OK
    C: noop with words
    S: 250 2.0.0 OK
    C: RSET
    S: 250 2.0.0 OK
    C: HELP
    S: 214 ...
    C: HELP MAIL
    S: 214 ...
    C: VRFY alice
    S: 503 5.5.1 *
    C: EHLO client.example
    S: 250 ...
    C: VRFY alice
    S: 252 2.0.0 *
    C: VRFY
    S: 501 5.5.4 *
    C: EXPN team
    S: 502 5.5.1 *)");
}

TEST_F(CommandsTest, UnknownCommandsAndNeedlessArgumentsAreRefused) {
  talk(R"(
    S: 220 *
    C: XYZZY
    S: 500 5.5.1 *
    C:
    S: 500 5.5.1 *
    C: ETRN example.test
    S: 500 5.5.1 *
    C: RSET now
    S: 501 5.5.4 *
    C: QUIT please
    S: 501 5.5.4 *
    C: \u\u\u
    S: 500 5.5.1 *
    C: NOOP
    S: 250 *)");
}

TEST_F(CommandsTest, CommandsHaveTheirOrder) {
  talk(R"(
    S: 220 *
    C: MAIL FROM:<a@client.example>
    S: 503 5.5.1 *
    C: RCPT TO:<alice@example.test>
    S: 503 5.5.1 *
    C: DATA
    S: 503 5.5.1 *
    C: STARTTLS
    S: 503 5.5.1 *
    C: EHLO client.example
    S: 250 ...
    C: RCPT TO:<alice@example.test>
    S: 503 5.5.1 *
    C: DATA
    S: 503 5.5.1 *
    C: MAIL FROM:<a@client.example>
    S: 250 2.1.0 *
    C: DATA
    S: 503 5.5.1 *
    C: MAIL FROM:<a@client.example>
    S: 503 5.5.1 *)");
}

TEST_F(CommandsTest, EhloAndRsetEndATransaction) {
  for (std::string_view command : {"EHLO client.example", "HELO client.example", "RSET"}) {
    Client client(port(Role::smtp));
    go_on(client, R"(
      S: 220 *
      C: EHLO client.example
      S: 250 ...
      C: MAIL FROM:<a@client.example>
      S: 250 *)");
    client.send(std::string(command) + "\r\n");
    EXPECT_TRUE(client.reply()->starts_with("250"));
    go_on(client, R"(
      C: RCPT TO:<alice@example.test>
      S: 503 5.5.1 *)");
  }
}

TEST_F(CommandsTest, PipelinedCommandsAreAnsweredInOrder) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    C: NOOP
    C: XYZZY
    C: MAIL FROM:<a@client.example>
    C: RCPT TO:<nobody@example.test>
    C: RCPT TO:<alice@example.test>
    C: RSET
    C: QUIT
    S: 250 ...
    S: 250 2.0.0 *
    S: 500 5.5.1 *
    S: 250 2.1.0 *
    S: 550 5.1.1 *
    S: 250 2.1.5 *
    S: 250 2.0.0 *
    S: 221 2.0.0 *
    END)");
}

TEST_F(CommandsTest, ACommandMayComeOctetByOctet) {
  Client client(port(Role::smtp));
  go_on(client, "S: 220 *");
  for (char c : std::string_view("EHLO client.example\r\nQUIT\r\n")) client.send({&c, 1});
  go_on(client, R"(
    S: 250 ...
    S: 221 *
    END)");
}

TEST_F(CommandsTest, NothingIsObeyedAfterQuit) {
  talk(R"(
    S: 220 *
    C: QUIT
    C: NOOP
    C: QUIT
    S: 221 *
    END)");
}

TEST_F(CommandsTest, OverlongLinesAreRefusedAndSkipped) {
  Client client(port(Role::smtp));
  go_on(client, "S: 220 *");
  client.send("NOOP " + std::string(config.smtp.max_command_line, 'x') + "\r\nNOOP\r\n");
  go_on(client, R"(
    S: 500 5.5.2 *
    S: 250 2.0.0 *)");
  client.send(std::string(1 << 20, 'x'));  // no end to it
  client.send("\r\nNOOP\r\n");
  go_on(client, R"(
    S: 500 5.5.2 *
    S: 250 2.0.0 *)");
}

TEST_F(CommandsTest, BareCrAndLfAndNulAreNotObeyed) {
  talk(R"(
    S: 220 *
    C+ EHLO client.example\n
    S: 500 5.5.2 *
    C+ NOOP\nQUIT\r\n
    S: 500 5.5.2 *
    C: NO\rOP
    S: 500 5.5.2 *
    C: NOOP\0
    S: 500 5.5.2 *
    C: NOOP
    S: 250 *)");
}

TEST_F(CommandsTest, WhoTalksBeforeTheGreetingIsSentAway) {
  configure([](Config& c) { c.smtp.greeting_delay = std::chrono::milliseconds(10'000); });
  talk(R"(
    C: EHLO client.example
    S: 554 5.5.1 *
    END)");
}

TEST_F(CommandsTest, ABrowserIsSentAway) {
  talk(R"(
    S: 220 *
    C: POST / HTTP/1.1
    C: Host: example.test
    C:
    C: EHLO client.example
    S: 421 4.7.0 *
    END)");
}

TEST_F(CommandsTest, TooManyErrorsEndTheSession) {
  configure([](Config& c) { c.smtp.max_errors = 2; });
  talk(R"(
    S: 220 *
    C: A
    C: B
    C: C
    C: D
    S: 500 *
    S: 500 *
    S: 500 *
    S: 421 4.7.0 *
    END)");
}

TEST_F(CommandsTest, CommandsThatBringNoMessageAreCounted) {
  configure([](Config& c) { c.smtp.max_commands = 2; });
  talk(R"(
    S: 220 *
    C: NOOP
    C: RSET
    C: NOOP
    C: NOOP
    S: 250 2.0.0 OK
    S: 250 2.0.0 *
    S: 250 2.0.0 OK
    S: 421 4.7.0 *
    END)");
}

TEST_F(CommandsTest, SilenceEndsTheSession) {
  configure([](Config& c) { c.smtp.command_timeout = Seconds(1); });
  talk(R"(
    S: 220 *
    S: 421 4.4.2 *
    END)");
}

TEST_F(CommandsTest, ShutdownSaysGoodbyeBetweenCommands) {
  Client client(port(Role::smtp));
  go_on(client, "S: 220 *");
  std::thread stopping([this] { server->stop(std::chrono::seconds(5)); });
  go_on(client, R"(
    S: 421 4.3.2 *
    END)");
  stopping.join();
}

TEST_F(CommandsTest, ANewConfigurationIsForNewSessions) {
  Client old(port(Role::smtp));
  go_on(old, "S: 220 mx.example.test *");
  Config changed = config;
  changed.server.hostname = "new.example.test";
  service->configure(make_settings(changed, nullptr).value());
  talk("S: 220 new.example.test *");
  go_on(old, R"(
    C: HELO client.example
    S: 250 mx.example.test)");
}

}  // namespace
}  // namespace postrider
