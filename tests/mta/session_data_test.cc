// The message: DATA, BDAT, what is put in front of it, and what is wrong with it.
#include <fmt/format.h>

#include <filesystem>

#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using namespace std::string_literals;

constexpr std::string_view kEnvelope = R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example>
    C: RCPT TO:<alice@example.test>
    S: 250 *
    S: 250 *)";

class DataTest : public SessionTest {
 protected:
  std::unique_ptr<Client> with_envelope() {
    auto client = std::make_unique<Client>(port(Role::smtp));
    go_on(*client, kEnvelope);
    return client;
  }
  /// The reply to a text with its final dot.
  std::string reply_to_data(Client& client, std::string_view text) {
    client.send("DATA\r\n");
    EXPECT_EQ(client.reply()->substr(0, 3), "354");
    client.send(text);
    return client.reply().value_or("closed");
  }
  /// The message without the Received field that we put in front.
  static std::string without_received(const std::string& text) {
    EXPECT_TRUE(text.starts_with("Received: ")) << text;
    size_t end = text.find("\r\n");
    while (text[end + 2] == ' ' || text[end + 2] == '\t') end = text.find("\r\n", end + 2);
    return text.substr(end + 2);
  }
};

TEST_F(DataTest, AMessageIsTakenAsItIs) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example>
    C: RCPT TO:<alice@example.test>
    C: DATA
    S: 250 2.1.0 *
    S: 250 2.1.5 *
    S: 354 *
    C: Subject: dots
    C:
    C: ..a line with a dot
    C: ..
    C: \u
    C: .
    C: QUIT
    S: 250 2.0.0 * accepted
    S: 221 *
    END)");
  const auto message = only_message();
  EXPECT_EQ(without_received(message.text), "Subject: dots\r\n\r\n.a line with a dot\r\n.\r\n\xC3\xB6\r\n");
  EXPECT_TRUE(message.envelope.eight_bit);  // found out, though MAIL did not say so
}

TEST_F(DataTest, TheReplyNamesTheQueueId) {
  auto client = with_envelope();
  const auto reply = reply_to_data(*client, "x\r\n.\r\n");
  EXPECT_EQ(reply, "250 2.0.0 " + store::queue_id_text(only_message().envelope.id) + " accepted");
}

TEST_F(DataTest, ReceivedSaysWhatHappened) {
  auto client = with_envelope();
  reply_to_data(*client, "x\r\n.\r\n");
  const auto message = only_message();
  const auto received = message.text.substr(0, message.text.find("x\r\n"));
  for (const std::string& part : {"from client.example"s, "[127.0.0.1]"s, "by mx.example.test"s, "with ESMTP"s,
                                  "for <alice@example.test>"s, "id "s + store::queue_id_text(message.envelope.id)}) {
    EXPECT_NE(received.find(part), std::string::npos) << part << " in " << received;
  }
}

TEST_F(DataTest, ReceivedHidesRecipientsFromEachOther) {
  auto client = with_envelope();
  go_on(*client, R"(
    C: RCPT TO:<bob@example.test>
    S: 250 *)");
  reply_to_data(*client, "x\r\n.\r\n");
  EXPECT_EQ(only_message().text.find("alice"), std::string::npos);
}

TEST_F(DataTest, WithoutEhloItCameBySmtp) {
  talk(R"(
    S: 220 *
    C: HELO client.example
    S: 250 *
    C: MAIL FROM:<>
    S: 250 *
    C: RCPT TO:<alice@example.test>
    S: 250 *
    C: DATA
    S: 354 *
    C: .
    S: 250 *)");
  EXPECT_NE(only_message().text.find("with SMTP"), std::string::npos);
  EXPECT_EQ(only_message().envelope.reverse_path, "");
}

TEST_F(DataTest, OnPort25NothingIsAdded) {
  auto client = with_envelope();
  reply_to_data(*client, "no header at all\r\n.\r\n");
  EXPECT_EQ(without_received(only_message().text), "no header at all\r\n");
}

TEST_F(DataTest, ManyMessagesInOneConnection) {
  Client client(port(Role::smtp));
  go_on(client, R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...)");
  for (int n = 0; n < 50; ++n) {
    client.send("MAIL FROM:<a@client.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n");
    EXPECT_EQ(client.reply()->substr(0, 3), "250");
    EXPECT_EQ(client.reply()->substr(0, 3), "250");
    EXPECT_EQ(client.reply()->substr(0, 3), "354");
    client.send(fmt::format("Subject: {}\r\n\r\nx\r\n.\r\n", n));
    EXPECT_EQ(client.reply()->substr(0, 3), "250");
  }
  EXPECT_EQ(taken().size(), 50u);
}

