// CONDSTORE and QRESYNC (RFC 7162): a client that was away is told exactly what it missed.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

/// "* OK [HIGHESTMODSEQ n]" of a SELECT; reads up to the tagged answer.
std::string select(Client& client, const std::string& mailbox, const std::string& parameters = "") {
  client.send("sel SELECT " + mailbox + parameters + "\r\n");
  std::string modseq;
  constexpr std::string_view kBegin = "* OK [HIGHESTMODSEQ ";
  for (std::string line = client.line(); !line.starts_with("sel "); line = client.line()) {
    if (line.starts_with(kBegin)) modseq = line.substr(kBegin.size(), line.find(']') - kBegin.size());
    if (line == "(closed)" || line == "(nothing)") break;
  }
  return modseq;
}

TEST(Qresync, TellsWhatVanishedAndWhatChanged) {
  Transcript t;
  for (int i = 0; i < 6; ++i) t.deliver("INBOX", kMessage);
  std::string modseq = select(t.session('A'), "INBOX");
  t.play(R"(
    A> a STORE 2,4 +FLAGS.SILENT (\Deleted)
    A< a OK ...
    A> b EXPUNGE
    A<* b OK ...
    A> c UID STORE 5 +FLAGS.SILENT (\Flagged)
    A< c OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    B> a SELECT INBOX (QRESYNC (1 1))
    B< a BAD ...
    B> b ENABLE QRESYNC
    B< * ENABLED QRESYNC
    B< b OK ...
  )");
  Client& b = t.session('B');
  std::string validity;
  b.send("v STATUS INBOX (UIDVALIDITY)\r\n");
  std::string line = b.line();
  size_t at = line.find("UIDVALIDITY ") + 12;
  validity = line.substr(at, line.find(')') - at);
  b.line();
  b.send("c SELECT INBOX (QRESYNC (" + validity + " " + modseq + "))\r\n");
  t.play(R"(
    B<* * OK [MAILBOXID ...] ...
    B< * VANISHED (EARLIER) 2,4
    B< * 3 FETCH (UID 5 FLAGS (\Flagged) MODSEQ (...))
    B< * 5 FETCH (UID 7 FLAGS (\Recent) MODSEQ (...))
    B< c OK [READ-WRITE] ...
  )");
  b.send("d SELECT INBOX (QRESYNC (" + validity + " " + modseq + " 3:6 (1,2 3,4)))\r\n");
  t.play(R"(
    B<* * OK [MAILBOXID ...] ...
    B< * VANISHED (EARLIER) 4
    B< * 3 FETCH (UID 5 FLAGS (\Flagged) MODSEQ (...))
    B< d OK [READ-WRITE] ...
  )");
  b.send("e SELECT INBOX (QRESYNC (7 " + modseq + "))\r\n");
  t.play(R"(
    B<* * OK [MAILBOXID ...] ...
    B< e OK [READ-WRITE] ...
  )");
  b.send("f SELECT INBOX (QRESYNC (" + validity + " 9000000000000000000))\r\n");
  t.play(R"(
    B<* * OK [MAILBOXID ...] ...
    B< f OK [READ-WRITE] ...
    B> g SELECT INBOX (QRESYNC (0 1))
    B< g BAD ...
    B> h SELECT INBOX (QRESYNC (1 0))
    B< h BAD ...
    B> i SELECT INBOX (QRESYNC (1))
    B< i BAD ...
  )");
  b.send("j UID FETCH 1:5 (FLAGS) (CHANGEDSINCE " + modseq + " VANISHED)\r\n");
  t.play(R"(
    B< * VANISHED (EARLIER) 2,4
    B< * 3 FETCH (UID 5 FLAGS (\Flagged) MODSEQ (...))
    B< j OK ...
    B> k UID FETCH 1:5 (FLAGS) (VANISHED)
    B< k BAD ...
    B> l FETCH 1:5 (FLAGS) (CHANGEDSINCE 1 VANISHED)
    B< l BAD ...
  )");
}

