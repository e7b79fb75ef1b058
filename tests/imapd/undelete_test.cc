// The mailbox that shows what was expunged.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

Transcript::Options with_folder(std::string name) {
  Transcript::Options options;
  options.expunged_folder = std::move(name);
  return options;
}

TEST(ExpungedFolder, ShowsWhatWasExpungedAndGivesItBack) {
  Transcript t(with_folder("Recently Deleted"));
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STORE 1 +FLAGS.SILENT (\Deleted \Flagged)
    A< b OK ...
    A> c EXPUNGE
    A< * 1 EXPUNGE
    A< c OK ...
    A> d LIST "" Rec*
    A< * LIST (\HasNoChildren) "/" "Recently Deleted"
    A< d OK ...
    B> a SELECT "Recently Deleted"
    B<* * OK [PERMANENTFLAGS ()] ...
    B< * 1 EXISTS
    B<* a OK [READ-ONLY] ...
    B> b FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])
    B< * 1 FETCH (FLAGS (\Flagged \Recent) BODY[HEADER.FIELDS (SUBJECT)] {18}
    B< Subject: Lunch
    B<
    B< )
    B< b OK ...
    B> c STORE 1 +FLAGS (\Deleted)
    B< c NO ...
    B> d EXPUNGE
    B< d NO ...
    B> e UID MOVE 1 INBOX
    B< * OK [COPYUID ... 1 2] ...
    B< * 1 EXPUNGE
    B< e OK ...
    A> e NOOP
    A< * 1 EXISTS
    A< * 1 RECENT
    A< e OK ...
  )");
}

TEST(ExpungedFolder, TakesNothingElseAndCannotBeRemoved) {
  Transcript t(with_folder("Recently Deleted"));
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a LIST "" Rec*
    A< * LIST ...
    A< a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c COPY 1 "Recently Deleted"
    A< c NO [CANNOT] ...
    A> d MOVE 1 "Recently Deleted"
    A< d NO [CANNOT] ...
    A> e APPEND "Recently Deleted" {3+}
    A> abc
    A< e NO [CANNOT] ...
    A> f DELETE "Recently Deleted"
    A< f NO [CANNOT] ...
    A> g RENAME "Recently Deleted" Mine
    A< g NO [CANNOT] ...
    A> h EXAMINE INBOX
    A<* h OK ...
    A> i MOVE 1 Archive
    A< i NO ...
  )");
}

TEST(ExpungedFolder, IsNotThereUnlessItIsWanted) {
  Transcript t;
  t.play(R"(
    A> a LIST "" Rec*
    A< a OK ...
    A> b SELECT "Recently Deleted"
    A< b NO [NONEXISTENT] ...
  )");
}

}  // namespace
}  // namespace postrider::imap
