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