TEST_F(DataTest, ALargeMessageGoesThroughAFileOctetForOctet) {
  std::string text = "Subject: large\r\n\r\n";
  for (int n = 0; text.size() < 3'000'000; ++n) text += fmt::format("line {} {:x}\r\n", n, n * 2654435761u);
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, text + ".\r\n").substr(0, 3), "250");
  EXPECT_TRUE(without_received(only_message().text) == text);
  EXPECT_FALSE(only_message().envelope.body->in_memory());
}

TEST_F(DataTest, AConnectionThatIsCutInAMessageLeavesNothing) {
  auto client = with_envelope();
  client->send("DATA\r\n" + std::string(1'000'000, 'x'));
  EXPECT_EQ(client->reply()->substr(0, 3), "354");
  client->close();
  stop();
  EXPECT_TRUE(taken().empty());
  EXPECT_TRUE(std::filesystem::is_empty(acceptor->spool_directory()));
}

TEST_F(DataTest, ControlCharactersAreContent) {
  auto client = with_envelope();
  const auto text = "Subject: a\0b\x1b[2J\r\n\r\n\0\x7f\x01 x\r\n"s;
  EXPECT_EQ(reply_to_data(*client, text + ".\r\n").substr(0, 3), "250");
  EXPECT_EQ(without_received(only_message().text), text);
}

// --- what is wrong with a message

