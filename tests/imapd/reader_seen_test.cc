// \Seen in mailboxes of others is each reader's own (RFC 4314 4).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

/// alice's Work holds three messages; bob and carol may read it and mark what they have seen.
class ReaderSeen : public testing::Test {
 protected:
  ReaderSeen() {
    t.play(R"(
      A> a CREATE Work
      A< a OK ...
      A> b SETACL Work bob@example.test lrswite
      A< b OK ...
      A> c SETACL Work carol@example.test lrs
      A< c OK ...
    )");
    for (int i = 0; i < 3; ++i) t.deliver("Work", kMessage);
  }
  Transcript t;
};

TEST_F(ReaderSeen, IsFetchedSearchedAndCounted) {
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b<* * OK [UNSEEN 1] ...
    b<* a OK [READ-WRITE] ...
    b> b UID FETCH 1 BODY[TEXT]
    b< * 1 FETCH (UID 1 BODY[TEXT] {10}
    b< At noon?
    b<  FLAGS (\Seen...))
    b< b OK ...
    b> c STORE 3 +FLAGS (\Seen)
    b< * 3 FETCH (FLAGS (\Seen...))
    b< c OK ...
    b> d SEARCH UNSEEN
    b< * SEARCH 2
    b< d OK ...
    b> e SEARCH SEEN
    b< * SEARCH 1 3
    b< e OK ...
    b> f STATUS "Other users/alice@example.test/Work" (MESSAGES UNSEEN)
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 3 UNSEEN 1)
    b< f OK ...
    b> g ESEARCH IN (mailboxes "Other users/alice@example.test/Work") UNSEEN
    b< * ESEARCH (TAG "g" MAILBOX "Other users/alice@example.test/Work" UIDVALIDITY ...) UID ALL 2
    b< g OK ...
    b> h SEARCH RETURN (UPDATE COUNT) UNSEEN
    b< * ESEARCH (TAG "h") COUNT 1
    b< h OK ...
    b> i STORE 1 -FLAGS.SILENT (\Seen)
    b< * ESEARCH (TAG "h") ADDTO (0 1)
    b< i OK ...
    1> a SELECT "Other users/alice@example.test/Work"
    1<* a OK [READ-WRITE] ...
    1> b FETCH 1:* FLAGS
    1< * 1 FETCH (FLAGS (...))
    1< * 2 FETCH (FLAGS (...))
    1< * 3 FETCH (FLAGS (...))
    1< b OK ...
    1> c SEARCH SEEN
    1< * SEARCH
    1< c OK ...
    1> d LIST "" "Other users/*" RETURN (STATUS (UNSEEN))
    1< * LIST (\NonExistent \HasChildren) "/" "Other users/alice@example.test"
    1< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work"
    1< * STATUS "Other users/alice@example.test/Work" (UNSEEN 3)
    1< d OK ...
    A> d SELECT Work
    A<* d OK ...
    A> e SEARCH SEEN
    A< * SEARCH
    A< e OK ...
    A> f STORE 2 +FLAGS.SILENT (\Seen)
    A< f OK ...
    b> j NOOP
    b< * 2 FETCH (UID 2 FLAGS (...))
    b< j OK ...
    b> k SEARCH SEEN
    b< * SEARCH 3
    b< k OK ...
    A> g STATUS Work (UNSEEN)
    A< * STATUS Work (UNSEEN 2)
    A< g OK ...
  )");
}

TEST_F(ReaderSeen, IsToldToTheReadersOtherSessionsAlone) {
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work" (CONDSTORE)
    b<* a OK [READ-WRITE] ...
    c> a SELECT "Other users/alice@example.test/Work" (CONDSTORE)
    c<* a OK [READ-WRITE] ...
    c> b IDLE
    c< + Idling.
    1> a SELECT "Other users/alice@example.test/Work"
    1<* a OK [READ-WRITE] ...
    A> d SELECT Work
    A<* d OK ...
    b> b STORE 1:2 +FLAGS.SILENT (\Seen)
    b< * 1 FETCH (UID 1 MODSEQ (...))
    b< * 2 FETCH (UID 2 MODSEQ (...))
    b< b OK ...
    c< * 1 FETCH (UID 1 FLAGS (\Seen...) MODSEQ (...))
    c< * 2 FETCH (UID 2 FLAGS (\Seen...) MODSEQ (...))
    c> DONE
    c< b OK ...
    1> b NOOP
    1< b OK ...
    A> e NOOP
    A< e OK ...
    c> c STORE 1:3 (UNCHANGEDSINCE 1) -FLAGS (\Seen)
    c<* c OK [MODIFIED 1:3] ...
    c> d FETCH 1:3 (FLAGS) (CHANGEDSINCE 1)
    c< * 1 FETCH (FLAGS (\Seen...) MODSEQ (...))
    c< * 2 FETCH (FLAGS (\Seen...) MODSEQ (...))
    c< * 3 FETCH (FLAGS (...) MODSEQ (...))
    c< d OK ...
  )");
}

