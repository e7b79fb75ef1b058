// IMAP4rev2 (RFC 9051) and the extensions it took in: ESEARCH, SEARCHRES, BINARY, UTF-8; and what ENABLE changes.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Rev2, ChangesWhatIsToldOnceItIsEnabled) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a ENABLE IMAP4rev2
    A< * ENABLED IMAP4rev2
    A< a OK ...
    A> b SELECT INBOX
    A< * FLAGS (\Seen \Answered \Flagged \Deleted \Draft)
    A< * OK [PERMANENTFLAGS ...] ...
    A< * 1 EXISTS
    A< * OK [UIDVALIDITY ...] ...
    A< * OK [UIDNEXT 2] ...
    A< * OK [HIGHESTMODSEQ ...] ...
    A< * OK [URLMECH INTERNAL] ...
    A< * OK [MAILBOXID (F...)] ...
    A< * LIST () "/" INBOX
    A< b OK [READ-WRITE] ...
    A> c FETCH 1 FLAGS
    A< * 1 FETCH (FLAGS ())
    A< c OK ...
    A> d SEARCH ALL
    A< * ESEARCH (TAG "d") ALL 1
    A< d OK ...
    A> e UID SEARCH SEEN
    A< * ESEARCH (TAG "e") UID
    A< e OK ...
    B> a SELECT INBOX
    B<* * 1 RECENT
    B<* a OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> f NOOP
    A< * 2 EXISTS
    A< f OK ...
    A> g STATUS INBOX (MESSAGES DELETED SIZE)
    A< * STATUS INBOX (MESSAGES 2 SIZE ... DELETED 0)
    A< g OK ...
  )");
}

TEST(Rev2, NamesMailboxesInUtf8) {
  Transcript t;
  t.play(R"(
    A> a ENABLE UTF8=ACCEPT
    A< * ENABLED UTF8=ACCEPT
    A< a OK ...
    A> b CREATE "Entwürfe"
    A< b OK [MAILBOXID (F...)] ...
    A> c LIST "" "Entw*"
    A< * LIST (\HasNoChildren) "/" "Entwürfe"
    A< c OK ...
    A> d STATUS "Entwürfe" (MESSAGES)
    A< * STATUS "Entwürfe" (MESSAGES 0)
    A< d OK ...
    A> e CREATE "A&APw-b"
    A< e OK ...
    A> f LIST "" "A*b"
    A< * LIST (\HasNoChildren) "/" A&APw-b
    A< f OK ...
    A> g SELECT INBOX
    A<* g OK ...
    A> h SEARCH CHARSET UTF-8 ALL
    A< h BAD ...
    A> i SEARCH SUBJECT "ü"
    A< * SEARCH
    A< i OK ...
    B> b LIST "" "Entw*"
    B< * LIST (\HasNoChildren) "/" Entw&APw-rfe
    B< b OK ...
    B> c0 LIST "" "A&"
    B< c0 OK ...
    B> c LIST "" "A&-APw-b"
    B< * LIST (\HasNoChildren) "/" A&-APw-b
    B< c OK ...
  )");
  Client& c = t.session('A');
  c.send("z CREATE \"\xff\xfe\"\r\n");
  EXPECT_TRUE(fits(c.line(), "z NO [CANNOT] ..."));
}

TEST(Rev2, TakesAMessageWithAUtf8Header) {
  Transcript t;
  t.play(R"(
    A> a ENABLE UTF8=ACCEPT
    A< * ENABLED UTF8=ACCEPT
    A< a OK ...
    A> b APPEND INBOX UTF8 (~{18+}
    A> Subject: ü
    A>
    A> abc)
    A< b OK [APPENDUID ... 1] ...
    A> c SELECT INBOX
    A<* c OK ...
    A> d FETCH 1 BODY.PEEK[HEADER]
    A< * 1 FETCH (BODY[HEADER] {15}
    A< Subject: ü
    A<
    A< )
    A< d OK ...
  )");
}

TEST(Enable, ListsWhatItKnowsOnce) {
  Transcript t;
  t.play(R"(
    A> a ENABLE condstore QRESYNC X-NONSENSE imap4rev2 CONDSTORE
    A< * ENABLED CONDSTORE QRESYNC IMAP4rev2
    A< a OK ...
    A> b ENABLE NONSENSE
    A< * ENABLED
    A< b OK ...
    A> c ENABLE
    A< c BAD ...
  )");
}

