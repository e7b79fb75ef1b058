// GENURLAUTH, URLFETCH, RESETKEY (RFC 4467), and CATENATE with such URLs.
#include <gtest/gtest.h>

#include "store/message_url.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kRump = "imap://alice%40example.test@mail.example.test/INBOX/;UID=1";
constexpr std::string_view kText = "/;SECTION=TEXT";

struct UrlAuth : testing::Test {
  UrlAuth() { t.deliver("INBOX", kMessage); }

  /// The one URL that GENURLAUTH makes of a rump.
  std::string authorized(std::string_view rump, char who = 'A') {
    Client& client = t.session(who);
    client.send(fmt::format("g GENURLAUTH \"{}\" INTERNAL\r\n", rump));
    std::string line = client.line();
    EXPECT_TRUE(fits(line, "* GENURLAUTH ...imap://...:INTERNAL:01...")) << line;
    EXPECT_TRUE(fits(client.line(), "g OK ..."));
    std::erase(line, '"');  // it is an atom where that can be
    return line.substr(std::min(line.size(), std::string_view("* GENURLAUTH ").size()));
  }
  std::string for_access(std::string_view access) { return fmt::format("{}{};URLAUTH={}", kRump, kText, access); }

  /// What URLFETCH gives; "NIL" for nothing.
  std::string fetched(const std::string& url, char who = 'A') {
    Client& client = t.session(who);
    client.send(fmt::format("f URLFETCH \"{}\"\r\n", url));
    std::string line = client.line();
    std::string content = "NIL";
    if (line.ends_with("}")) {
      const size_t brace = line.rfind('{');
      content = client.octets(std::stoul(line.substr(brace + 1)));
      EXPECT_EQ(client.line(), "");
    } else {
      std::erase(line, '"');
      EXPECT_EQ(line, fmt::format("* URLFETCH {} NIL", url));
    }
    EXPECT_TRUE(fits(client.line(), "f OK ..."));
    return content;
  }

  Transcript t;
};

TEST_F(UrlAuth, LetsThoseReadWhomTheUrlNames) {
  const std::string anyone = authorized(for_access("anonymous"));
  const std::string users = authorized(for_access("authuser"));
  const std::string bob = authorized(for_access("user+bob%40example.test"));
  const std::string submission = authorized(for_access("submit+bob%40example.test"));
  for (char who : {'A', 'b', '1'}) {
    EXPECT_EQ(fetched(anyone, who), "At noon?\r\n") << who;
    EXPECT_EQ(fetched(users, who), "At noon?\r\n") << who;
    EXPECT_EQ(fetched(bob, who), who == 'b' ? "At noon?\r\n" : "NIL") << who;
    EXPECT_EQ(fetched(submission, who), "NIL") << "for mta alone, and it is not " << who;
  }
}

TEST_F(UrlAuth, GivesWholeMessagesPartsAndPieces) {
  const std::string whole = fetched(authorized(fmt::format("{};URLAUTH=anonymous", kRump)), 'b');
  EXPECT_EQ(whole, "Delivered-To: alice@example.test\r\n" + std::string(kMessage));
  EXPECT_EQ(fetched(authorized(fmt::format("{}/;PARTIAL=0.9;URLAUTH=anonymous", kRump)), 'b'), "Delivered");
  EXPECT_EQ(fetched(authorized(fmt::format("{}{}/;PARTIAL=3;URLAUTH=anonymous", kRump, kText)), 'b'), "noon?\r\n");
  EXPECT_EQ(fetched(authorized(fmt::format("{}{}/;PARTIAL=99.5;URLAUTH=anonymous", kRump, kText)), 'b'), "");
  EXPECT_EQ(fetched(authorized(fmt::format("{}/;SECTION=2;URLAUTH=anonymous", kRump)), 'b'), "NIL");
  EXPECT_EQ(fetched(authorized("imap://alice@example.test@MAIL.example.test:143/inbox/;UID=2;URLAUTH=anonymous"), 'b'),
            "NIL");
}

