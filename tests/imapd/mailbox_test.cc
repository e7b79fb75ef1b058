// Mailboxes as things with names (RFC 3501 6.3).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(List, ShowsWhatANewAccountHas) {
  Transcript t;
  t.play(R"(
    A> a LIST "" *
    A< * LIST (\HasNoChildren \Archive) "/" Archive
    A< * LIST (\HasNoChildren \Drafts) "/" Drafts
    A< * LIST (\HasNoChildren) "/" INBOX
    A< * LIST (\HasNoChildren \Junk) "/" Junk
    A< * LIST (\HasNoChildren \Sent) "/" Sent
    A< * LIST (\HasNoChildren \Trash) "/" Trash
    A< a OK ...
    A> b LIST "" ""
    A< * LIST (\Noselect) "/" ""
    A< b OK ...
    A> c LIST "" inb%
    A< * LIST (\HasNoChildren) "/" INBOX
    A< c OK ...
  )");
}

TEST(List, HasTheExtendedForm) {
  Transcript t;
  t.play(R"(
    A> a CREATE Work/Plans
    A< a OK ...
    A> b LIST (SUBSCRIBED) "" "S*" RETURN (CHILDREN)
    A< * LIST (\Subscribed \HasNoChildren \Sent) "/" Sent
    A< b OK ...
    A> c LIST (SPECIAL-USE) "" ("Tr*" "W*")
    A< * LIST (\HasNoChildren \Trash) "/" Trash
    A< c OK ...
    A> d LIST "" "Work%" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT))
    A< * LIST (\HasChildren) "/" Work
    A< * STATUS Work (MESSAGES 0 UIDNEXT 1)
    A< d OK ...
    A> e SUBSCRIBE Work/Plans
    A< e OK ...
    A> f LIST (SUBSCRIBED RECURSIVEMATCH) "" "W%"
    A< * LIST (\HasChildren) "/" Work ("CHILDINFO" ("SUBSCRIBED"))
    A< f OK ...
    A> f2 LIST (SUBSCRIBED RECURSIVEMATCH) "" ("W%" "W*s")
    A< * LIST (\Subscribed \HasNoChildren) "/" Work/Plans
    A< f2 OK ...
    A> g LSUB "" "W%"
    A< * LSUB (\Noselect) "/" Work
    A< g OK ...
  )");
}

TEST(List, KeepsSubscriptionsOfMailboxesThatAreGone) {
  Transcript t;
  t.play(R"(
    A> a CREATE Short
    A< a OK ...
    A> b SUBSCRIBE Short
    A< b OK ...
    A> c DELETE Short
    A< c OK ...
    A> d LIST (SUBSCRIBED) "" Sh*
    A< * LIST (\NonExistent \Subscribed \HasNoChildren) "/" Short
    A< d OK ...
    A> e UNSUBSCRIBE Short
    A< e OK ...
    A> f LSUB "" Sh*
    A< f OK ...
  )");
}

