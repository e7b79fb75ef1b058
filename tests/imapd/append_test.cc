// APPEND of several messages and of parts, and REPLACE (RFC 3502, 4469, 7889, 8508).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(MultiAppend, KeepsAllMessages) {
  Transcript t;
  t.play(R"(
    A> a APPEND Drafts (\Seen) {3}
    A< + ...
    A> abc (\Flagged $Two) "17-Jul-1996 02:44:25 -0700" {4}
    A< + ...
    A> defg {2+}
    A> hi
    A< a OK [APPENDUID ... 1:3] ...
    A> b SELECT Drafts
    A<* b OK ...
    A> c FETCH 1:3 (FLAGS INTERNALDATE BODY.PEEK[])
    A< * 1 FETCH (FLAGS (\Seen \Recent) INTERNALDATE "15-Jan-2027 08:00:00 +0000" BODY[] {3}
    A< abc)
    A< * 2 FETCH (FLAGS (\Flagged $Two \Recent) INTERNALDATE "17-Jul-1996 09:44:25 +0000" BODY[] {4}
    A< defg)
    A< * 3 FETCH (FLAGS (\Recent) INTERNALDATE "15-Jan-2027 08:00:00 +0000" BODY[] {2}
    A< hi)
    A< c OK ...
  )");
}

TEST(MultiAppend, KeepsNoneWhereOneCannotBeKept) {
  Transcript::Options options;
  options.quota = 1'000;
  options.max_append_size = 900;
  Transcript t(options);
  Client& c = t.session('A');
  std::string text(600, 'x');
  c.send("a APPEND INBOX {600+}\r\n" + text + " {600+}\r\n" + text + "\r\n");
  EXPECT_TRUE(fits(c.line(), "a NO [OVERQUOTA] ..."));
  c.send("b APPEND INBOX {3+}\r\nabc {0+}\r\n {3+}\r\nabc\r\n");
  EXPECT_TRUE(fits(c.line(), "b NO ..."));
  c.send("c APPEND INBOX {3+}\r\nabc {901}\r\n");
  EXPECT_TRUE(fits(c.line(), "c NO [TOOBIG] ..."));
  c.send("d APPEND INBOX {3+}\r\nabc {901+}\r\n" + std::string(901, 'y') + " {3+}\r\nabc\r\n");
  EXPECT_TRUE(fits(c.line(), "d NO [TOOBIG] ..."));
  c.send("e APPEND INBOX {3+}\r\nabc nonsense {3+}\r\nabc\r\n");
  EXPECT_TRUE(fits(c.line(), "e BAD ..."));
  c.send("f APPEND INBOX {3+}\r\nabc trailing\r\n");
  EXPECT_TRUE(fits(c.line(), "f BAD ..."));
  c.send("g STATUS INBOX (MESSAGES)\r\n");
  EXPECT_EQ(c.line(), "* STATUS INBOX (MESSAGES 0)");
}

/// More than is held in memory, cut in messages again; one of them in a file of its own size.
TEST(MultiAppend, CutsTheSpoolIntoMessages) {
  Transcript t;
  Client& c = t.session('A');
  std::vector<std::string> messages;
  for (size_t size : {100'000, 200'000, 700'000, 5, 262'144}) {
    std::string message = fmt::format("Subject: {}\r\n\r\n", size);
    while (message.size() < size) message += static_cast<char>('a' + message.size() * 7 % 26);
    messages.push_back(std::move(message));
  }
  std::string command = "a APPEND INBOX";
  for (const std::string& message : messages) command += fmt::format(" {{{}+}}\r\n", message.size()) + message;
  c.send(command + "\r\nb SELECT INBOX\r\n");
  EXPECT_TRUE(fits(c.line(), "a OK [APPENDUID ... 1:5] ..."));
  while (!fits(c.line(), "b OK ...")) {
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    c.send(fmt::format("c FETCH {} BODY.PEEK[]\r\n", i + 1));
    EXPECT_EQ(c.line(), fmt::format("* {} FETCH (BODY[] {{{}}}", i + 1, messages[i].size()));
    EXPECT_TRUE(c.octets(messages[i].size()) == messages[i]) << i;
    EXPECT_EQ(c.line(), ")");
    EXPECT_TRUE(fits(c.line(), "c OK ..."));
  }
}

