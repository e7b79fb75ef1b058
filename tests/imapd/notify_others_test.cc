// NOTIFY (RFC 5465) for mailboxes of other users: only what the user may know of, for as long as that is so.
#include <gtest/gtest.h>

#include "imapd/notify.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

/// alice's Work is shared with bob, and her Secret is not.
class NotifyOthers : public testing::Test {
 protected:
  NotifyOthers() {
    t.play(R"(
      A> a CREATE Work
      A< a OK ...
      A> b CREATE Secret
      A< b OK ...
      A> c SETACL Work bob@example.test lrs
      A< c OK ...
    )");
  }
  Transcript t;
};

TEST_F(NotifyOthers, TellsOfMessages) {
  t.deliver("Work", kMessage);
  t.play(R"(
    b> a NOTIFY SET STATUS (mailboxes ("Other users/alice@example.test/Work" "Other users/alice@example.test/Secret") (MessageNew MessageExpunge FlagChange)) (inboxes (MessageNew MessageExpunge))
    b< * STATUS INBOX (MESSAGES 0 ...)
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1 HIGHESTMODSEQ ...)
    b< a OK ...
  )");
  t.deliver("Secret", kMessage);
  t.deliver("INBOX", kMessage);
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY ... UNSEEN 2 HIGHESTMODSEQ ...)
    c> a SELECT "Other users/alice@example.test/Work"
    c<* a OK ...
    c> b STORE 1 +FLAGS.SILENT (\Seen)
    c< b OK ...
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY ... UNSEEN 1 HIGHESTMODSEQ ...)
    A> d SELECT Work
    A<* d OK ...
    A> e MOVE 1 Secret
    A<* e OK ...
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 1 UIDNEXT 3 UIDVALIDITY ... UNSEEN 1 HIGHESTMODSEQ ...)
  )");
  t.deliver_to(t.bob(), "INBOX", kMessage);
  t.play(R"(
    b< * STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
  )");
}

TEST_F(NotifyOthers, LeavesTheSelectedMailboxToItsOwnGroup) {
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b<* a OK ...
    b> b NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge)) (subtree "Other users" (MessageNew MessageExpunge))
    b< b OK ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * 1 EXISTS
    b< * 1 RECENT
    b< * 1 FETCH (UID 1 FLAGS (\Recent))
    b> c UNSELECT
    b< c OK ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 2 ...)
    b> d NOTIFY NONE
    b< d OK ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b> e NOOP
    b< e OK ...
  )");
}

TEST_F(NotifyOthers, TellsOfNamesAndOfWhatMayNotBeRead) {
  t.play(R"(
    A> d CREATE Seen
    A< d OK ...
    A> e SETACL Seen bob@example.test l
    A< e OK ...
    b> a NOTIFY SET STATUS (subtree "Other users/alice@example.test" (MessageNew MessageExpunge MailboxName SubscriptionChange))
    b< * LIST (\NoAccess) "/" "Other users/alice@example.test/Seen"
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 0 ...)
    b< a OK ...
  )");
  t.deliver("Seen", kMessage);
  t.play(R"(
    A> f CREATE Work/Plans
    A< f OK ...
    b< * LIST (\HasChildren) "/" "Other users/alice@example.test/Work"
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work/Plans"
    A> g RENAME Work Play
    A< g OK ...
    b< * LIST (\HasChildren) "/" "Other users/alice@example.test/Play" ("OLDNAME" ("Other users/alice@example.test/Work"))
    c> a SUBSCRIBE "Other users/alice@example.test/Play/Plans"
    c< a OK ...
    b< * LIST (\Subscribed \HasNoChildren) "/" "Other users/alice@example.test/Play/Plans"
    A> h SETACL Seen bob@example.test lr
    A< h OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Seen"
    b< * STATUS "Other users/alice@example.test/Seen" (MESSAGES 1 ...)
    A> i DELETE Play/Plans
    A< i OK ...
    b< * LIST (\NonExistent \NoAccess) "/" "Other users/alice@example.test/Play/Plans"
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Play"
  )");
}