TEST(Mailbox, IsCreatedRenamedAndDeletedWithWordsForEachMistake) {
  Transcript t;
  t.play(R"(
    A> a CREATE Entw&APw-rfe/
    A< a OK ...
    A> b CREATE Entw&APw-rfe
    A< b NO [ALREADYEXISTS] ...
    A> c RENAME Entw&APw-rfe A/B/C
    A< c OK ...
    A> d RENAME A A/B
    A< d NO ...
    A> e LIST "" A/*
    A< * LIST (\HasChildren) "/" A/B
    A< * LIST (\HasNoChildren) "/" A/B/C
    A< e OK ...
    A> f DELETE INBOX
    A< f NO [CANNOT] ...
    A> g DELETE Nowhere
    A< g NO [NONEXISTENT] ...
    A> h CREATE a//b
    A< h NO [CANNOT] ...
    A> i CREATE "a&"
    A< i NO [CANNOT] ...
    A> j CREATE ".."
    A< j OK ...
    A> k CREATE inbox
    A< k NO [ALREADYEXISTS] ...
    A> l SUBSCRIBE Nowhere
    A< l NO [NONEXISTENT] ...
  )");
}

TEST(Mailbox, RefusesNamesThatCannotBeKept) {
  Transcript t;
  Client& c = t.session('A');
  c.send(std::string("a CREATE {3+}\r\na\0b\r\n", 20));
  EXPECT_TRUE(fits(c.line(), "a BAD ..."));
  c.send("b CREATE {4+}\r\na\r\nb\r\n");
  EXPECT_TRUE(fits(c.line(), "b NO [CANNOT] ..."));
  c.send("c CREATE " + std::string(10'000, 'x') + "\r\n");
  EXPECT_TRUE(fits(c.line(), "c NO [CANNOT] ..."));
  c.send("d CREATE " + std::string(1'001, 'x') + "\r\n");
  EXPECT_TRUE(fits(c.line(), "d NO [LIMIT] ..."));
  std::string deep = "a";
  for (int i = 0; i < 40; ++i) deep += "/a";
  c.send("e CREATE " + deep + "\r\n");
  EXPECT_TRUE(fits(c.line(), "e NO [LIMIT] ..."));
  c.send("f CREATE \"caf\xc3\xa9\"\r\n");
  EXPECT_TRUE(fits(c.line(), "f NO [CANNOT] ...")) << "8-bit names are for those who enabled UTF-8";
  c.send("g CREATE \"it's; DROP TABLE mailbox--\"\r\n");
  EXPECT_TRUE(fits(c.line(), "g OK ..."));
  t.play(R"(
    A> h LIST "" "it's*"
    A< * LIST (\HasNoChildren) "/" "it's; DROP TABLE mailbox--"
    A< h OK ...
    A> i CREATE iNbOx/Below
    A< i OK ...
    A> j LIST "" "INBOX/*"
    A< * LIST (\HasNoChildren) "/" INBOX/Below
    A< j OK ...
    A> k RENAME INBOX Elsewhere
    A< k OK ...
    A> l LIST "" "INBOX*"
    A< * LIST (\HasChildren) "/" INBOX
    A< * LIST (\HasNoChildren) "/" INBOX/Below
    A< l OK ...
  )");
}

TEST(Mailbox, TakesASpecialUse) {
  Transcript t;
  t.play(R"(
    A> a CREATE Everything (USE (\All))
    A< a OK ...
    A> b LIST (SPECIAL-USE) "" Ev*
    A< * LIST (\HasNoChildren \All) "/" Everything
    A< b OK ...
    A> c CREATE More (USE (\Nonsense))
    A< c NO [USEATTR] ...
  )");
}

TEST(Mailbox, OfINBOXKeepsTheNameWhenItIsRenamed) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a RENAME INBOX Old
    A< a OK ...
    A> b STATUS Old (MESSAGES)
    A< * STATUS Old (MESSAGES 1)
    A< b OK ...
    A> c STATUS INBOX (MESSAGES)
    A< * STATUS INBOX (MESSAGES 0)
    A< c OK ...
  )");
}

TEST(Status, TellsEveryItem) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE DELETED)
    A< * STATUS INBOX (MESSAGES 1 RECENT 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1 HIGHESTMODSEQ ... SIZE ... DELETED 0)
    A< a OK ...
    A> b STATUS Nowhere (MESSAGES)
    A< b NO [NONEXISTENT] ...
  )");
}

TEST(Select, DescribesTheMailbox) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT inbox
    A< * FLAGS (\Seen \Answered \Flagged \Deleted \Draft)
    A< * OK [PERMANENTFLAGS (\Seen \Answered \Flagged \Deleted \Draft \*)] ...
    A< * 1 EXISTS
    A< * 1 RECENT
    A< * OK [UNSEEN 1] ...
    A< * OK [UIDVALIDITY ...] ...
    A< * OK [UIDNEXT 2] ...
    A< * OK [HIGHESTMODSEQ ...] ...
    A< * OK [URLMECH INTERNAL] ...
    A< * OK [MAILBOXID (F1)] ...
    A< a OK [READ-WRITE] ...
    B> b EXAMINE INBOX
    B<* * OK [PERMANENTFLAGS ()] ...
    B< * 1 EXISTS
    B< * 0 RECENT
    B<* b OK [READ-ONLY] ...
    B> c STORE 1 +FLAGS (\Seen)
    B< c NO ...
  )");
}

TEST(Unselect, ExpungesNothing) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 1 +FLAGS.SILENT (\Deleted)
    A< b OK ...
    A> c UNSELECT
    A< c OK ...
    A> d UNSELECT
    A< d BAD No mailbox is selected.
    A> e STATUS INBOX (MESSAGES DELETED)
    A< * STATUS INBOX (MESSAGES 1 DELETED 1)
    A< e OK ...
    A> f SELECT INBOX
    A<* f OK ...
    A> g CLOSE
    A< g OK ...
    A> h STATUS INBOX (MESSAGES DELETED)
    A< * STATUS INBOX (MESSAGES 0 DELETED 0)
    A< h OK ...
  )");
}

/// What came and went before anybody looked is not recent.
TEST(Status, CountsRecentMessagesThatAreThere) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UNSELECT
    A< b OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> c EXAMINE INBOX
    A<* c OK ...
    B> a STATUS INBOX (RECENT)
    B< * STATUS INBOX (RECENT 2)
    B< a OK ...
  )");
  auto account = t.service().services().accounts.open(t.account());
  store::MailboxId inbox = account->find_mailbox("INBOX")->id;
  store::Edit edit(*account);
  edit.remove(inbox, {{2, 2}});
  edit.commit();
  t.play(R"(
    B> b STATUS INBOX (RECENT MESSAGES)
    B< * STATUS INBOX (MESSAGES 2 RECENT 1)
    B< b OK ...
    B> c LIST "" INBOX RETURN (STATUS (RECENT))
    B< * LIST (\HasNoChildren) "/" INBOX
    B< * STATUS INBOX (RECENT 1)
    B< c OK ...
  )");
}

/// Every name of many, with levels and subscriptions, in the order of their octets.
TEST(List, ShowsTenThousandMailboxes) {
  constexpr int kCount = 10'000;
  Transcript t;
  {
    auto account = t.service().services().accounts.open(t.account());
    store::Edit edit(*account);
    for (int i = 0; i < kCount; ++i)
      EXPECT_TRUE(edit.create_mailbox(fmt::format("Big/{:03}/{:02}", i / 100, i % 100), ""));
    edit.commit();
  }
  Client& c = t.session('A');
  c.send("a LIST \"\" \"Big/*\"\r\n");
  std::string last;
  int listed = 0;
  for (std::string line = c.line(); !line.starts_with("a "); line = c.line()) {
    ASSERT_TRUE(fits(line, "* LIST (\\Has...) \"/\" Big/...")) << line;
    std::string name = line.substr(line.rfind(' ') + 1);
    ASSERT_LT(last, name);
    last = name;
    ++listed;
  }
  EXPECT_EQ(listed, kCount + kCount / 100);
  t.play(R"(
    A> b LIST "" "Big/099/%9"
    A< * LIST (\HasNoChildren) "/" Big/099/09
    A< * LIST (\HasNoChildren) "/" Big/099/19
    A<* b OK ...
    A> c RENAME Big Small
    A< c OK ...
    A> d STATUS Small/099/99 (MESSAGES)
    A< * STATUS Small/099/99 (MESSAGES 0)
    A< d OK ...
    A> e LIST "" "Big*"
    A< e OK ...
    A> f LIST "" "Small/%/99"
    A< * LIST (\HasNoChildren) "/" Small/000/99
    A<* f OK ...
  )");
}

TEST(Select, LeavesTheMailboxBeforeEvenWhenItFails) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SELECT Nowhere
    A< * OK [CLOSED] ...
    A< b NO [NONEXISTENT] ...
    A> c FETCH 1 FLAGS
    A< c BAD No mailbox is selected.
  )");
}

}  // namespace
}  // namespace postrider::imap
