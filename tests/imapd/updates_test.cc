// Several sessions on one mailbox: each is told what the others do, at the right moment (RFC 3501 5.2, 7.4.1; RFC
// 2177).
#include <gtest/gtest.h>

#include "imapd/view.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(Updates, TellOfNewMailFlagsAndExpunges) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
    A> b STORE 1 +FLAGS.SILENT (\Deleted)
    A< b OK ...
    A> c STORE 3 +FLAGS.SILENT (\Flagged)
    A< c OK ...
    A> d EXPUNGE
    A< * 1 EXPUNGE
    A< d OK ...
    A> e APPEND INBOX {3+}
    A> new
    A< * 3 EXISTS
    A< * ... RECENT
    A< e OK ...
    B> f NOOP
    B< * 1 EXPUNGE
    B< * 3 EXISTS
    B< * 0 RECENT
    B< * 2 FETCH (UID 3 FLAGS (\Flagged))
    B< f OK ...
  )");
}

TEST(Updates, NeverRenumberUnderACommandThatUsesNumbers) {
  Transcript t;
  for (int i = 0; i < 3; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
    A> b STORE 1 +FLAGS.SILENT (\Deleted)
    A< b OK ...
    A> c EXPUNGE
    A< * 1 EXPUNGE
    A< c OK ...
    B> d FETCH 2 UID
    B< * 2 FETCH (UID 2)
    B< d OK ...
    B> e FETCH 1:2 UID
    B< * 2 FETCH (UID 2)
    B< e OK [EXPUNGEISSUED] ...
    B> f SEARCH ALL
    B< * SEARCH 2 3
    B< f OK ...
    B> g STORE 3 +FLAGS (\Seen)
    B< * 3 FETCH (FLAGS (\Seen))
    B< g OK ...
    B> h UID FETCH 2 UID
    B< * 2 FETCH (UID 2)
    B< * 1 EXPUNGE
    B< h OK ...
    B> i FETCH 1 UID
    B< * 1 FETCH (UID 2)
    B< i OK ...
  )");
}

TEST(Updates, KeepTheOrderOfPipelinedCommands) {
  Transcript t;
  for (int i = 0; i < 2; ++i) t.deliver("INBOX", kMessage);
  t.session('A').send(
      "a SELECT INBOX\r\nb STORE 1 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\nd STORE 1 +FLAGS.SILENT (\\Flagged)\r\n"
      "e UID SEARCH FLAGGED\r\n");
  t.play(R"(
    A<* a OK ...
    A< b OK ...
    A< * 1 EXPUNGE
    A< c OK ...
    A< d OK ...
    A< * SEARCH 2
    A< e OK ...
  )");
}

TEST(Updates, EmptyAMailboxThatIsGone) {
  Transcript t;
  t.play(R"(
    A> a CREATE Short
    A< a OK ...
    A> b APPEND Short {3+}
    A> abc
    A< b OK ...
    A> c SELECT Short
    A<* c OK ...
    B> d DELETE Short
    B< d OK ...
    A> e NOOP
    A< * 1 EXPUNGE
    A< e OK ...
    A> f COPY 1 INBOX
    A< f ...
    A> g APPEND Short {3+}
    A> abc
    A< g NO [TRYCREATE] ...
  )");
}

TEST(Idle, HearsOfADeliveryByTheOtherDaemon) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b IDLE
    A< + ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A< * 1 EXISTS
    A< * 1 RECENT
    A> DONE
    A< b OK ...
  )");
}

TEST(Idle, HearsOfWhatAnotherSessionDoes) {
  Transcript t;
  for (int i = 0; i < 2; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
    A> b IDLE
    A< + ...
    B> c STORE 2 +FLAGS.SILENT (\Deleted $Mine)
    B<* c OK ...
    A< * FLAGS (... $Mine)
    A< * OK [PERMANENTFLAGS ...] ...
    A< * 2 FETCH (UID 2 FLAGS (\Deleted $Mine \Recent))
    B> d CLOSE
    B< d OK ...
    A< * 2 EXPUNGE
    A> done
    A< b OK ...
  )");
}

