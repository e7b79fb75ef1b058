// Before and during login (RFC 3501 6.1, 6.2).
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Login, GreetsWithWhatWorks) {
  Transcript t;
  Client client(t.port());
  std::string greeting = client.line();
  EXPECT_TRUE(fits(greeting, "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ... AUTH=PLAIN...] mail.example.test ..."))
      << greeting;
  EXPECT_FALSE(fits(greeting, "...STARTTLS...")) << "there is no certificate";
}

TEST(Login, TakesNameAndPassword) {
  Transcript t;
  Client& c = t.stranger('A');
  c.send("a LOGIN ALICE@Example.Test \"secret\"\r\n");
  EXPECT_TRUE(fits(c.line(), "a OK [CAPABILITY ...UIDPLUS...] Welcome."));
}

TEST(Login, SaysTheSameForAnUnknownUserAndAWrongPassword) {
  Transcript t;
  Client& c = t.stranger('A');
  c.send("a LOGIN alice@example.test wrong\r\na LOGIN nobody@example.test secret\r\n");
  std::string wrong = c.line();
  EXPECT_TRUE(fits(wrong, "a NO [AUTHENTICATIONFAILED] ..."));
  EXPECT_EQ(c.line(), wrong);
}

TEST(Login, HangsUpAfterFiveFailures) {
  Transcript t;
  Client& c = t.stranger('A');
  for (int i = 0; i < 4; ++i) {
    c.send("a LOGIN alice@example.test wrong\r\n");
    EXPECT_TRUE(fits(c.line(), "a NO ..."));
  }
  c.send("a LOGIN alice@example.test wrong\r\n");
  EXPECT_TRUE(fits(c.line(), "* BYE ..."));
}

TEST(Login, TakesPlainWithAndWithoutInitialResponse) {
  Transcript t;
  std::string response = base64_encode(std::string("\0alice@example.test\0secret", 26));
  Client& a = t.stranger('A');
  a.send("a AUTHENTICATE PLAIN " + response + "\r\n");
  EXPECT_TRUE(fits(a.line(), "a OK ..."));
  Client& b = t.stranger('B');
  b.send("a AUTHENTICATE PLAIN\r\n");
  EXPECT_EQ(b.line(), "+ ");
  b.send(response + "\r\nb SELECT INBOX\r\n");
  EXPECT_TRUE(fits(b.line(), "a OK ..."));
}

TEST(Login, GoesOnAfterACancelledOrMalformedExchange) {
  Transcript t;
  Client& c = t.stranger('A');
  c.send("a AUTHENTICATE PLAIN\r\n*\r\nb AUTHENTICATE PLAIN\r\n!!!\r\nc AUTHENTICATE NONSENSE\r\nd NOOP\r\n");
  EXPECT_EQ(c.line(), "+ ");
  EXPECT_TRUE(fits(c.line(), "a BAD ..."));
  EXPECT_EQ(c.line(), "+ ");
  EXPECT_TRUE(fits(c.line(), "b BAD ..."));
  EXPECT_TRUE(fits(c.line(), "c NO ..."));
  EXPECT_TRUE(fits(c.line(), "d OK ..."));
}

TEST(Login, LetsNobodyDoAnythingBefore) {
  Transcript t;
  Client& c = t.stranger('A');
  for (std::string command :
       {"SELECT INBOX", "LIST \"\" *", "FETCH 1 FLAGS", "IDLE", "ENABLE CONDSTORE", "NAMESPACE"}) {
    c.send("a " + command + "\r\n");
    EXPECT_EQ(c.line(), "a BAD Please log in first.") << command;
  }
}

TEST(Login, StaysInSyncWithLargeLiterals) {
  Transcript t;
  Client& c = t.stranger('A');
  for (int i = 0; i < 10; ++i) {
    c.send("a LOGIN {1000000}\r\n");
    EXPECT_TRUE(fits(c.line(), "a BAD ..."));
  }
  c.send("b NOOP\r\n");
  EXPECT_TRUE(fits(c.line(), "b OK ..."));
}

TEST(Login, NeverReadsARefusedLiteralAsCommands) {
  Transcript t;
  Client& c = t.stranger('A');
  c.send("a LOGIN {100000+}\r\nb LOGIN alice@example.test secret\r\n");
  EXPECT_TRUE(fits(c.line(), "a BAD ..."));
  EXPECT_TRUE(fits(c.line(), "* BYE ..."));
  EXPECT_EQ(c.line(), "(closed)");
}

TEST(Login, SendsAwayWhoSpeaksAnotherLanguage) {
  Transcript t;
  Client& c = t.stranger('A');
  for (int i = 0; i < 30; ++i) c.send("GET / HTTP/1.1\r\n");
  std::string line = c.line();
  while (fits(line, "GET BAD ...")) line = c.line();
  EXPECT_TRUE(fits(line, "* BYE ...")) << line;
}

TEST(Login, LimitsTheConnectionsOfAUserInWords) {
  Transcript::Options options;
  options.max_connections_per_user = 2;
  Transcript t(options);
  t.session('A');
  t.session('B');
  Client& c = t.stranger('C');
  c.send("a LOGIN alice@example.test secret\r\n");
  EXPECT_TRUE(fits(c.line(), "* OK [ALERT] alice@example.test has 2 connections open..."));
  EXPECT_TRUE(fits(c.line(), "a NO [LIMIT] ..."));
}

