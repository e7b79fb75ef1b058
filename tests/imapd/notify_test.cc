// NOTIFY (RFC 5465): news of the selected mailbox and of others, without IDLE.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Notify, TellsOfTheSelectedMailboxAtOnce) {
  Transcript t;
  for (int i = 0; i < 2; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge FlagChange))
    A< b OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A< * 3 EXISTS
    A< * 3 RECENT
    A< * 3 FETCH (UID 3 BODY[HEADER.FIELDS (Subject)] {18}
    A< Subject: Lunch
    A<
    A< )
    B> a SELECT INBOX
    B<* a OK ...
    B> b STORE 1 +FLAGS.SILENT (\Deleted)
    B< b OK ...
    A< * 1 FETCH (UID 1 FLAGS (\Deleted \Recent))
    B> c EXPUNGE
    B<* c OK ...
    A< * 1 EXPUNGE
    A> c NOOP
    A< c OK ...
    A> d NOTIFY NONE
    A< d OK ...
    B> d STORE 1 +FLAGS.SILENT (\Flagged)
    B< d OK ...
    A> e NOOP
    A< * 1 FETCH (UID 2 FLAGS (\Flagged \Recent))
    A< e OK ...
  )");
}

// RFC 5465, 5: what a client did itself it is not told.
TEST(Notify, TellsASessionNothingOfWhatItDoesItself) {
  Transcript t;
  t.play(R"(
    A> a NOTIFY SET (personal (MailboxName SubscriptionChange))
    A< a OK ...
    A> b CREATE Mine
    A< b OK ...
    A> c SUBSCRIBE Mine
    A< c OK ...
    A> d RENAME Mine Ours
    A< d OK ...
    B> a CREATE Theirs
    B<* a OK ...
    A< * LIST (\HasNoChildren) "/" Theirs
    A> e DELETE Ours
    A< e OK ...
    A> f CREATE Theirs/Below
    A< f OK ...
    B> b DELETE Theirs/Below
    B<* b OK ...
    A< * LIST (\NonExistent) "/" Theirs/Below
    A< * LIST (\HasNoChildren) "/" Theirs
    A> g NOOP
    A< g OK ...
  )");
}

TEST(Notify, DelaysExpungesWhereThatIsAskedFor) {
  Transcript t;
  for (int i = 0; i < 2; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b NOTIFY SET (selected-delayed (MessageNew MessageExpunge))
    A< b OK ...
    B> a SELECT INBOX
    B<* a OK ...
    B> b STORE 1 +FLAGS.SILENT (\Deleted)
    B< b OK ...
    B> c EXPUNGE
    B<* c OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A< * 3 EXISTS
    A< * 3 RECENT
    A> c NOOP
    A< * 1 EXPUNGE
    A< c OK ...
  )");
}

TEST(Notify, TellsOfOtherMailboxes) {
  Transcript t;
  t.deliver("Junk", kMessage);
  t.play(R"(
    A> a SELECT Archive
    A<* a OK ...
    A> b NOTIFY SET STATUS (mailboxes (INBOX Junk) (MessageNew MessageExpunge)) (personal (MailboxName SubscriptionChange))
    A< * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ... UNSEEN 0)
    A< * STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
    A< b OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A< * STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
    B> a CREATE New
    B< a OK ...
    A< * LIST (\HasNoChildren) "/" New
    B> b SUBSCRIBE New
    B< b OK ...
    A< * LIST (\Subscribed \HasNoChildren) "/" New
    B> c RENAME New Old
    B< c OK ...
    A< * LIST (\HasNoChildren) "/" Old ("OLDNAME" (New))
    B> d DELETE Old
    B< d OK ...
    A< * LIST (\NonExistent) "/" Old
    B> e SELECT INBOX
    B<* e OK ...
    B> f STORE 1 +FLAGS.SILENT (\Seen)
    B< f OK ...
    B> g MOVE 1 Sent
    B<* g OK ...
    A< * STATUS INBOX (MESSAGES 0 UIDNEXT 2 UIDVALIDITY ... UNSEEN 0)
    A> c IDLE
    A< + ...
  )");
  t.deliver("Junk", kMessage);
  t.play(R"(
    A< * STATUS Junk (MESSAGES 2 UIDNEXT 3 UIDVALIDITY ... UNSEEN 2)
    A> DONE
    A< c OK ...
  )");
}

TEST(Notify, TellsOfNamesOncePerChange) {
  Transcript t;
  t.play(R"(
    A> a NOTIFY SET (personal (MailboxName)) (mailboxes Work/Plans (MessageNew MessageExpunge))
    A< a OK ...
    B> a CREATE Work/Plans
    B< a OK ...
    A< * LIST (\HasChildren) "/" Work
    A< * LIST (\HasNoChildren) "/" Work/Plans
  )");
  t.deliver("Work/Plans", kMessage);
  t.play(R"(
    A< * STATUS Work/Plans (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
    B> b CREATE Work/Plans/Old
    B< b OK ...
    A< * LIST (\HasChildren) "/" Work/Plans
    A< * LIST (\HasNoChildren) "/" Work/Plans/Old
    B> c RENAME Work Play
    B< c OK ...
    A< * LIST (\HasChildren) "/" Play ("OLDNAME" (Work))
    B> d DELETE Play/Plans/Old
    B< d OK ...
    A< * LIST (\NonExistent) "/" Play/Plans/Old
    A< * LIST (\HasNoChildren) "/" Play/Plans
    B> e RENAME Sent Out
    B< e OK ...
    A< * LIST (\HasNoChildren \Sent) "/" Out ("OLDNAME" (Sent))
  )");
}

TEST(Notify, LetsIdleTellWhatWasAskedForAlone) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b NOTIFY SET (mailboxes Junk (MessageNew MessageExpunge))
    A< b OK ...
    A> c IDLE
    A< + ...
  )");
  t.deliver("INBOX", kMessage);
  t.deliver("Junk", kMessage);
  t.play(R"(
    A< * STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
    A> DONE
    A< c OK ...
  )");
}

TEST(Notify, SaysWhatIsWrong) {
  Transcript t;
  t.play(R"(
    A> a NOTIFY SET (selected (MessageNew))
    A< a BAD ...
    A> a2 NOTIFY SET (personal (MessageNew))
    A< a2 OK ...
    A> b NOTIFY SET (selected (FlagChange))
    A< b BAD ...
    A> b2 NOTIFY SET (personal (FlagChange))
    A< b2 OK ...
    A> c NOTIFY SET (selected (MailboxName))
    A< c BAD ...
    A> d NOTIFY SET (personal (MessageNew (UID) MessageExpunge))
    A< d BAD ...
    A> e NOTIFY SET (personal (AnnotationChange))
    A< e NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)] ...
    A> f NOTIFY
    A< f BAD ...
    A> g NOTIFY SET (selected (MessageNew MessageExpunge)) (selected-delayed (MessageNew MessageExpunge))
    A< g BAD ...
    A> h NOTIFY SET (inboxes NONE)
    A< h OK ...
    A> i NOOP
    A< i OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
