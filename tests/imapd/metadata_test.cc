// Annotations of mailboxes and of the server (RFC 5464, 9590).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Metadata, IsSetReadAndRemoved) {
  Transcript t;
  t.play(R"(
    A> a SETMETADATA INBOX (/private/comment "My comment" /shared/Comment "Everybody's")
    A< a OK ...
    A> b GETMETADATA INBOX (/shared/comment /PRIVATE/comment /private/other)
    A< * METADATA INBOX (/shared/comment "Everybody's" /private/comment "My comment" /private/other NIL)
    A< b OK ...
    A> c GETMETADATA "INBOX" /private/comment
    A< * METADATA INBOX (/private/comment "My comment")
    A< c OK ...
    A> d SETMETADATA INBOX (/private/comment NIL)
    A< d OK ...
    A> e GETMETADATA INBOX /private/comment
    A< * METADATA INBOX (/private/comment NIL)
    A< e OK ...
    A> f SETMETADATA Nowhere (/private/comment "x")
    A< f NO [NONEXISTENT] ...
    A> g GETMETADATA Nowhere /private/comment
    A< g NO [NONEXISTENT] ...
  )");
}

TEST(Metadata, IsFoundByDepthAndCutBySize) {
  Transcript t;
  t.play(R"(
    A> a SETMETADATA INBOX (/private/filters/values/small "SMALLER 5000" /private/filters/values/boss "FROM boss" /private/filters/values/a/b "x")
    A< a OK ...
    A> b GETMETADATA INBOX (DEPTH 1) (/private/filters/values)
    A< * METADATA INBOX (/private/filters/values/boss "FROM boss" /private/filters/values/small "SMALLER 5000")
    A< b OK ...
    A> c GETMETADATA (DEPTH infinity MAXSIZE 9) INBOX /private
    A< * METADATA INBOX (/private/filters/values/a/b "x" /private/filters/values/boss "FROM boss")
    A< c OK [METADATA LONGENTRIES 12] ...
    A> d GETMETADATA (MAXSIZE 3) INBOX /private/filters/values/boss
    A< d OK [METADATA LONGENTRIES 9] ...
    A> e GETMETADATA (DEPTH 2) INBOX /private
    A< e BAD ...
    A> f GETMETADATA (SIZE 2) INBOX /private
    A< f BAD ...
  )");
}

TEST(Metadata, HasLimitsAndRefusesWhatIsMalformed) {
  Transcript t;
  for (std::string_view entry : {"comment", "/other/comment", "/shared//comment", "/shared/comment/", "/shared/%",
                                 "/shared/*", "/shared", "/private"}) {
    Client& client = t.session('A');
    client.send(fmt::format("a SETMETADATA INBOX ({} \"x\")\r\n", entry));
    EXPECT_TRUE(client.line().starts_with("a BAD ")) << entry;
  }
  std::string long_value(40'000, 'x');
  Client& client = t.session('A');
  client.send(fmt::format("b SETMETADATA INBOX (/shared/comment {{{}+}}\r\n{})\r\n", long_value.size(), long_value));
  EXPECT_TRUE(fits(client.line(), "b NO [METADATA MAXSIZE 32768] ..."));
  for (int i = 0; i < 200; ++i) {
    client.send(fmt::format("c SETMETADATA INBOX (/private/n{} \"x\")\r\n", i));
    ASSERT_TRUE(client.line().starts_with("c OK"));
  }
  client.send("d SETMETADATA INBOX (/private/n1 \"y\" /private/more \"x\")\r\n");
  EXPECT_TRUE(fits(client.line(), "d NO [METADATA TOOMANY] ..."));
  client.send("e GETMETADATA INBOX /private/n1\r\n");  // all of a command or nothing
  EXPECT_EQ(client.line(), "* METADATA INBOX (/private/n1 \"x\")");
}

TEST(Metadata, HoldsAnyOctets) {
  Transcript t;
  Client& client = t.session('A');
  client.send(std::string_view("a SETMETADATA INBOX (/shared/vendor/x/bin ~{4+}\r\na\0\r\n)\r\n", 56));
  EXPECT_TRUE(client.line().starts_with("a OK"));
  client.send("b GETMETADATA INBOX /shared/vendor/x/bin\r\n");
  EXPECT_EQ(client.line(), "* METADATA INBOX (/shared/vendor/x/bin ~{4}");
  EXPECT_EQ(client.octets(7), std::string_view("a\0\r\n)\r\n", 7));
}

TEST(Metadata, OfTheServerIsTheAdministratorsOrOnesOwn) {
  Transcript t;
  t.play(R"(
    A> a GETMETADATA "" /shared/admin
    A< * METADATA "" (/shared/admin "mailto:postmaster@example.test")
    A< a OK ...
    A> b SETMETADATA "" (/shared/comment "Mine")
    A< b NO [NOPERM] ...
    A> c SETMETADATA "" (/private/vendor/x/colour "blue")
    A< c OK ...
    A> d GETMETADATA "" /private/vendor/x/colour
    A< * METADATA "" (/private/vendor/x/colour "blue")
    A< d OK ...
    b> e GETMETADATA "" /private/vendor/x/colour
    b< * METADATA "" (/private/vendor/x/colour NIL)
    b< e OK ...
  )");
}

TEST(Metadata, StaysWithAMailboxThatIsRenamed) {
  Transcript t;
  t.play(R"(
    A> a CREATE Work
    A< a OK ...
    A> b SETMETADATA Work (/private/comment "x")
    A< b OK ...
    A> c RENAME Work Play
    A< c OK ...
    A> d CREATE Work
    A< d OK ...
    A> e LIST "" "%" RETURN (METADATA (/private/comment))
    A< * LIST (\HasNoChildren \Archive) "/" Archive
    A< * METADATA Archive (/private/comment NIL)
    A<* * METADATA Play (/private/comment "x")
    A<* * METADATA Work (/private/comment NIL)
    A< e OK ...
    A> f LIST "" "Play" RETURN (METADATA /private/comment STATUS (MESSAGES) MYRIGHTS)
    A< * LIST (\HasNoChildren) "/" Play
    A< * STATUS Play (MESSAGES 0)
    A< * MYRIGHTS Play lrswipkxteacd
    A< * METADATA Play (/private/comment "x")
    A< f OK ...
  )");
}

TEST(Metadata, IsToldToWhoSaidNotify) {
  Transcript t;
  t.play(R"(
    A> a NOTIFY SET (personal (MailboxMetadataChange ServerMetadataChange))
    A< a OK ...
    B> a SETMETADATA Sent (/private/comment "x" /shared/comment "y")
    B< a OK ...
    A< * METADATA Sent /private/comment
    A< * METADATA Sent /shared/comment
    B> b SETMETADATA "" (/private/comment "x")
    B< b OK ...
    A< * METADATA "" /private/comment
    B> c SETMETADATA Sent (/private/comment NIL)
    B< c OK ...
    A< * METADATA Sent /private/comment
  )");
}

}  // namespace
}  // namespace postrider::imap
