// Messages: APPEND, FETCH, STORE, COPY, MOVE, EXPUNGE, SEARCH (RFC 3501 6.3.11, 6.4).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Append, KeepsMessageFlagsAndDate) {
  Transcript t;
  t.play(R"(
    A> a APPEND Drafts (\Seen $Note) "17-Jul-1996 02:44:25 -0700" {15+}
    A> Subject: x
    A>
    A> y
    A< a OK [APPENDUID ... 1] ...
    A> b SELECT Drafts
    A<* b OK ...
    A> c FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])
    A< * 1 FETCH (FLAGS (\Seen $Note \Recent) INTERNALDATE "17-Jul-1996 09:44:25 +0000" RFC822.SIZE 15 BODY[] {15}
    A< Subject: x
    A<
    A< y)
    A< c OK ...
  )");
}

TEST(Append, AsksForASynchronisingLiteralAndRefusesBeforeWhatItCanNotTake) {
  Transcript::Options options;
  options.max_append_size = 1'000'000;
  Transcript t(options);
  t.play(R"(
    A> a APPEND INBOX {3}
    A< + ...
    A> abc
    A< a OK ...
    A> b APPEND INBOX {1000001}
    A< b NO [TOOBIG] ...
    A> c APPEND Nowhere {900000}
    A< c NO [TRYCREATE] ...
    A> d APPEND Nowhere {3+}
    A> abc
    A< d NO [TRYCREATE] ...
    A> e APPEND INBOX {0+}
    A>
    A< e NO ...
    A> f APPEND INBOX (\Seen {3+}
    A> abc
    A< f BAD ...
    A> g NOOP
    A< g OK ...
  )");
}

TEST(Append, DropsARefusedLiteralThatIsUnderWay) {
  Transcript::Options options;
  options.max_append_size = 1'000;
  Transcript t(options);
  Client& c = t.session('A');
  c.send("a APPEND INBOX {200000+}\r\n" + std::string(200'000, 'x') + "\r\nb NOOP\r\n");
  EXPECT_TRUE(fits(c.line(), "a NO [TOOBIG] ..."));
  EXPECT_TRUE(fits(c.line(), "b OK ..."));
}

TEST(Append, SaysWhenTheQuotaIsFull) {
  Transcript::Options options;
  options.quota = 1'000;
  Transcript t(options);
  Client& c = t.session('A');
  c.send("a APPEND INBOX {900+}\r\n" + std::string(900, 'x') + "\r\nb APPEND INBOX {200+}\r\n" + std::string(200, 'x') +
         "\r\n");
  EXPECT_TRUE(fits(c.line(), "a OK ..."));
  EXPECT_TRUE(fits(c.line(), "b NO [OVERQUOTA] ..."));
}

/// Goes through the spool file, several chunks and many slices of output, and comes back octet by octet.
TEST(Append, BringsALargeMessageBack) {
  Transcript t;
  Client& c = t.session('A');
  std::string message = "Subject: large\r\n\r\n";
  for (int i = 0; message.size() < 3'000'000; ++i) message += fmt::format("line {} {}\r\n", i, i * 7919);
  c.send(fmt::format("a APPEND INBOX {{{}}}\r\n", message.size()));
  EXPECT_TRUE(fits(c.line(), "+ ..."));
  c.send(message + "\r\nb SELECT INBOX\r\n");
  EXPECT_TRUE(fits(c.line(), "a OK [APPENDUID ..."));
  std::string line = c.line();
  while (!fits(line, "b OK ...")) line = c.line();
  c.send("c FETCH 1 (BODY.PEEK[] UID)\r\nd FETCH 1 BODY.PEEK[]<1000000.300000>\r\n");
  EXPECT_EQ(c.line(), fmt::format("* 1 FETCH (BODY[] {{{}}}", message.size()));
  EXPECT_TRUE(c.octets(message.size()) == message);
  EXPECT_EQ(c.line(), " UID 1)");
  EXPECT_TRUE(fits(c.line(), "c OK ..."));
  EXPECT_EQ(c.line(), "* 1 FETCH (BODY[]<1000000> {300000}");
  EXPECT_TRUE(c.octets(300'000) == message.substr(1'000'000, 300'000));
}

constexpr std::string_view kMixed =
    "Subject: parts\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n"
    "\r\n"
    "preamble\r\n"
    "--b\r\n"
    "Content-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "Stra=DFe\r\n"
    "--b\r\n"
    "Content-Type: message/rfc822\r\n"
    "\r\n"
    "Subject: =?utf-8?q?inn=C3=A9r?=\r\n"
    "From: c@example.test\r\n"
    "\r\n"
    "inner body\r\n"
    "--b--\r\n";

TEST(Fetch, FindsEverySection) {
  Transcript t;
  t.deliver("INBOX", kMixed);  // with 34 octets of trace fields in front
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b FETCH 1 BODY.PEEK[1]
    A< * 1 FETCH (BODY[1] {8}
    A< Stra=DFe)
    A< b OK ...
    A> c FETCH 1 BODY.PEEK[2.HEADER.FIELDS (From)]
    A< * 1 FETCH (BODY[2.HEADER.FIELDS (From)] {24}
    A< From: c@example.test
    A<
    A< )
    A< c OK ...
    A> d FETCH 1 BODY.PEEK[2.TEXT]
    A< * 1 FETCH (BODY[2.TEXT] {10}
    A< inner body)
    A< d OK ...
    A> e FETCH 1 BODY.PEEK[2.1]
    A< * 1 FETCH (BODY[2.1] {10}
    A< inner body)
    A< e OK ...
    A> f FETCH 1 BODY.PEEK[2.MIME]
    A< * 1 FETCH (BODY[2.MIME] {32}
    A< Content-Type: message/rfc822
    A<
    A< )
    A< f OK ...
    A> g FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject DELIVERED-TO)]
    A< * 1 FETCH (BODY[HEADER.FIELDS (Subject DELIVERED-TO)] {52}
    A< Delivered-To: alice@example.test
    A< Subject: parts
    A<
    A< )
    A< g OK ...
    A> h FETCH 1 (BODY.PEEK[3] BODY.PEEK[1.HEADER] BODY.PEEK[1]<4.2> BODY.PEEK[1]<99.5>)
    A< * 1 FETCH (BODY[3] NIL BODY[1.HEADER] NIL BODY[1]<4> {2}
    A< =D BODY[1]<99> {0}
    A< )
    A< h OK ...
    A> i FETCH 1 BODY.PEEK[TEXT]<0.8>
    A< * 1 FETCH (BODY[TEXT]<0> {8}
    A< preamble)
    A< i OK ...
    A> j FETCH 1 (ENVELOPE BODYSTRUCTURE)
    A< * 1 FETCH (ENVELOPE (NIL "parts" NIL ...) BODYSTRUCTURE (("text" "plain" ...) "mixed" ...))
    A< j OK ...
    A> k FETCH 1 RFC822.HEADER
    A< * 1 FETCH (RFC822.HEADER {...}
    A< Delivered-To: alice@example.test
    A<* )
    A< k OK ...
  )");
}