TEST_F(NotifyOthers, IsSilentAboutWhatWasTakenAway) {
  t.play(R"(
    b> a NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange))
    b< a OK ...
    A> d SETACL Work bob@example.test l
    A< d OK ...
    b< * LIST (\NoAccess \HasNoChildren) "/" "Other users/alice@example.test/Work"
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    A> e SETMETADATA Work (/shared/comment "x")
    A< e OK ...
    A> f SETACL Work bob@example.test lr
    A< f OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work"
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1 HIGHESTMODSEQ ...)
    A> g SETMETADATA Work (/shared/comment "y")
    A< g OK ...
    b< * METADATA "Other users/alice@example.test/Work" /shared/comment
    A> h DELETEACL Work bob@example.test
    A< h OK ...
    b< * LIST (\NonExistent \NoAccess) "/" "Other users/alice@example.test/Work"
    A> i RENAME Work Hidden
    A< i OK ...
    A> j SETMETADATA Hidden (/shared/comment "z")
    A< j OK ...
    A> k CREATE Hidden/Below
    A< k OK ...
  )");
  t.deliver("Hidden", kMessage);
  t.play(R"(
    A> l SETACL Hidden bob@example.test r
    A< l OK ...
  )");
  t.deliver("Hidden", kMessage);
  t.play(R"(
    A> m CREATE Open
    A< m OK ...
    A> n SETACL Open bob@example.test lr
    A< n OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Open"
    A> o SETACL Hidden bob@example.test lr
    A< o OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Hidden"
    b< * STATUS "Other users/alice@example.test/Hidden" (MESSAGES 3 ...)
  )");
}

TEST_F(NotifyOthers, HearsOfWhoSharesLater) {
  t.play(R"(
    1> a CREATE Plans
    1< a OK ...
    b> a NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge))
    b< a OK ...
    1> b SETACL Plans bob@example.test lr
    1< b OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/carol@example.test/Plans"
    1> c APPEND Plans {5+}
    1> Hello
    1< c OK ...
    b< * STATUS "Other users/carol@example.test/Plans" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1)
  )");
  t.service().services().directory.with(
      [](store::Directory& directory) { (void)directory.set_enabled("alice@example.test", false); });
  t.play(R"(
    1> d APPEND Plans {5+}
    1> Hello
    1< d OK ...
    b< * LIST (\NonExistent \NoAccess) "/" "Other users/alice@example.test/Work"
    b< * STATUS "Other users/carol@example.test/Plans" (MESSAGES 2 ...)
  )");
}

TEST_F(NotifyOthers, FollowsSubscriptions) {
  t.play(R"(
    b> a NOTIFY SET (subscribed (MessageNew MessageExpunge SubscriptionChange)) (personal (MailboxName))
    b< a OK ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    c> a SUBSCRIBE "Other users/alice@example.test/Work"
    c< a OK ...
    b< * LIST (\Subscribed \HasNoChildren) "/" "Other users/alice@example.test/Work"
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 1 ...)
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 2 ...)
    c> b UNSUBSCRIBE "Other users/alice@example.test/Work"
    c< b OK ...
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work"
  )");
  t.deliver("Work", kMessage);
  t.deliver_to(t.bob(), "INBOX", kMessage);
  t.play(R"(
    b< * STATUS INBOX (MESSAGES 1 ...)
  )");
}

TEST_F(NotifyOthers, IsRefusedWhereItWouldBeTooMany) {
  store::AccountId bob = t.bob();
  size_t made = 0;
  auto share = [&](size_t up_to) {
    t.service().services().directory.with([&](store::Directory& directory) {
      for (; made < up_to; ++made) {
        auto account = directory.add_account(fmt::format("user{}@example.test", made), {});
        ASSERT_TRUE(account.has_value());
        directory.note_sharing(account->id, bob);
      }
    });
  };
  share(kMaxNotifyOwners - 1);
  t.play(R"(
    b> a NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge))
    b< a OK ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 1 ...)
  )");
  share(kMaxNotifyOwners);
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * OK [NOTIFICATIONOVERFLOW] ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b> b NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge))
    b< b NO [NOTIFICATIONOVERFLOW] ...
    b> c NOTIFY SET (mailboxes "Other users/alice@example.test/Work" (MessageNew MessageExpunge))
    b< c OK ...
    b> d NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge))
    b< d NO [NOTIFICATIONOVERFLOW] ...
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 4 ...)
  )");
}

}  // namespace
}  // namespace postrider::imap