TEST_F(UrlAuth, SendsLargeMessages) {
  std::string large = "Subject: large\r\n\r\n";
  while (large.size() < 700'000) large += std::string(70, static_cast<char>('a' + large.size() % 26)) + "\r\n";
  t.deliver("INBOX", large);
  const std::string url =
      authorized("imap://alice%40example.test@mail.example.test/INBOX/;UID=2/;SECTION=TEXT;URLAUTH=authuser");
  EXPECT_EQ(fetched(url, 'b'), large.substr(large.find("\r\n\r\n") + 4));
}

TEST_F(UrlAuth, SeveralAtOnce) {
  const std::string one = authorized(for_access("authuser"));
  Client& client = t.session('b');
  client.send(fmt::format("f URLFETCH {} \"{}\" nonsense \"{}\"\r\n", "/INBOX/;UID=1", one, one));
  EXPECT_EQ(client.line(), fmt::format("* URLFETCH /INBOX/;UID=1 NIL \"{}\" {{10}}", one));
  EXPECT_EQ(client.line(), "At noon?");
  EXPECT_EQ(client.line(), fmt::format(" nonsense NIL \"{}\" {{10}}", one));
  EXPECT_EQ(client.line(), "At noon?");
  EXPECT_EQ(client.line(), "");
  EXPECT_TRUE(fits(client.line(), "f OK ..."));
}

TEST_F(UrlAuth, WhatWasChangedIsGoodForNothing) {
  const std::string url = authorized(for_access("user+bob%40example.test"));
  ASSERT_EQ(fetched(url, 'b'), "At noon?\r\n");
  const auto with = [&](std::string_view what, std::string_view instead) {
    std::string changed = url;
    changed.replace(changed.find(what), what.size(), instead);
    return changed;
  };
  EXPECT_EQ(fetched(with("user+bob%40example.test", "anonymous"), '1'), "NIL");
  EXPECT_EQ(fetched(with("/;SECTION=TEXT", ""), 'b'), "NIL");
  EXPECT_EQ(fetched(with("UID=1", "uid=1"), 'b'), "NIL");
  EXPECT_EQ(fetched(with("INBOX", "Drafts"), 'b'), "NIL");
  EXPECT_EQ(fetched(with("mail.example.test", "mail.other.test"), 'b'), "NIL");
  EXPECT_EQ(fetched(with("alice%40", "carol%40"), 'b'), "NIL");
  std::string other = url;
  other.back() = other.back() == '0' ? '1' : '0';
  EXPECT_EQ(fetched(other, 'b'), "NIL");
  other.pop_back();
  EXPECT_EQ(fetched(other, 'b'), "NIL");
  EXPECT_EQ(fetched(for_access("anonymous"), 'b'), "NIL") << "never authorized";
  EXPECT_EQ(fetched(std::string(kRump)), "NIL") << "not even for its owner: that is what FETCH is for";
}

TEST_F(UrlAuth, HasAnEnd) {
  const auto until = [](std::string_view time) {
    return fmt::format("{}{};EXPIRE={};URLAUTH=anonymous", kRump, kText, time);
  };
  // It is 15 January 2027, 08:00.
  EXPECT_EQ(fetched(authorized(until("2027-01-15T08:00:01Z")), 'b'), "At noon?\r\n");
  EXPECT_EQ(fetched(authorized(until("2027-01-15T09:00:01+01:00")), 'b'), "At noon?\r\n");
  EXPECT_EQ(fetched(authorized(until("2027-01-15T07:59:59Z")), 'b'), "NIL");
  EXPECT_EQ(fetched(authorized(until("2027-01-15T08:59:59+01:00")), 'b'), "NIL");
}

TEST_F(UrlAuth, IsForTheMailboxesOfWhoAsks) {
  t.play(R"(
    A> s SETACL INBOX bob@example.test lr
    A< s OK ...
    b> a GENURLAUTH "imap://alice%40example.test@mail.example.test/INBOX/;UID=1;URLAUTH=anonymous" INTERNAL
    b< a BAD That is no URL ...
    b> b GENURLAUTH "imap://nobody%40example.test@mail.example.test/INBOX/;UID=1;URLAUTH=anonymous" INTERNAL
    b< b BAD That is no URL ...
    b> c GENURLAUTH "imap://bob%40example.test@mail.example.test/Nothing/;UID=1;URLAUTH=anonymous" INTERNAL
    b< c BAD That is no URL ...
    b> d GENURLAUTH "imap://bob%40example.test@mail.example.test/Other%20users%2Falice@example.test%2FINBOX/;UID=1;URLAUTH=anonymous" INTERNAL
    b< d BAD That is no URL ...
    b> e GENURLAUTH "imap://bob%40example.test@mail.other.test/INBOX/;UID=1;URLAUTH=anonymous" INTERNAL
    b< e BAD That is no URL ...
    b> f GENURLAUTH "imap://bob%40example.test@mail.example.test/INBOX/;UID=1" INTERNAL
    b< f BAD That is no URL ...
    b> g GENURLAUTH "imap://bob%40example.test@mail.example.test/INBOX;URLAUTH=anonymous" INTERNAL
    b< g BAD That is no URL ...
    b> h GENURLAUTH "imap://bob%40example.test@mail.example.test/INBOX/;UID=1;URLAUTH=anonymous" XSAMPLE
    b< h BAD That is no URL ...
    b> i GENURLAUTH "imap://bob%40example.test@mail.example.test/INBOX/;UID=1;URLAUTH=anonymous"
    b< i BAD ...
    b> j URLFETCH
    b< j BAD ...
    b> k GENURLAUTH "imap://bob%40example.test@mail.example.test/INBOX/;UID=1;URLAUTH=anonymous" internal "imap://bob%40example.test@mail.example.test/Drafts/;UID=7;URLAUTH=authuser" INTERNAL
    b< * GENURLAUTH "...:INTERNAL:01..." "...authuser:INTERNAL:01..."
    b< k OK ...
  )");
}

TEST_F(UrlAuth, EndsWithItsKey) {
  t.deliver("Drafts", kMessage);
  const std::string inbox = authorized(for_access("anonymous"));
  const std::string drafts =
      authorized("imap://alice%40example.test@mail.example.test/Drafts/;UID=1/;SECTION=TEXT;URLAUTH=anonymous");
  t.play(R"(
    A> a RESETKEY INBOX INTERNAL
    A< a OK ...
    A> b RESETKEY Nowhere
    A< b NO [NONEXISTENT] ...
    A> c RESETKEY INBOX XSAMPLE
    A< c NO ...
    b> d RESETKEY "Other users/alice@example.test/INBOX"
    b< d NO [NONEXISTENT] ...
    b> e RESETKEY "Other users/nobody@example.test/INBOX"
    b< e NO [NONEXISTENT] ...
  )");
  EXPECT_EQ(fetched(inbox, 'b'), "NIL");
  EXPECT_EQ(fetched(drafts, 'b'), "At noon?\r\n");
  const std::string again = authorized(for_access("anonymous"));
  EXPECT_NE(again, inbox);
  EXPECT_EQ(fetched(inbox, 'b'), "NIL");
  EXPECT_EQ(fetched(again, 'b'), "At noon?\r\n");
  t.play(R"(
    A> a SELECT INBOX
    A<* * OK [URLMECH INTERNAL] ...
    A<* a OK ...
    A> b RESETKEY
    A< * OK [URLMECH INTERNAL] ...
    A< b OK ...
  )");
  EXPECT_EQ(fetched(again, 'b'), "NIL");
  EXPECT_EQ(fetched(drafts, 'b'), "NIL");
}

TEST_F(UrlAuth, TellsAllSessionsOfTheMailboxThatItsKeyIsAnother) {
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
    C> a SELECT Drafts
    C<* a OK ...
  )");
  const std::string url = authorized(for_access("anonymous"));
  t.play(R"(
    B> b IDLE
    B< + ...
    C> b NOOP
    C< b OK ...
    A> b RESETKEY INBOX
    A< * OK [URLMECH INTERNAL] ...
    A< b OK ...
    B< * OK [URLMECH INTERNAL] ...
    B> DONE
    B< b OK ...
    C> c NOOP
    C< c OK ...
    A> c NOOP
    A< c OK ...
  )");
  EXPECT_EQ(fetched(url, 'B'), "NIL");
  const std::string again = authorized(for_access("anonymous"), 'B');
  t.play(R"(
    A> d NOOP
    A< d OK ...
    C> d RESETKEY INBOX
    C< d OK ...
    A> e NOOP
    A< * OK [URLMECH INTERNAL] ...
    A< e OK ...
    A> f NOOP
    A< f OK ...
  )");
  EXPECT_EQ(fetched(again, 'A'), "NIL");
}