/// The log of changes was pruned: what is gone is told all the same.
TEST(Qresync, KnowsWhatIsGoneWithoutTheLog) {
  Transcript t;
  for (int i = 0; i < 5; ++i) t.deliver("INBOX", kMessage);
  std::string modseq = select(t.session('A'), "INBOX");
  t.play(R"(
    A> a STORE 3 +FLAGS.SILENT (\Deleted)
    A< a OK ...
    A> b EXPUNGE
    A<* b OK ...
    A> c UID STORE 4 +FLAGS.SILENT (\Flagged)
    A< c OK ...
    B> a ENABLE QRESYNC
    B<* a OK ...
  )");
  auto account = t.service().services().accounts.open(t.account());
  std::string validity = std::to_string(account->find_mailbox("INBOX")->uid_validity);
  account->maintain({0, 4'000'000'000});
  Client& b = t.session('B');
  b.send("c SELECT INBOX (QRESYNC (" + validity + " " + modseq + "))\r\n");
  t.play(R"(
    B<* * OK [MAILBOXID ...] ...
    B< * VANISHED (EARLIER) 3
    B< * 3 FETCH (UID 4 FLAGS (\Flagged) MODSEQ (...))
    B< c OK [READ-WRITE] ...
  )");
  b.send("d UID FETCH 1:* (FLAGS) (CHANGEDSINCE " + modseq + " VANISHED)\r\n");
  t.play(R"(
    B< * VANISHED (EARLIER) 3
    B< * 3 FETCH (UID 4 FLAGS (\Flagged) MODSEQ (...))
    B< d OK ...
  )");
}

TEST(Qresync, SaysVanishedInsteadOfExpunge) {
  Transcript t;
  for (int i = 0; i < 6; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a ENABLE QRESYNC
    B<* a OK ...
    B> b SELECT INBOX
    B<* b OK ...
    A> b STORE 2:3,5 +FLAGS.SILENT (\Deleted)
    A< b OK ...
    A> c UID EXPUNGE 2:3
    A< * 3 EXPUNGE
    A< * 2 EXPUNGE
    A< c OK ...
    B> c FETCH 1 UID
    B<* c OK ...
    B> d NOOP
    B< * VANISHED 2:3
    B< d OK ...
    B> e EXPUNGE
    B< * VANISHED 5
    B< e OK [HIGHESTMODSEQ ...] ...
    B> f UID MOVE 6 Archive
    B< * OK [COPYUID ... 6 1] ...
    B< * VANISHED 6
    B< f OK ...
    B> g STORE 1 +FLAGS.SILENT (\Deleted)
    B<* g OK ...
    B> h CLOSE
    B< h OK [HIGHESTMODSEQ ...] ...
  )");
}

TEST(Condstore, RefusesToChangeWhatOthersChanged) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  std::string modseq = select(t.session('A'), "INBOX");
  t.play(R"(
    B> a SELECT INBOX (CONDSTORE)
    B<* a OK ...
    A> a STORE 2 +FLAGS.SILENT (\Flagged)
    A< a OK ...
  )");
  Client& b = t.session('B');
  b.send("b STORE 1:3 (UNCHANGEDSINCE " + modseq + ") +FLAGS.SILENT (\\Seen)\r\n");
  t.play(R"(
    B<* b OK [MODIFIED 2] ...
    B> c UID STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\Draft)
    B<* c OK [MODIFIED 1:3] ...
    B> d UID STORE 1 (UNCHANGEDSINCE 9223372036854775807) +FLAGS.SILENT (\Draft)
    B< * 1 FETCH (UID 1 MODSEQ (...))
    B< d OK ...
    B> e UID STORE 1 (UNCHANGEDSINCE 9223372036854775808) +FLAGS.SILENT (\Draft)
    B< e BAD ...
  )");
}

}  // namespace
}  // namespace postrider::imap
