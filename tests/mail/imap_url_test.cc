#include "common/mail/imap_url.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

using Access = ImapUrl::Access;

TEST(ImapUrl, ReadsPathsOfThisServer) {
  auto url = parse_imap_url("/Entw%C3%BCrfe%2FA;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME/;PARTIAL=5.10");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "");
  EXPECT_EQ(url->mailbox, "Entw\xc3\xbcrfe/A");
  EXPECT_EQ(url->uid_validity, 385759045u);
  EXPECT_EQ(url->uid, 20u);
  EXPECT_EQ(url->section.part, std::vector<uint32_t>{1});
  EXPECT_EQ(url->section.text, Section::Text::mime);
  EXPECT_EQ(url->partial->offset, 5u);
  EXPECT_EQ(url->partial->length, 10u);
  EXPECT_EQ(parse_imap_url("/inbox/;UID=1/;PARTIAL=7")->partial->length, UINT32_MAX) << "to the end (RFC 5092 11)";
  EXPECT_EQ(parse_imap_url("/inbox/;UID=1")->mailbox, "INBOX");
  EXPECT_EQ(parse_imap_url(";UID=1/;SECTION=HEADER")->section.text, Section::Text::header);
  EXPECT_EQ(parse_imap_url(";uid=1/;section=1.2.text")->section.part, (std::vector<uint32_t>{1, 2}));
}

TEST(ImapUrl, ReadsServersAndUsers) {
  auto url = parse_imap_url("imap://alice%40example.test;AUTH=*@MAIL.example.test:143/INBOX/;UID=3");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->user, "alice@example.test");
  EXPECT_EQ(url->host, "mail.example.test");
  EXPECT_EQ(url->port, 143);
  EXPECT_EQ(url->access, Access::none);
  EXPECT_EQ(parse_imap_url("imap://alice@example.test@mail/INBOX/;UID=3")->user, "alice@example.test");
  EXPECT_EQ(parse_imap_url("imap://[2001:db8::1]:993/INBOX/;UID=3")->host, "[2001:db8::1]");
}

TEST(ImapUrl, ReadsWhoMayReadByIt) {
  const std::string rump =
      "imap://joe@example.com/INBOX/;uid=20/;section=1.2;expire=2026-11-23T09:15:00+01:00;urlauth=submit+fred";
  auto url = parse_imap_url(rump);
  ASSERT_TRUE(url);
  EXPECT_EQ(url->access, Access::submit);
  EXPECT_EQ(url->access_user, "fred");
  EXPECT_EQ(url->expires, 1'795'421'700);
  EXPECT_EQ(url->rump, rump);
  EXPECT_EQ(url->token, "");
  url = parse_imap_url(rump + ":internal:91354A473744909de610943775f92038");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->rump, rump);
  EXPECT_EQ(url->token, "91354a473744909de610943775f92038");
  EXPECT_EQ(parse_imap_url("imap://joe@h/a/;UID=1;URLAUTH=user+bob%40h")->access_user, "bob@h");
  EXPECT_EQ(parse_imap_url("imap://joe@h/a/;UID=1;URLAUTH=authuser")->access, Access::authuser);
  EXPECT_EQ(parse_imap_url("imap://joe@h/a/;UID=1/;PARTIAL=0.5;URLAUTH=anonymous")->access, Access::anonymous);
}

TEST(ImapUrl, RefusesEverythingElse) {
  for (std::string_view text : {"",
                                "/",
                                "/INBOX",
                                "/INBOX;UIDVALIDITY=1",
                                "/INBOX/;UID=",
                                "/INBOX/;UID=0",
                                "/INBOX/;UID=4294967296",
                                "/INBOX/;UID=1/;SECTION=",
                                "/INBOX/;UID=1/;SECTION=1.HEADER.FIELDS%20(A)",
                                "/INBOX/;UID=1/;SECTION=MIME",
                                "/INBOX/;UID=1/;SECTION=0",
                                "/INBOX/;UID=1/;SECTION=1.",
                                "/INBOX/;UID=1/;PARTIAL=1.0",
                                "/%zz/;UID=1",
                                "/%ff/;UID=1",
                                "/a%00b/;UID=1",
                                "/INBOX/;UID=1/",
                                "http://h/INBOX/;UID=1",
                                "imap://",
                                "imap:///INBOX/;UID=1",
                                "imap://h",
                                "imap://h/",
                                "imap://h/INBOX",
                                "imap://h:0/INBOX/;UID=1",
                                "imap://h:x/INBOX/;UID=1",
                                "imap://%ff@h/INBOX/;UID=1",
                                "/INBOX/;UID=1;URLAUTH=anonymous",
                                "imap://h/INBOX/;UID=1;URLAUTH=anonymous",
                                "imap://joe@h/INBOX;URLAUTH=anonymous",
                                "imap://joe@h/a/;UID=1;URLAUTH=",
                                "imap://joe@h/a/;UID=1;URLAUTH=submit+",
                                "imap://joe@h/a/;UID=1;URLAUTH=root",
                                "imap://joe@h/a/;UID=1;EXPIRE=2026-11-23T09:15:00Z",
                                "imap://joe@h/a/;UID=1;EXPIRE=tomorrow;URLAUTH=anonymous",
                                "imap://joe@h/a/;UID=1;URLAUTH=anonymous:",
                                "imap://joe@h/a/;UID=1;URLAUTH=anonymous:INTERNAL:",
                                "imap://joe@h/a/;UID=1;URLAUTH=anonymous:INTERNAL:1234",
                                "imap://joe@h/a/;UID=1;URLAUTH=anonymous:OTHER:91354a473744909de610943775f92038",
                                "imap://joe@h/a/;UID=1;URLAUTH=anonymous:INTERNAL:91354a473744909de610943775f9203g"}) {
    EXPECT_FALSE(parse_imap_url(text)) << text;
  }
  EXPECT_FALSE(parse_imap_url("/" + std::string(kMaxImapUrl, 'a') + "/;UID=1"));
}

TEST(UrlServer, KnowsItsNames) {
  const UrlServer server{{"mail.example.test", "IMAP.example.test"}, 2143};
  const auto is_here = [&](std::string_view text) { return server.is_named_by(*parse_imap_url(text)); };
  EXPECT_TRUE(is_here("imap://mail.example.test/a/;UID=1"));
  EXPECT_TRUE(is_here("imap://imap.example.TEST:2143/a/;UID=1"));
  EXPECT_TRUE(is_here("imap://mail.example.test:143/a/;UID=1"));
  EXPECT_FALSE(is_here("imap://mail.example.test:144/a/;UID=1"));
  EXPECT_FALSE(is_here("imap://example.test/a/;UID=1"));
  EXPECT_FALSE(is_here("/a/;UID=1"));
}

}  // namespace
}  // namespace postrider