TEST(Idle, EndsWithDoneAndNothingElse) {
  Transcript t;
  t.play(R"(
    A> a IDLE
    A< + ...
    A> b NOOP
    A< a BAD ...
    A> c NOOP
    A< c OK ...
  )");
}

TEST(Idle, TakesDoneThatWasSentTooSoon) {
  Transcript t;
  t.session('A').send("a IDLE\r\nDONE\r\nb NOOP\r\n");
  t.play(R"(
    A< + ...
    A< a OK ...
    A< b OK ...
  )");
}

store::MailboxSnapshot snapshot_of(store::UidRanges uids) {
  store::MailboxSnapshot snapshot;
  snapshot.uids = std::move(uids);
  return snapshot;
}

TEST(Recent, IsOfOneSession) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    B> a SELECT INBOX
    B<* a OK ...
  )");
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> b NOOP
    A< * 1 EXISTS
    A< * 1 RECENT
    A< b OK ...
    B> b NOOP
    B< * 1 EXISTS
    B< * 0 RECENT
    B< b OK ...
    B> c FETCH 1 FLAGS
    B< * 1 FETCH (FLAGS ())
    B< c OK ...
    C> a STATUS INBOX (RECENT)
    C< * STATUS INBOX (RECENT 0)
    C< a OK ...
    A> c FETCH 1 FLAGS
    A< * 1 FETCH (FLAGS (\Recent))
    A< c OK ...
  )");
}

TEST(View, GoesFromNumbersToUidsAndBack) {
  View view(snapshot_of({{5, 7}, {10, 10}, {20, 21}}), {}, false);
  EXPECT_EQ(view.count(), 6u);
  const store::Uid uids[] = {5, 6, 7, 10, 20, 21};
  for (uint32_t number = 1; number <= 6; ++number) {
    EXPECT_EQ(view.uid_of(number), uids[number - 1]);
    EXPECT_EQ(view.number_of(uids[number - 1]), number);
  }
  for (store::Uid uid : {0u, 4u, 8u, 11u, 22u, UINT32_MAX}) EXPECT_EQ(view.number_of(uid), 0u) << uid;
}

TEST(View, ResolvesSets) {
  View view(snapshot_of({{5, 7}, {10, 10}, {20, 21}}), {}, false);
  EXPECT_EQ(view.numbers({{{6, 15}}}, true), (NumberRanges{{2, 4}}));
  EXPECT_EQ(view.numbers({{{8, 9}}}, true), NumberRanges{});
  EXPECT_EQ(view.numbers({{{22, kStar}}}, true), (NumberRanges{{6, 6}}));
  EXPECT_EQ(view.numbers({{{1, UINT32_MAX}}}, true), (NumberRanges{{1, 6}}));
  EXPECT_EQ(view.numbers({{{4, kStar}, {1, 1}}}, false), (NumberRanges{{1, 1}, {4, 6}}));
  EXPECT_EQ(view.spans({{2, 5}}), (store::UidRanges{{6, 20}}));
}

TEST(View, GrowsAtTheEndAndLosesAnywhere) {
  View view(snapshot_of({}), {}, false);
  EXPECT_EQ(view.numbers({{{1, kStar}}}, false), NumberRanges{});
  view.add({{3, 5}});
  view.add({{4, 8}, {10, 10}});
  EXPECT_EQ(view.uids(), (store::UidRanges{{3, 8}, {10, 10}}));
  view.remove({{4, 4}, {8, 12}});
  EXPECT_EQ(view.uids(), (store::UidRanges{{3, 3}, {5, 7}}));
  EXPECT_EQ(view.number_of(5), 2u);
  EXPECT_EQ(view.count(), 4u);
}

}  // namespace
}  // namespace postrider::imap