constexpr std::string_view kAttached =
    "Subject: parts\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n"
    "\r\n"
    "--b\r\n"
    "\r\n"
    "first\r\n"
    "--b\r\n"
    "Content-Type: application/pdf\r\n"
    "\r\n"
    "attachment\r\n"
    "--b--\r\n";

TEST(Catenate, PutsAMessageTogetherFromPartsThatAreHere) {
  Transcript t;
  t.deliver("INBOX", kAttached);
  t.play(R"(
    A> a APPEND Drafts (\Draft) CATENATE (TEXT {8}
    A< + ...
    A> A: b
    A>
    A>  URL "/INBOX/;UID=1/;SECTION=2" TEXT {2+}
    A> !! URL "/INBOX/;UID=1/;SECTION=1/;PARTIAL=1.3")
    A< a OK [APPENDUID ... 1] ...
    A> b SELECT Drafts
    A<* b OK ...
    A> c FETCH 1 (FLAGS BODY.PEEK[])
    A< * 1 FETCH (FLAGS (\Draft \Recent) BODY[] {23}
    A< A: b
    A<
    A< attachment!!irs)
    A< c OK ...
    A> d APPEND Drafts CATENATE (URL ";UID=1")
    A< * 2 EXISTS
    A< * 2 RECENT
    A< d OK [APPENDUID ... 2] ...
    A> e APPEND Drafts CATENATE (URL {17}
    A< + ...
    A> /INBOX/;UID=1/;SE)
    A< e NO [BADURL "/INBOX/;UID=1/;SE"] ...
    A> f APPEND Drafts CATENATE (URL "/INBOX;UIDVALIDITY=1/;UID=1")
    A< f NO [BADURL ...] ...
    A> g APPEND Drafts CATENATE (URL "/INBOX/;UID=2" TEXT {3+}
    A> abc)
    A< g NO [BADURL ...] ...
    A> h APPEND Drafts CATENATE (URL "imap://elsewhere.test/INBOX/;UID=1")
    A< h NO [BADURL ...] ...
    A> o APPEND Drafts CATENATE (URL {9+}
    A> /Dr]ö;x")
    A< o NO [BADURL "/Dr???;x?"] ...
    A> i APPEND Drafts CATENATE ()
    A< i BAD ...
    A> j APPEND Drafts
    A< j BAD ...
    A> k APPEND Nowhere CATENATE (URL "/INBOX/;UID=1")
    A< k NO [TRYCREATE] ...
    A> l NOOP
    A< l OK ...
  )");
}

TEST(Catenate, HasTheLimitOfAMessage) {
  Transcript::Options options;
  options.max_append_size = 400;
  Transcript t(options);
  t.deliver("INBOX", kAttached);
  t.play(R"(
    A> a APPEND Drafts CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=1" URL "/INBOX/;UID=1")
    A< a NO [TOOBIG] ...
    A> b APPEND Drafts CATENATE (URL "/INBOX/;UID=1" TEXT {390}
    A< b NO [TOOBIG] ...
  )");
}

TEST(Replace, PutsAMessageInThePlaceOfAnother) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("Drafts", kMessage);
  t.play(R"(
    A> a SELECT Drafts
    A<* a OK ...
    A> b REPLACE 2 Drafts (\Seen \Draft) {3}
    A< + ...
    A> new
    A< * OK [APPENDUID ... 4] ...
    A< * 2 EXPUNGE
    A< * 3 EXISTS
    A< * 3 RECENT
    A< b OK Replaced.
    A> c UID REPLACE 3 INBOX {3+}
    A> abc
    A< * OK [APPENDUID ... 1] ...
    A< * 2 EXPUNGE
    A< c OK Replaced.
    A> d UID REPLACE 3 INBOX {3}
    A< d NO ...
    A> e REPLACE 9 INBOX {3+}
    A> abc
    A< e BAD ...
    A> f REPLACE 1 Nowhere {3+}
    A> abc
    A< f NO [TRYCREATE] ...
    A> g REPLACE 1 Drafts {3+}
    A> abc {3+}
    A> def
    A< g BAD ...
    A> h UID FETCH 1:* FLAGS
    A< * 1 FETCH (UID 1 FLAGS (...))
    A< * 2 FETCH (UID 4 FLAGS (...))
    A< h OK ...
    A> i EXAMINE Drafts
    A<* i OK ...
    A> j REPLACE 1 Drafts {3}
    A< j NO ...
    B> a REPLACE 1 Drafts {3}
    B< a BAD No mailbox is selected.
  )");
}

}  // namespace
}  // namespace postrider::imap