TEST(Esearch, ReturnsWhatWasAskedFor) {
  Transcript t;
  for (int i = 0; i < 5; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 2,3,5 +FLAGS.SILENT (\Flagged)
    A< b OK ...
    A> c SEARCH RETURN (MIN COUNT) FLAGGED
    A< * ESEARCH (TAG "c") MIN 2 COUNT 3
    A< c OK ...
    A> d UID SEARCH RETURN (MAX ALL) FLAGGED
    A< * ESEARCH (TAG "d") UID MAX 5 ALL 2:3,5
    A< d OK ...
    A> e SEARCH RETURN () FLAGGED
    A< * ESEARCH (TAG "e") ALL 2:3,5
    A< e OK ...
    A> f SEARCH RETURN (MIN MAX ALL COUNT) DRAFT
    A< * ESEARCH (TAG "f") COUNT 0
    A< f OK ...
    A> g SEARCH RETURN (NONSENSE) ALL
    A< g BAD ...
    A> h SEARCH RETURN (COUNT) CHARSET UTF-8 UNFLAGGED
    A< * ESEARCH (TAG "h") COUNT 2
    A< h OK ...
    A> i UID SEARCH RETURN (PARTIAL 2:3) FLAGGED
    A< * ESEARCH (TAG "i") UID PARTIAL (2:3 3,5)
    A< i OK ...
    A> j UID SEARCH RETURN (PARTIAL -1:-2 COUNT) FLAGGED
    A< * ESEARCH (TAG "j") UID COUNT 3 PARTIAL (-1:-2 3,5)
    A< j OK ...
    A> j2 UID SEARCH RETURN (PARTIAL 3:2) FLAGGED
    A< * ESEARCH (TAG "j2") UID PARTIAL (2:3 3,5)
    A< j2 OK ...
    A> k UID SEARCH RETURN (PARTIAL 10:20) FLAGGED
    A< * ESEARCH (TAG "k") UID PARTIAL (10:20 NIL)
    A< k OK ...
    A> l UID SEARCH RETURN (PARTIAL 1:2 ALL) FLAGGED
    A< l BAD ...
    A> m UID SEARCH RETURN (PARTIAL 0:2) FLAGGED
    A< m BAD ...
    A> n SEARCH RETURN (MAX) MODSEQ 1
    A< * OK [HIGHESTMODSEQ ...] ...
    A< * ESEARCH (TAG "n") MAX 5 MODSEQ ...
    A< n OK ...
  )");
}

TEST(SearchResult, IsKeptForLaterCommands) {
  Transcript t;
  for (int i = 0; i < 5; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 2:4 +FLAGS.SILENT (\Flagged)
    A< b OK ...
    A> c SEARCH RETURN (SAVE) FLAGGED
    A< c OK ...
    A> d FETCH $ UID
    A< * 2 FETCH (UID 2)
    A< * 3 FETCH (UID 3)
    A< * 4 FETCH (UID 4)
    A< d OK ...
    A> e STORE 3 +FLAGS.SILENT (\Deleted)
    A< e OK ...
    A> f EXPUNGE
    A< * 3 EXPUNGE
    A< f OK ...
    A> g UID SEARCH $ UID 3:5
    A< * SEARCH 4
    A< g OK ...
    A> h SEARCH RETURN (SAVE MIN) ALL
    A< * ESEARCH (TAG "h") MIN 1
    A< h OK ...
    A> i UID SEARCH RETURN (ALL) UID $
    A< * ESEARCH (TAG "i") UID ALL 1
    A< i OK ...
    A> j UID STORE $ +FLAGS.SILENT (\Seen)
    A< j OK ...
    A> k SEARCH RETURN (SAVE) CHARSET X-NONE SUBJECT x
    A< k NO [BADCHARSET ...] ...
    A> l FETCH $ UID
    A< l OK ...
    A> m COPY $ Archive
    A< m OK ...
    A> n SELECT Archive
    A<* n OK ...
    A> o FETCH $ UID
    A< o OK ...
  )");
}

constexpr std::string_view kEncoded =
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n"
    "\r\n"
    "--b\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "AAECAwQ=\r\n"
    "--b\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "a=3Db\r\n"
    "--b\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: x-uuencode\r\n"
    "\r\n"
    "odd\r\n"
    "--b\r\n"
    "\r\n"
    "plain\r\n"
    "--b--\r\n";