TEST(Fetch, SetsSeenAndSaysSo) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a EXAMINE INBOX
    B<* a OK ...
    A> b FETCH 1 BODY[TEXT]
    A< * 1 FETCH (BODY[TEXT] {10}
    A< At noon?
    A<  FLAGS (\Seen \Recent))
    A< b OK ...
    A> c FETCH 1 BODY[TEXT]
    A< * 1 FETCH (BODY[TEXT] {10}
    A< At noon?
    A< )
    A< c OK ...
    B> d NOOP
    B< * 1 FETCH (UID 1 FLAGS (\Seen))
    B< d OK ...
  )");
}

TEST(Fetch, AnswersWhatAMailClientAsksFor) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UID FETCH 1:* (FLAGS)
    A< * 1 FETCH (UID 1 FLAGS (\Recent))
    A< * 2 FETCH (UID 2 FLAGS (\Recent))
    A< b OK ...
    A> c UID FETCH 999:* UID
    A< * 2 FETCH (UID 2)
    A< c OK ...
    A> d UID FETCH 77 FLAGS
    A< d OK ...
    A> e FETCH 3 FLAGS
    A< e BAD ...
    A> f FETCH 1 FAST
    A< * 1 FETCH (FLAGS (\Recent) INTERNALDATE "15-Jan-2027 08:00:00 +0000" RFC822.SIZE ...)
    A< f OK ...
    A> g UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 100000)
    A< * OK [HIGHESTMODSEQ ...] ...
    A< g OK ...
    A> h UID FETCH 1 (FLAGS MODSEQ)
    A< * 1 FETCH (UID 1 FLAGS (\Recent) MODSEQ (...))
    A< h OK ...
  )");
}