TEST_F(DataTest, ATooLargeMessageIsReadAwayAndRefused) {
  configure([](Config& c) { c.smtp.max_message_size = 10'000; });
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, std::string(500, 'x') + "\r\n.\r\n").substr(0, 3), "250");
  go_on(*client, R"(
    C: MAIL FROM:<a@client.example> SIZE=10001
    S: 552 5.3.4 *
    C: MAIL FROM:<a@client.example>
    S: 250 *
    C: RCPT TO:<alice@example.test>
    S: 250 *)");
  std::string text;
  for (int n = 0; n < 1'000; ++n) text += std::string(98, 'x') + "\r\n";
  EXPECT_EQ(reply_to_data(*client, text + ".\r\n").substr(0, 9), "552 5.3.4");
  go_on(*client, R"(
    C: NOOP
    S: 250 2.0.0 *)");
  EXPECT_EQ(taken().size(), 1u);
}

// FEATURES of smuggling (CVE-2023-51764 and its relatives): the session sees one message, and refuses it.
TEST_F(DataTest, NoOtherEndThanCrLfDotCrLf) {
  for (const auto& fake : {"\n.\n"s, "\n.\r\n"s, "\r\n.\n"s, "\r.\r"s, "\r.\r\n"s, "\r\n.\r"s, "\n\n.\r\r\n"s}) {
    auto client = with_envelope();
    const auto text = "Subject: x\r\n\r\nx" + fake +
                      "MAIL FROM:<evil@client.example>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n\r\n.\r\n";
    EXPECT_EQ(reply_to_data(*client, text).substr(0, 9), "550 5.6.0") << testing::PrintToString(fake);
    go_on(*client, R"(
      C: NOOP
      S: 250 2.0.0 OK)");
  }
  EXPECT_TRUE(taken().empty());
}

TEST_F(DataTest, BareCrAndLfAreRefusedWhereverTheyStand) {
  for (const auto& text : {"Subject: a\nb\r\n\r\nx\r\n"s, "a\rb\r\n"s, "\r\n\n"s, "a\r\r\n"s, "\n"s}) {
    auto client = with_envelope();
    EXPECT_EQ(reply_to_data(*client, text + "\r\n.\r\n").substr(0, 9), "550 5.6.0") << testing::PrintToString(text);
  }
}

TEST_F(DataTest, TheFinalDotMayBeCutIntoPackets) {
  auto client = with_envelope();
  client->send("DATA\r\n");
  EXPECT_EQ(client->reply()->substr(0, 3), "354");
  for (char c : "x\r\n.\r\n"s) client->send({&c, 1});
  EXPECT_EQ(client->reply()->substr(0, 3), "250");
}

TEST_F(DataTest, LinesHaveALimit) {
  configure([](Config& c) { c.smtp.max_line = 2'000; });
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, std::string(1'998, 'x') + "\r\n.\r\n").substr(0, 3), "250");
  auto other = with_envelope();
  EXPECT_EQ(reply_to_data(*other, std::string(100'000, 'x') + "\r\n.\r\n").substr(0, 9), "550 5.6.0");
  go_on(*other, R"(
    C: NOOP
    S: 250 *)");
}

TEST_F(DataTest, MailThatGoesRoundAndRoundIsRefused) {
  configure([](Config& c) { c.smtp.max_hops = 5; });
  std::string text;
  for (int n = 0; n < 6; ++n) text += "Received: from a by b\r\n";
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, text + "\r\nx\r\n.\r\n").substr(0, 9), "554 5.4.6");
  auto other = with_envelope();
  EXPECT_EQ(reply_to_data(*other, text.substr(text.find('\n') + 1) + "\r\nReceived: in the body\r\n.\r\n").substr(0, 3),
            "250");
}

TEST_F(DataTest, WithoutARecipientThereIsNoMessage) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example>
    C: RCPT TO:<nobody@example.test>
    C: DATA
    S: 250 *
    S: 550 5.1.1 *
    S: 554 5.5.1 *
    C: NOOP
    S: 250 *)");
}

TEST_F(DataTest, AFullDiskIsATemporaryFailure) {
  acceptor->refuse_with(NotAccepted::Reason::disk_full);
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, "x\r\n.\r\n").substr(0, 9), "452 4.3.1");
  go_on(*client, R"(
    C: MAIL FROM:<a@client.example>
    S: 250 *)");
}

TEST_F(DataTest, OtherFailuresAreTemporaryToo) {
  acceptor->refuse_with(NotAccepted::Reason::failed);
  auto client = with_envelope();
  EXPECT_EQ(reply_to_data(*client, "x\r\n.\r\n").substr(0, 9), "451 4.3.0");
  acceptor->refuse_with(NotAccepted::Reason::shutting_down);
  auto other = with_envelope();
  EXPECT_EQ(reply_to_data(*other, "x\r\n.\r\n").substr(0, 9), "421 4.3.2");
  EXPECT_EQ(other->line(), std::nullopt);
}

TEST_F(DataTest, ASpoolThatCannotBeWrittenIsATemporaryFailureAndTheSessionGoesOn) {
  auto client = with_envelope();
  std::filesystem::remove_all(acceptor->spool_directory());
  std::string text;
  while (text.size() < 600'000) text += std::string(70, 'x') + "\r\n";
  EXPECT_EQ(reply_to_data(*client, text + ".\r\n").substr(0, 9), "451 4.3.0");
  go_on(*client, R"(
    C: NOOP
    S: 250 *)");
}

// --- BDAT (RFC 3030)

TEST_F(DataTest, BdatTakesChunks) {
  auto client = with_envelope();
  go_on(*client, R"(
    C: BDAT 14
    C+ Subject: x\r\n\r\n
    C: BDAT 5 LAST
    C+ .\r\n.\n
    S: 250 2.0.0 14 octets received
    S: 550 5.6.0 *)");
  go_on(*client, R"(
    C: MAIL FROM:<a@client.example>
    C: RCPT TO:<alice@example.test>
    C: BDAT 14
    C+ Subject: x\r\n\r\n
    C: BDAT 6 LAST
    C+ .\r\n.\r\n
    S: 250 *
    S: 250 *
    S: 250 *
    S: 250 2.0.0 * accepted)");
  EXPECT_EQ(without_received(only_message().text), "Subject: x\r\n\r\n.\r\n.\r\n");
}

TEST_F(DataTest, BdatMayEndWithAnEmptyChunk) {
  auto client = with_envelope();
  go_on(*client, R"(
    C: BDAT 3
    C+ x\r\n
    S: 250 *
    C: BDAT 0 LAST
    S: 250 2.0.0 * accepted)");
  EXPECT_EQ(without_received(only_message().text), "x\r\n");
}

TEST_F(DataTest, AConnectionThatIsCutInAChunkLeavesNothing) {
  auto client = with_envelope();
  client->send("BDAT 1000000\r\n" + std::string(600'000, 'x'));
  client->close();
  stop();
  EXPECT_TRUE(taken().empty());
  EXPECT_TRUE(std::filesystem::is_empty(acceptor->spool_directory()));
}

TEST_F(DataTest, ALastChunkOfNothingIsAnEmptyMessage) {
  auto client = with_envelope();
  go_on(*client, R"(
    C: BDAT 0 LAST
    S: 250 2.0.0 * accepted
    C: BDAT 0 LAST
    S: 503 5.5.1 *)");
  EXPECT_EQ(without_received(only_message().text), "");
}

TEST_F(DataTest, BinaryMailComesByBdatOnly) {
  talk(R"(
    S: 220 *
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@client.example> BODY=BINARYMIME
    S: 250 *
    C: RCPT TO:<alice@example.test>
    S: 250 *
    C: DATA
    S: 503 5.5.1 *
    C: BDAT 8 LAST
    C+ a\0\r\n\n\r.b
    S: 250 2.0.0 * accepted)");
  EXPECT_EQ(without_received(only_message().text), "a\0\r\n\n\r.b"s);
  EXPECT_TRUE(only_message().envelope.binary);
}

TEST_F(DataTest, AChunkIsReadEvenWhereItIsRefused) {
  talk(R"(
    S: 220 *
    C: BDAT 6 LAST
    C+ QUIT\r\n
    S: 503 5.5.1 *
    C: EHLO client.example
    S: 250 ...
    C: BDAT 6
    C+ QUIT\r\n
    S: 503 5.5.1 *
    C: MAIL FROM:<a@client.example>
    S: 250 *
    C: BDAT 6
    C+ QUIT\r\n
    S: 503 5.5.1 *
    C: RCPT TO:<nobody@example.test>
    S: 550 *
    C: BDAT 0 LAST
    S: 554 5.5.1 *
    C: NOOP
    S: 250 2.0.0 OK)");
}

TEST_F(DataTest, AfterTheFirstChunkThereAreOnlyChunks) {
  auto client = with_envelope();
  go_on(*client, R"(
    C: BDAT 3
    C+ x\r\n
    S: 250 *
    C: DATA
    S: 503 5.5.1 *
    C: RCPT TO:<bob@example.test>
    S: 503 5.5.1 *
    C: MAIL FROM:<a@client.example>
    S: 503 5.5.1 *
    C: RSET
    S: 250 *
    C: BDAT 3 LAST
    C+ x\r\n
    S: 503 5.5.1 *)");
  EXPECT_TRUE(taken().empty());
}

TEST_F(DataTest, ASizeThatCannotBeReadEndsTheSession) {
  for (std::string_view size : {"-1", "99999999999999999999", "x", "", "5 FIRST"}) {
    auto client = with_envelope();
    client->send("BDAT " + std::string(size) + "\r\nQUIT\r\n");
    EXPECT_EQ(client->reply()->substr(0, 9), "501 5.5.4") << size;
    EXPECT_EQ(client->line(), std::nullopt);
  }
  auto client = with_envelope();
  client->send("BDAT 18446744073709551615 LAST\r\n");
  EXPECT_EQ(client->reply()->substr(0, 9), "552 5.3.4");
  EXPECT_EQ(client->line(), std::nullopt);
}

TEST_F(DataTest, ATooLargeMessageInChunksIsRefusedAndItsChunksAreRead) {
  configure([](Config& c) { c.smtp.max_message_size = 1'000; });
  auto client = with_envelope();
  const std::string chunk = "BDAT 600\r\n" + std::string(600, 'x');
  client->send(chunk + chunk + chunk + "NOOP\r\n");
  EXPECT_EQ(client->reply()->substr(0, 3), "250");
  EXPECT_EQ(client->reply()->substr(0, 9), "552 5.3.4");
  EXPECT_EQ(client->reply()->substr(0, 9), "503 5.5.1");
  EXPECT_EQ(client->reply(), "250 2.0.0 OK");
}

TEST_F(DataTest, AMillionOctetsInOneChunk) {
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 1'000'000) text += std::string(76, 'x') + "\r\n";
  auto client = with_envelope();
  client->send(fmt::format("BDAT {} LAST\r\n", text.size()) + text);
  EXPECT_EQ(client->reply()->substr(0, 3), "250");
  EXPECT_TRUE(without_received(only_message().text) == text);
}

}  // namespace
}  // namespace postrider