TEST_F(UrlAuth, FollowsTheMailboxThatWasRenamedAndNotOneOfItsName) {
  t.play(R"(
    A> a CREATE Work
    A<* a OK ...
    A> b UID COPY 1 Work
    A< b BAD ...
    A> c SELECT INBOX
    A<* c OK ...
    A> d UID COPY 1 Work
    A< d OK ...
  )");
  const std::string url =
      authorized("imap://alice%40example.test@mail.example.test/Work/;UID=1/;SECTION=TEXT;URLAUTH=anonymous");
  EXPECT_EQ(fetched(url, 'b'), "At noon?\r\n");
  t.play(R"(
    A> a RENAME Work Play
    A<* a OK ...
    A> b CREATE Work
    A<* b OK ...
    A> c UID COPY 1 Work
    A< c OK ...
  )");
  EXPECT_EQ(fetched(url, 'b'), "NIL") << "the new mailbox has no key";
}

TEST_F(UrlAuth, AnAccountThatIsClosedHasNoUrls) {
  const std::string url = authorized(for_access("anonymous"));
  EXPECT_EQ(fetched(url, 'b'), "At noon?\r\n");
  t.service().services().directory.with(
      [](store::Directory& directory) { EXPECT_TRUE(directory.set_enabled("alice@example.test", false)); });
  EXPECT_EQ(fetched(url, 'b'), "NIL");
}