TEST(Store, ChangesFlagsAndSaysWhatTheyAreNow) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 1 +FLAGS (\Flagged \Seen)
    A< * 1 FETCH (FLAGS (\Seen \Flagged \Recent))
    A< b OK ...
    A> c STORE 1 -FLAGS.SILENT \Seen
    A< c OK ...
    A> d UID STORE 1 FLAGS (\Answered $Junk)
    A< * FLAGS (\Seen \Answered \Flagged \Deleted \Draft $Junk)
    A< * OK [PERMANENTFLAGS (\Seen \Answered \Flagged \Deleted \Draft $Junk \*)] ...
    A< * 1 FETCH (UID 1 FLAGS (\Answered $Junk \Recent))
    A< d OK ...
    A> e NOOP
    A< e OK ...
  )");
}

TEST(Store, LeavesAloneWhatSomebodyElseChanged) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX (CONDSTORE)
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
    B> b STORE 2 +FLAGS.SILENT (\Flagged)
    B< b OK ...
    A> c STORE 1:2 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\Seen)
    A< * 2 FETCH (UID 2 FLAGS (\Flagged...) MODSEQ (...))
    A< * 1 FETCH (UID 1 MODSEQ (...))
    A< * 2 FETCH (UID 2 MODSEQ (...))
    A< c OK [MODIFIED 2] ...
    A> d STORE 1 (UNCHANGEDSINCE 0) FLAGS (\Draft)
    A< * 1 FETCH (UID 1 FLAGS (\Seen...) MODSEQ (...))
    A< d OK [MODIFIED 1] ...
  )");
}

TEST(Copy, TellsWhatBecameOfEachMessage) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b COPY 1:2 Archive
    A< b OK [COPYUID ... 1:2 1:2] ...
    A> c UID COPY 3 Nowhere
    A< c NO [TRYCREATE] ...
    A> d COPY 1 INBOX
    A< * 4 EXISTS
    A< * 4 RECENT
    A< d OK [COPYUID ... 1 4] ...
    A> e UID COPY 100:200 Archive
    A< e OK ...
  )");
}

TEST(Move, TakesTheMessagesAway) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b MOVE 1,3 Archive
    A< * OK [COPYUID ... 1,3 1:2] ...
    A< * 3 EXPUNGE
    A< * 1 EXPUNGE
    A< b OK ...
    A> c FETCH 1 UID
    A< * 1 FETCH (UID 2)
    A< c OK ...
    A> d UID MOVE 2 INBOX
    A< * OK [COPYUID ... 2 4] ...
    A< * 1 EXPUNGE
    A< * 1 EXISTS
    A< * 1 RECENT
    A< d OK ...
  )");
}

TEST(Expunge, RemovesWhatIsDeleted) {
  Transcript t;
  for (int i = 0; i < 4; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 1,2,4 +FLAGS.SILENT (\Deleted)
    A< b OK ...
    A> c UID EXPUNGE 2
    A< * 2 EXPUNGE
    A< c OK ...
    A> d EXPUNGE
    A< * 3 EXPUNGE
    A< * 1 EXPUNGE
    A< d OK ...
    A> e STORE 1 +FLAGS.SILENT (\Deleted)
    A< e OK ...
    A> f CLOSE
    A< f OK ...
    A> g STATUS INBOX (MESSAGES)
    A< * STATUS INBOX (MESSAGES 0)
    A< g OK ...
  )");
}