TEST(Binary, TakesTheEncodingOff) {
  Transcript t;
  t.deliver("INBOX", kEncoded);
  Client& c = t.session('A');
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[4] BINARY.SIZE[9])
    A< * 1 FETCH (BINARY.SIZE[1] 5 BINARY.SIZE[2] 3 BINARY.SIZE[4] 5 BINARY.SIZE[9] 0)
    A< b OK ...
    A> c FETCH 1 (BINARY.PEEK[2] BINARY.PEEK[4]<1.3> BINARY.PEEK[9])
    A< * 1 FETCH (BINARY[2] ~{3}
    A< a=b BINARY[4]<1> ~{3}
    A< lai BINARY[9] NIL)
    A< c OK ...
    A> d FETCH 1 BINARY.PEEK[3]
    A< * 1 FETCH (BINARY[3] NIL)
    A< d NO [UNKNOWN-CTE] ...
    A> e FETCH 1 BINARY[1.HEADER]
    A< e BAD ...
    A> f FETCH 1 (FLAGS BINARY[1]<3.100>)
    A< * 1 FETCH (FLAGS (\Seen \Recent) BINARY[1]<3> ~{2}
  )");
  EXPECT_EQ(c.octets(2), "\x03\x04");
  EXPECT_EQ(c.line(), ")");
  EXPECT_TRUE(fits(c.line(), "f OK ..."));
}

/// Goes through two passes and many pieces.
TEST(Binary, StreamsALargePart) {
  Transcript t;
  std::string lines;
  size_t count = 60'000;
  for (size_t i = 0; i < count; ++i) lines += "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygp\r\n";
  t.deliver("INBOX", "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines);
  std::string once;
  for (char octet = 0; octet < 42; ++octet) once += octet;
  std::string whole;
  for (size_t i = 0; i < count; ++i) whole += once;
  Client& c = t.session('A');
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1]<1000000.500000> BINARY.PEEK[1])
    A< * 1 FETCH (BINARY.SIZE[1] 2520000 BINARY[1]<1000000> ~{500000}
  )");
  EXPECT_TRUE(c.octets(500'000) == whole.substr(1'000'000, 500'000));
  EXPECT_EQ(c.line(), " BINARY[1] ~{2520000}");
  EXPECT_TRUE(c.octets(whole.size()) == whole);
  EXPECT_EQ(c.line(), ")");
}

TEST(Binary, AppendsAnyOctets) {
  Transcript t;
  Client& c = t.session('A');
  const std::string octets("a\0b\xff", 4);
  const std::string message =
      "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
      "Content-Transfer-Encoding: binary\r\n\r\n" +
      octets;
  c.send(fmt::format("a APPEND INBOX ~{{{}+}}\r\n{}\r\nb SELECT INBOX\r\n", message.size(), message));
  EXPECT_TRUE(fits(c.line(), "a OK [APPENDUID ..."));
  t.play(R"(
    A<* b OK ...
    A> c FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])
    A< * 1 FETCH (BINARY.SIZE[1] 4 BINARY[1] ~{4}
  )");
  EXPECT_EQ(c.octets(4), octets);
  // Whoever does not know BINARY gets it, too: a literal of other kinds has no NUL.
  t.play(R"(
    A< )
    A< c OK ...
    A> d FETCH 1 (BODY.PEEK[1] BODY)
    A< * 1 FETCH (BODY[1] {10}
    A< YQBi/w==
    A<  BODY ("application" "octet-stream" NIL NIL NIL "base64" 10))
    A< d OK ...
  )");
}

TEST(UidOnly, HasNoMessageNumbers) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a ENABLE UIDONLY
    A< * ENABLED UIDONLY
    A< a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c FETCH 1 FLAGS
    A< c BAD [UIDREQUIRED] ...
    A> d SEARCH ALL
    A< d BAD [UIDREQUIRED] ...
    A> e UID SEARCH 1:2
    A< e BAD [UIDREQUIRED] ...
    A> f UID SEARCH UID 2:3
    A< * SEARCH 2 3
    A< f OK ...
    A> g UID FETCH 2 (UID RFC822.SIZE)
    A< * 2 UIDFETCH (UID 2 RFC822.SIZE ...)
    A< g OK ...
    A> h UID STORE 2 +FLAGS (\Deleted)
    A< * 2 UIDFETCH (FLAGS (\Deleted \Recent))
    A< h OK ...
    A> i EXPUNGE
    A< * VANISHED 2
    A< i OK ...
    A> j COPY 1 Archive
    A< j BAD [UIDREQUIRED] ...
    A> k UID MOVE 3 Archive
    A< * OK [COPYUID ... 3 1] ...
    A< * VANISHED 3
    A< k OK ...
    B> b SELECT INBOX
    B<* b OK ...
    B> c STORE 1 +FLAGS.SILENT (\Flagged)
    B< c OK ...
    A> l NOOP
    A< * 1 UIDFETCH (FLAGS (\Flagged \Recent))
    A< l OK ...
    A> m REPLACE 1 INBOX {3+}
    A> abc
    A< m BAD [UIDREQUIRED] ...
  )");
}

