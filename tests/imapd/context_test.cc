// Searches that are kept up to date (RFC 5267 4.3).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Context, TellsWhatComesToASearchAndLeavesIt) {
  Transcript t;
  for (int i = 0; i < 4; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UID SEARCH RETURN (UPDATE COUNT) UNFLAGGED UNDELETED
    A< * ESEARCH (TAG "b") UID COUNT 4
    A< b OK ...
    A> c SEARCH RETURN (UPDATE) FLAGGED
    A< * ESEARCH (TAG "c")
    A< c OK ...
    A> d STORE 2 +FLAGS.SILENT (\Flagged)
    A< * ESEARCH (TAG "b") UID REMOVEFROM (0 2)
    A< * ESEARCH (TAG "c") ADDTO (0 2)
    A< d OK ...
    B> a SELECT INBOX
    B<* a OK ...
    B> b STORE 2 -FLAGS.SILENT (\Flagged)
    B< b OK ...
    B> c STORE 4 +FLAGS.SILENT (\Draft)
    B< c OK ...
    A> e NOOP
    A< * 2 FETCH (UID 2 FLAGS (\Recent))
    A< * 4 FETCH (UID 4 FLAGS (\Draft \Recent))
    A< * ESEARCH (TAG "b") UID ADDTO (0 2)
    A< * ESEARCH (TAG "c") REMOVEFROM (0 2)
    A< e OK ...
  )");
  t.deliver("INBOX", kMessage);
  auto account = t.service().services().accounts.open(t.account());
  store::Edit edit(*account);
  edit.remove(account->find_mailbox("INBOX")->id, {{1, 1}});
  edit.commit();
  t.play(R"(
    A> f NOOP
    A< * ESEARCH (TAG "b") UID REMOVEFROM (0 1)
    A< * 1 EXPUNGE
    A< * 4 EXISTS
    A< * 4 RECENT
    A< * ESEARCH (TAG "b") UID ADDTO (0 5)
    A< f OK ...
    A> g CANCELUPDATE "b"
    A< g OK ...
    A> h CANCELUPDATE "b"
    A< h BAD ...
    A> i STORE 1 +FLAGS.SILENT (\Flagged)
    A< * ESEARCH (TAG "c") ADDTO (0 1)
    A< i OK ...
    A> j SEARCH RETURN (UPDATE COUNT) 1:2
    A< * ESEARCH (TAG "j") COUNT 2
    A< * NO [NOUPDATE "j"] ...
    A< j OK ...
    A> l SELECT INBOX
    A<* l OK ...
    A> m STORE 1 -FLAGS.SILENT (\Flagged)
    A< m OK ...
  )");
}

TEST(Context, KeepsASortInOrder) {
  Transcript t;
  for (std::string_view subject : {"delta", "alpha", "Re: charlie"})
    t.deliver("INBOX", fmt::format("Subject: {}\r\n\r\nx\r\n", subject));
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNFLAGGED
    A< * ESEARCH (TAG "b") UID ALL 2:3,1
    A< b OK ...
    A> c UID STORE 3 +FLAGS.SILENT (\Flagged)
    A< * ESEARCH (TAG "b") UID REMOVEFROM (2 3)
    A< c OK ...
  )");
  t.deliver("INBOX", "Subject: bravo\r\n\r\nx\r\n");
  t.play(R"(
    A> d NOOP
    A<* * ESEARCH (TAG "b") UID ADDTO (2 4)
    A< d OK ...
    A> e UID STORE 3 -FLAGS.SILENT (\Flagged)
    A< * ESEARCH (TAG "b") UID ADDTO (3 3)
    A< e OK ...
    A> f UID STORE 2 +FLAGS.SILENT (\Deleted)
    A< f OK ...
    A> g EXPUNGE
    A< * ESEARCH (TAG "b") UID REMOVEFROM (1 2)
    A< * 2 EXPUNGE
    A< g OK ...
    A> h UID SORT (SUBJECT) UTF-8 UNFLAGGED
    A< * SORT 4 3 1
    A< h OK ...
  )");
}

TEST(Context, HasALimit) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
  )");
  Client& c = t.session('A');
  for (int i = 0; i < 10; ++i) {
    c.send(fmt::format("k{} SEARCH RETURN (UPDATE) FLAGGED\r\n", i));
    EXPECT_EQ(c.line(), fmt::format("* ESEARCH (TAG \"k{}\")", i));
    EXPECT_EQ(c.line(), fmt::format("k{} OK That is all.", i));
  }
  t.play(R"(
    A> b SEARCH RETURN (UPDATE) FLAGGED
    A< * ESEARCH (TAG "b")
    A< * NO [NOUPDATE "b"] ...
    A< b OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