TEST(Search, LooksAtFlagsSizesAndSets) {
  Transcript t;
  for (int i = 0; i < 5; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 2,4 +FLAGS.SILENT (\Flagged $Work)
    A<* b OK ...
    A> c SEARCH FLAGGED
    A< * SEARCH 2 4
    A< c OK ...
    A> d UID SEARCH NOT FLAGGED 2:*
    A< * SEARCH 3 5
    A< d OK ...
    A> e SEARCH OR (KEYWORD $work 1:3) UID 5
    A< * SEARCH 2 5
    A< e OK ...
    A> f SEARCH KEYWORD $Never
    A< * SEARCH
    A< f OK ...
    A> g SEARCH LARGER 100 SMALLER 100000 SINCE 14-Jan-2027 BEFORE 16-Jan-2027 SENTON 7-Feb-1994 RECENT UNSEEN 1
    A< * SEARCH 1
    A< g OK ...
    A> h SEARCH FLAGGED MODSEQ 1
    A< * OK [HIGHESTMODSEQ ...] ...
    A< * SEARCH 2 4 (MODSEQ ...)
    A< h OK ...
    A> i SEARCH CHARSET X-NONSENSE ALL
    A< i NO [BADCHARSET (US-ASCII UTF-8)] ...
  )");
}

TEST(Search, LooksIntoDecodedText) {
  Transcript t;
  t.deliver("INBOX", kMixed);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SEARCH CHARSET UTF-8 BODY "STRASSE"
    A< * SEARCH 1
    A< b OK ...
    A> c SEARCH BODY noon
    A< * SEARCH 2
    A< c OK ...
    A> d SEARCH BODY lunch
    A< * SEARCH
    A< d OK ...
    A> e SEARCH TEXT lunch
    A< * SEARCH 2
    A< e OK ...
    A> g SEARCH CHARSET UTF-8 TEXT {6+}
    A> innér
    A< * SEARCH 1
    A< g OK ...
    A> h SEARCH FROM bob SUBJECT unch HEADER Message-ID 1@ex
    A< * SEARCH 2
    A< h OK ...
    A> i SEARCH HEADER MIME-Version ""
    A< * SEARCH 1
    A< i OK ...
  )");
}

TEST(Search, FindsAddressesAsTheyAreMeant) {
  Transcript t;
  t.deliver("INBOX",
            "From: \"Smith, =?utf-8?q?B=C3=B6b?=\" (of sales) <bob (the builder) @ (here)\r\n example.test>\r\n"
            "To: Ann<@relay:ann@example.test>, carol@example.test (Carol)\r\n"
            "X-To: dave (x) @example.test\r\n\r\ntext\r\n");
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SEARCH FROM bob@example.test
    A< * SEARCH 1
    A< b OK ...
    A> c SEARCH FROM "<BOB@EXAMPLE"
    A< * SEARCH 1
    A< c OK ...
    A> d SEARCH FROM builder
    A< * SEARCH 1
    A< d OK ...
    A> e SEARCH TO "ann <ann@example.test>, carol <carol@example.test>"
    A< * SEARCH 1
    A< e OK ...
    A> f SEARCH CC bob@example.test
    A< * SEARCH
    A< f OK ...
    A> g SEARCH HEADER X-To dave@example.test
    A< * SEARCH
    A< g OK ...
    A> h SEARCH TEXT bob@example.test
    A< * SEARCH 1
    A< h OK ...
  )");
}

/// RFC 5032: the clock of these tests stands at 15 January 2027, 08:00.
TEST(Search, KnowsHowOldAMessageIs) {
  Transcript t;
  t.play(R"(
    A> a APPEND INBOX "15-Jan-2027 07:00:00 +0000" {3+}
    A> abc
    A< a OK ...
    A> b APPEND INBOX "15-Jan-2027 07:59:00 +0000" {3+}
    A> abc
    A< b OK ...
    A> c SELECT INBOX
    A<* c OK ...
    A> d SEARCH OLDER 3600
    A< * SEARCH 1
    A< d OK ...
    A> e SEARCH YOUNGER 60
    A< * SEARCH 2
    A< e OK ...
    A> f SEARCH YOUNGER 0
    A< f BAD ...
  )");
}

}  // namespace
}  // namespace postrider::imap
