// Messages that have more than the server takes: converted, or returned with the reason.
#include "common/base/ascii.h"
#include "tests/mta/relay_link.h"

namespace postrider {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class RelayContentTest : public RelayLinkTest {
 protected:
  RelayServer::Got sent() {
    EXPECT_TRUE(server_.wait_for(1));
    auto got = server_.got();
    return got.empty() ? RelayServer::Got() : got.back();
  }
};

TEST_F(RelayContentTest, EightBitMailGoesAsItIsWhereItCan) {
  message_.eight_bit = true;
  set_body("Subject: x\r\n\r\n\xc3\xbc\r\n");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_THAT(sent().envelope[0], HasSubstr("BODY=8BITMIME"));
  EXPECT_THAT(sent().content, HasSubstr("\xc3\xbc"));
}

TEST_F(RelayContentTest, EightBitMailIsConvertedWhereItCannot) {
  message_.eight_bit = true;
  server_.reply("EHLO", "250-server\r\n250 SIZE 100000");
  set_body(
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "8bit\r\n\r\nviele liebe Gr\xc3\xbc\xc3\x9f"
      "e\r\n");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_THAT(sent().envelope[0], Not(HasSubstr("BODY=")));
  EXPECT_EQ(sent().content,
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
            "quoted-printable\r\n\r\n"
            "viele liebe Gr=C3=BC=C3=9Fe\r\n");
  EXPECT_THAT(sent().envelope[0], HasSubstr(" SIZE=" + std::to_string(sent().content.size())));
}

TEST_F(RelayContentTest, WhatOnlyClaimsToBeEightBitGoesAsItIs) {
  message_.eight_bit = true;
  server_.reply("EHLO", "250 server");
  set_body("Subject: x\r\n\r\nplain after all\r\n");
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(sent().content, "Subject: x\r\n\r\nplain after all\r\n");
}

TEST_F(RelayContentTest, ALargeMessageIsConvertedThroughAFile) {
  message_.eight_bit = true;
  server_.reply("EHLO", "250 server");
  std::string text = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
  while (text.size() < 1'000'000) text += "0123456789 \xc3\xbc 0123456789\r\n";
  set_body(text);
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_FALSE(has_8bit(sent().content));
  EXPECT_THAT(sent().content, HasSubstr("Content-Transfer-Encoding: base64\r\n"));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(state_.file("spool"))) ++files;
  EXPECT_EQ(files, 1u) << "the converted one is gone";
}

TEST_F(RelayContentTest, WhatCannotBeConvertedGoesBack) {
  message_.eight_bit = true;
  server_.reply("EHLO", "250 server");
  set_body(
      "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\xc3\xbc\r\n--b--\r\n");
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.kind, Kind::permanent);
  EXPECT_EQ(outcome.status, "5.6.3");
  EXPECT_THAT(outcome.reply, HasSubstr("signature"));
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RelayContentTest, BinaryMailGoesInAChunkWhereItCan) {
  message_.eight_bit = message_.binary = true;
  server_.reply("EHLO", "250-server\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME");
  std::string text = std::string("Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n") +
                     std::string("\0\n\r.\r\n", 6);
  set_body(text);
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_THAT(sent().envelope[0], HasSubstr("BODY=BINARYMIME"));
  EXPECT_EQ(sent().content, text);
}

TEST_F(RelayContentTest, BinaryMailIsConvertedWhereItCannot) {
  message_.eight_bit = message_.binary = true;
  std::string text =
      std::string("Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n") + std::string("\0\n\xff", 3);
  set_body(text);
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_EQ(sent().content,
            "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\nAAr/\r\n");
}

TEST_F(RelayContentTest, Utf8MailGoesAsItIsWhereItCan) {
  server_.reply("EHLO", "250-server\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8");
  message_.smtputf8 = message_.eight_bit = true;
  message_.recipients[0].address = "j\xc3\xbcrgen@example.net";
  message_.recipients[0].orcpt = "utf-8;j\xc3\xbcrgen@example.net";
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_THAT(
      sent().envelope,
      ElementsAre(HasSubstr(" SMTPUTF8"), "RCPT TO:<j\xc3\xbcrgen@example.net> ORCPT=utf-8;j\xc3\xbcrgen@example.net"));
}

TEST_F(RelayContentTest, EachRecipientNeedsAServerThatTakesItsAddress) {
  message_.smtputf8 = message_.eight_bit = true;
  message_.recipients[0].address = "j\xc3\xbcrgen@example.net";
  add_recipient("carol@example.net");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).status, "5.6.7");
  EXPECT_EQ(outcomes.at(0).kind, Kind::permanent);
  EXPECT_EQ(outcomes.at(1).kind, Kind::relayed);
  EXPECT_THAT(sent().envelope[0], Not(HasSubstr("SMTPUTF8")));
}

TEST_F(RelayContentTest, DomainsAreWrittenInAsciiWhereThatIsEnough) {
  server_.reply("EHLO", "250-server\r\n250-8BITMIME\r\n250 DSN");
  message_.smtputf8 = message_.eight_bit = true;
  message_.reverse_path =
      "alice@b\xc3\xbc"
      "cher.example";
  message_.recipients[0].address = "bob@m\xc3\xbcller.example";
  message_.recipients[0].orcpt = "utf-8;j\xc3\xbcrgen@example.net";
  EXPECT_EQ(attempt_one().kind, Kind::relayed);
  EXPECT_THAT(sent().envelope, ElementsAre(HasSubstr("MAIL FROM:<alice@xn--bcher-kva.example>"),
                                           "RCPT TO:<bob@xn--mller-kva.example> ORCPT=utf-8;j\\x{FC}rgen@example.net"));
}

TEST_F(RelayContentTest, HeaderFieldsInUtf8NeedAServerThatTakesThem) {
  message_.smtputf8 = message_.eight_bit = true;
  set_body("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nx\r\n");
  Outcome outcome = attempt_one();
  EXPECT_EQ(outcome.status, "5.6.7");
  EXPECT_THAT(server_.commands(), Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RelayContentTest, ASenderInUtf8NeedsAServerThatTakesIt) {
  message_.smtputf8 = message_.eight_bit = true;
  message_.reverse_path = "\xc3\xa4@example.org";
  EXPECT_EQ(attempt_one().status, "5.6.7");
}

TEST_F(RelayContentTest, ControlCharactersInAnAddressGoNowhere) {
  add_recipient("a\r\nRCPT TO:<x@example.net>@example.net");
  auto outcomes = attempt();
  EXPECT_EQ(outcomes.at(0).kind, Kind::relayed);
  EXPECT_EQ(outcomes.at(1).status, "5.1.3");
}

}  // namespace
}  // namespace postrider