TEST(Partial, FetchesAStretchOfTheSet) {
  Transcript t;
  for (int i = 0; i < 10; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UID FETCH 3:9 (UID) (PARTIAL 2:3)
    A< * 4 FETCH (UID 4)
    A< * 5 FETCH (UID 5)
    A< b OK ...
    A> c UID FETCH 1,3,5:* (UID) (PARTIAL -1:-2)
    A< * 9 FETCH (UID 9)
    A< * 10 FETCH (UID 10)
    A< c OK ...
    A> d UID FETCH 1,3,5:* (UID) (PARTIAL 2:3)
    A< * 3 FETCH (UID 3)
    A< * 5 FETCH (UID 5)
    A< d OK ...
    A> e UID FETCH 1:* (UID) (PARTIAL 20:30)
    A< e OK ...
    A> f FETCH 1:* (UID) (PARTIAL 1:3)
    A< f BAD ...
  )");
}

TEST(ObjectId, StaysThroughRenameAndCopy) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* * OK [MAILBOXID (F1)] ...
    A<* a OK ...
    A> b FETCH 1 (EMAILID THREADID)
    A< * 1 FETCH (EMAILID (M1) THREADID (T1))
    A< b OK ...
    A> c CREATE Here
    A< c OK [MAILBOXID (F7)] ...
    A> d COPY 1 Here
    A< d OK ...
    A> e RENAME Here There
    A< e OK ...
    A> f STATUS There (MAILBOXID MESSAGES APPENDLIMIT)
    A< * STATUS There (MESSAGES 1 APPENDLIMIT 52428800 MAILBOXID (F7))
    A< f OK ...
    A> g SELECT There
    A<* g OK ...
    A> h SEARCH EMAILID M1
    A< * SEARCH 1
    A< h OK ...
    A> i SEARCH OR EMAILID M2 EMAILID nonsense
    A< * SEARCH
    A< i OK ...
    A> j SEARCH THREADID T1
    A< * SEARCH 1
    A< j OK ...
  )");
}

TEST(SaveDate, IsWhenAMessageCameIntoItsMailbox) {
  Transcript t;
  t.play(R"(
    A> a APPEND INBOX "17-Jul-1996 02:44:25 -0700" {3+}
    A> abc
    A< a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c FETCH 1 SAVEDATE
    A< * 1 FETCH (SAVEDATE "15-Jan-2027 08:00:00 +0000")
    A< c OK ...
    A> d SEARCH SAVEDON 15-Jan-2027 SAVEDBEFORE 16-Jan-2027 SAVEDSINCE 15-Jan-2027 SAVEDATESUPPORTED
    A< * SEARCH 1
    A< d OK ...
    A> e SEARCH SAVEDBEFORE 15-Jan-2027
    A< * SEARCH
    A< e OK ...
  )");
}

TEST(Preview, IsTheFirstWordsOfTheText) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX",
            "Content-Type: text/html\r\n\r\n<html><head><title>x</title><style>p { }</style></head><!-- no > -->\r\n"
            "<p>Tom &amp;\r\n Jerry&#33;<br>caf=C3=A9</p><script>a<b</script>");
  t.deliver("INBOX", "Content-Type: image/png\r\n\r\nx");
  t.deliver("INBOX", "Subject: long\r\n\r\n" + std::string(1'000, 'x'));
  std::string words(200, 'x');
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b FETCH 1:3 (PREVIEW)
    A< * 1 FETCH (PREVIEW "At noon?")
    A< * 2 FETCH (PREVIEW "Tom & Jerry! caf=C3=A9")
    A< * 3 FETCH (PREVIEW "")
    A< b OK ...
    A> c FETCH 1 (PREVIEW (LAZY) UID)
    A< * 1 FETCH (PREVIEW "At noon?" UID 1)
    A< c OK ...
    A> d FETCH 4 (PREVIEW)
  )");
  Client& c = t.session('A');
  EXPECT_EQ(c.line(), "* 4 FETCH (PREVIEW \"" + words + "\")");
  EXPECT_TRUE(fits(c.line(), "d OK ..."));
}

}  // namespace
}  // namespace postrider::imap