TEST(Login, OffersStartTlsWithACertificate) {
  Transcript::Options options;
  options.tls = true;
  Transcript t(options);
  Client client(t.port());
  EXPECT_TRUE(fits(client.line(), "...STARTTLS..."));
  client.send("a STARTTLS\r\nb LOGIN alice@example.test secret\r\n");
  EXPECT_TRUE(fits(client.line(), "a OK ..."));
  client.send("c NOOP\r\n");
  EXPECT_EQ(client.line(), "(closed)")
      << "what came before the handshake is dropped, what comes instead of one ends it";
}

TEST(Login, TakesNoPasswordInClearFromAnotherMachine) {
  Transcript::Options options;
  options.tls = true;
  Transcript t(options);
  t.service().services().loopback_is_private = false;  // now this machine is one like any other
  Client c(t.port());
  std::string greeting = c.line();
  EXPECT_TRUE(fits(greeting, "...STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256]...")) << greeting;
  std::string response = base64_encode(std::string("\0alice@example.test\0secret", 26));
  for (const std::string& command : {std::string("LOGIN alice@example.test secret"), "AUTHENTICATE PLAIN " + response,
                                     std::string("AUTHENTICATE LOGIN")}) {
    c.send("a " + command + "\r\n");
    EXPECT_TRUE(fits(c.line(), "a NO [PRIVACYREQUIRED] ...")) << command;
  }
}

TEST(Session, EndsWhenItsAccountIsClosed) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
  )");
  auto& directory = t.service().services().directory;
  directory.with([](store::Directory& d) { EXPECT_TRUE(d.set_quota("alice@example.test", 1'000)); });
  Client& c = t.session('A');
  c.send("b APPEND INBOX {1200+}\r\n" + std::string(1'200, 'x') + "\r\n");
  EXPECT_TRUE(fits(c.line(), "b NO [OVERQUOTA] ..."));
  directory.with([](store::Directory& d) { EXPECT_TRUE(d.set_enabled("alice@example.test", false)); });
  t.play(R"(
    A> c NOOP
    A< * BYE ...
    A< (closed)
  )");
}

TEST(Unauthenticate, MakesNobodyOfSomebody) {
  Transcript t;
  t.play(R"(
    A> a ENABLE CONDSTORE UIDONLY
    A<* a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c UNAUTHENTICATE
    A< c OK [CAPABILITY IMAP4rev1 ... AUTH=PLAIN ...] ...
    A> d SELECT INBOX
    A< d BAD Please log in first.
    A> e LOGIN alice@example.test secret
    A< e OK ...
    A> f FETCH 1 FLAGS
    A< f BAD No mailbox is selected.
    A> g SELECT INBOX
    A<* g OK ...
    A> h SEARCH ALL
    A< * SEARCH
    A< h OK ...
  )");
}

TEST(Language, IsEnglish) {
  Transcript t;
  Client& c = t.stranger('B');
  c.send("a LANGUAGE\r\nb LANGUAGE fr en-GB\r\n");
  EXPECT_EQ(c.line(), "* LANGUAGE (EN I-DEFAULT)");
  EXPECT_TRUE(fits(c.line(), "a OK ..."));
  EXPECT_EQ(c.line(), "* LANGUAGE (EN)");
  EXPECT_TRUE(fits(c.line(), "b OK ..."));
  t.play(R"(
    A> a LANGUAGE default
    A< * LANGUAGE (I-DEFAULT)
    A< * NAMESPACE (("" "/")) (("Other users/" "/")) NIL
    A< a OK ...
    A> b LANGUAGE fr
    A< b NO ...
  )");
}

TEST(Comparator, IsUnicodeCasemap) {
  Transcript t;
  t.play(R"(
    A> a COMPARATOR
    A< * COMPARATOR "i;unicode-casemap"
    A< a OK ...
    A> b COMPARATOR "i;octet" "I;UNI*"
    A< * COMPARATOR "i;unicode-casemap"
    A< b OK ...
    A> c COMPARATOR default
    A< * COMPARATOR "i;unicode-casemap"
    A< c OK ...
    A> d COMPARATOR "cz;*" i;octet
    A< d NO [BADCOMPARATOR] ...
  )");
}

TEST(Session, SaysGoodbye) {
  Transcript t;
  t.play(R"(
    A> a LOGOUT
    A< * BYE ...
    A< a OK ...
    A< (closed)
  )");
}

TEST(Session, HearsThatTheServerGoesDown) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b IDLE
    A< + ...
    B> a NOOP
    B< a OK ...
  )");
  t.stop();
  t.play(R"(
    A< * BYE ...
    A< (closed)
    B< * BYE ...
    B< (closed)
  )");
}

TEST(Session, AnswersTheCommandsThatNeedNothing) {
  Transcript t;
  t.play(R"(
    A> a ID ("name" "test" "version" NIL)
    A< * ID ("name" "Postrider"...)
    A< a OK ...
    A> b NAMESPACE
    A< * NAMESPACE (("" "/")) (("Other users/" "/")) NIL
    A< b OK ...
    A> c ENABLE CONDSTORE X-NONSENSE
    A< * ENABLED CONDSTORE
    A< c OK ...
    A> d CAPABILITY
    A< * CAPABILITY IMAP4rev1 ...
    A< d OK ...
    A> e NONSENSE
    A< e BAD ...
    A> f FETCH 1 FLAGS
    A< f BAD No mailbox is selected.
    A> g LOGIN a b
    A< g BAD You are logged in already.
  )");
}

}  // namespace
}  // namespace postrider::imap