TEST_F(UrlAuth, CatenateTakesSuchUrls) {
  const std::string for_bob = authorized(for_access("user+bob%40example.test"));
  for (char who : {'b', '1'}) {
    Client& client = t.session(who);
    client.send(fmt::format("a APPEND Drafts CATENATE (TEXT {{9+}}\r\nA: b\r\n\r\nx URL \"{}\")\r\n", for_bob));
    const std::string answer = client.line();
    EXPECT_TRUE(fits(answer, who == 'b' ? "a OK [APPENDUID ... 1] ..." : "a NO [BADURL ...] ...")) << answer;
  }
  t.play(R"(
    b> b SELECT Drafts
    b<* b OK ...
    b> c FETCH 1 BODY.PEEK[TEXT]
    b< * 1 FETCH (BODY[TEXT] {11}
    b< xAt noon?
    b< )
    b< c OK ...
    A> d APPEND Drafts CATENATE (URL "imap://alice%40example.test@mail.example.test/INBOX/;UID=1")
    A< d OK [APPENDUID ... 1] ...
    b> e APPEND Drafts CATENATE (URL "imap://alice%40example.test@mail.example.test/INBOX/;UID=1")
    b< e NO [BADURL ...] ...
  )");
}

}  // namespace
}  // namespace postrider::imap