TEST_F(ReaderSeen, IsSynchronisedAfterwards) {
  Client& bob = t.session('b');
  bob.send("a SELECT \"Other users/alice@example.test/Work\" (CONDSTORE)\r\n");
  std::string modseq, validity, line;
  do {
    line = bob.line();
    if (size_t at = line.find("[HIGHESTMODSEQ "); at != std::string::npos)
      modseq = line.substr(at + 15, line.find(']') - at - 15);
    if (size_t at = line.find("[UIDVALIDITY "); at != std::string::npos)
      validity = line.substr(at + 13, line.find(']') - at - 13);
  } while (!line.starts_with("a "));
  t.play(R"(
    b> b CLOSE
    b< b OK ...
    c> a SELECT "Other users/alice@example.test/Work"
    c<* a OK ...
    c> b STORE 2 +FLAGS (\Seen)
    c<* b OK ...
    b> c ENABLE QRESYNC
    b<* c OK ...
  )");
  t.play(fmt::format(R"(
    b> d SELECT "Other users/alice@example.test/Work" (QRESYNC ({} {}))
    b<* * 2 FETCH (UID 2 FLAGS (\Seen...) MODSEQ (...))
    b< d OK [READ-WRITE] ...
    A> d ENABLE QRESYNC
    A<* d OK ...
    A> e SELECT Work (QRESYNC ({} {}))
    A<* * OK [MAILBOXID ...
    A< e OK [READ-WRITE] ...
  )",
                     validity, modseq, validity, modseq));
}

TEST_F(ReaderSeen, GoesWithWhatIsCopiedAndAppended) {
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b<* a OK ...
    b> b STORE 1 +FLAGS (\Seen)
    b<* b OK ...
    b> c CREATE Mine
    b< c OK ...
    b> d COPY 1:2 Mine
    b< d OK ...
    b> e STATUS Mine (MESSAGES UNSEEN)
    b< * STATUS Mine (MESSAGES 2 UNSEEN 1)
    b< e OK ...
    b> f APPEND "Other users/alice@example.test/Work" (\Seen) {5+}
    b> Hello
    b< * 4 EXISTS
    b<* f OK ...
    b> g SEARCH SEEN
    b< * SEARCH 1 4
    b< g OK ...
    b> h SELECT Mine
    b<* h OK ...
    b> i MOVE 1 "Other users/alice@example.test/Work"
    b<* i OK ...
    b> j STATUS "Other users/alice@example.test/Work" (MESSAGES UNSEEN)
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 5 UNSEEN 2)
    b< j OK ...
    A> d STATUS Work (MESSAGES UNSEEN)
    A< * STATUS Work (MESSAGES 5 UNSEEN 5)
    A< d OK ...
  )");
}

TEST_F(ReaderSeen, NeedsTheRightToMarkAndGoesWithTheRightToRead) {
  t.play(R"(
    1> a SELECT "Other users/alice@example.test/Work"
    1<* a OK ...
    1> b STORE 1 +FLAGS (\Seen)
    1<* b OK ...
    A> d SETACL Work carol@example.test lr
    A< d OK ...
    1> c SELECT "Other users/alice@example.test/Work"
    1<* c OK [READ-ONLY] ...
    1> d SEARCH SEEN
    1< * SEARCH 1
    1< d OK ...
    1> e STORE 1 -FLAGS (\Seen)
    1< e NO ...
    1> f CLOSE
    1< f OK ...
    A> e SETACL Work carol@example.test l
    A< e OK ...
    A> f SETACL Work carol@example.test lrs
    A< f OK ...
    1> g SELECT "Other users/alice@example.test/Work"
    1<* g OK [READ-WRITE] ...
    1> h SEARCH SEEN
    1< * SEARCH
    1< h OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
