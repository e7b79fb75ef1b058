// Access control lists and mailboxes of other users (RFC 4314, 8440, 2342).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kShared = "\"Other users/alice@example.test/";

/// Gives bob rights to alice's Work.
void share(Transcript& t, std::string_view rights) {
  t.play(fmt::format(R"(
    A> create CREATE Work
    A< create OK ...
    A> share SETACL Work bob@example.test {}
    A< share OK ...
  )",
                     rights));
}

TEST(Rights, AreSetShownAndTakenAway) {
  Transcript t;
  t.play(R"(
    A> a CREATE Work
    A< a OK ...
    A> b GETACL Work
    A< * ACL Work alice@example.test lrswipkxteacd
    A< b OK ...
    A> c SETACL Work bob@example.test lrd
    A< c OK ...
    A> d SETACL Work bob@example.test +k
    A< d OK ...
    A> e SETACL Work bob@example.test -e
    A< e OK ...
    A> f SETACL Work anyone l
    A< f OK ...
    A> g SETACL Work -carol@example.test l
    A< g OK ...
    A> h GETACL Work
    A< * ACL Work alice@example.test lrswipkxteacd anyone l bob@example.test lrktcd -carol@example.test l
    A< h OK ...
    A> i DELETEACL Work bob@example.test
    A< i OK ...
    A> j GETACL Work
    A< * ACL Work alice@example.test lrswipkxteacd anyone l -carol@example.test l
    A< j OK ...
    A> k MYRIGHTS Work
    A< * MYRIGHTS Work lrswipkxteacd
    A< k OK ...
    A> l LISTRIGHTS Work bob@example.test
    A< * LISTRIGHTS Work bob@example.test "" l r s w i p k x t e a c d
    A< l OK ...
    A> m LISTRIGHTS Work alice@example.test
    A< * LISTRIGHTS Work alice@example.test lrswipkxteacd
    A< m OK ...
    A> n SETACL Work bob@example.test lRs
    A< n BAD ...
    A> o SETACL Work bob@example.test lq
    A< o BAD ...
    A> p SETACL Work nobody@example.test l
    A< p NO [CANNOT] ...
    A> q SETACL Work alice@example.test l
    A< q NO [CANNOT] ...
    A> r GETACL Nowhere
    A< r NO [NONEXISTENT] ...
  )");
}

TEST(Rights, ShowMailboxesOfOthersInOneNamespace) {
  Transcript t;
  share(t, "lr");
  t.play(R"(
    b> a NAMESPACE
    b< * NAMESPACE (("" "/")) (("Other users/" "/")) NIL
    b< a OK ...
    b> b LIST "" "Other users/%"
    b< * LIST (\Noselect \HasChildren) "/" "Other users/alice@example.test"
    b< b OK ...
    b> c LIST "" "Other users/*" RETURN (MYRIGHTS STATUS (MESSAGES))
    b< * LIST (\NonExistent \HasChildren) "/" "Other users/alice@example.test"
    b< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work"
    b< * STATUS "Other users/alice@example.test/Work" (MESSAGES 0)
    b< * MYRIGHTS "Other users/alice@example.test/Work" lr
    b< c OK ...
    b> d SUBSCRIBE "Other users/alice@example.test/Work"
    b< d OK ...
    b> e LSUB "" "Other*"
    b< * LSUB (\Noselect) "/" "Other users"
    b< * LSUB (\Noselect) "/" "Other users/alice@example.test"
    b< * LSUB () "/" "Other users/alice@example.test/Work"
    b< e OK ...
    1> a LIST "" "Other*"
    1< a OK ...
    A> f LIST "" "Other*"
    A< f OK ...
    A> g SETACL Work anyone l
    A< g OK ...
    1> b LIST "" "Other*W*"
    1< * LIST (\HasNoChildren) "/" "Other users/alice@example.test/Work"
    1< b OK ...
    A> h SETACL Work -carol@example.test l
    A< h OK ...
    1> c LIST "" "Other*W*"
    1< c OK ...
  )");
}

TEST(Rights, AnswerLikeForAMailboxThatIsNotThere) {
  Transcript t;
  share(t, "r");
  t.play(R"(
    A> a CREATE Secret
    A< a OK ...
  )");
  Client& client = t.session('b');
  for (std::string_view command :
       {"SELECT {}", "EXAMINE {}", "STATUS {} (MESSAGES)", "GETACL {}", "MYRIGHTS {}", "LISTRIGHTS {} anyone",
        "SETACL {} bob@example.test lr", "DELETEACL {} anyone", "SUBSCRIBE {}", "DELETE {}", "RENAME {} Mine",
        "GETMETADATA {} /shared/comment", "SETMETADATA {} (/shared/comment NIL)", "CREATE {}/below",
        "EXAMINE {} (CONDSTORE)", "STATUS {} (HIGHESTMODSEQ SIZE)", "GETQUOTAROOT {}"}) {
    std::string answers[2];
    for (int i = 0; i < 2; ++i) {
      std::string name = fmt::format("{}{}\"", kShared, i == 0 ? "Secret" : "Nowhere");
      if (command.find("/below") != std::string_view::npos)
        name = fmt::format("{}{}", kShared, i == 0 ? "Secret" : "No");
      std::string text = fmt::format(fmt::runtime(command), name);
      if (command.find("/below") != std::string_view::npos) text += '"';
      client.send("a " + text + "\r\n");
      answers[i] = client.line();
    }
    EXPECT_TRUE(answers[0].starts_with("a NO [")) << command << ": " << answers[0];
    EXPECT_EQ(answers[0], answers[1]) << command;
  }
  t.play(R"(
    b> b APPEND "Other users/alice@example.test/Secret" "text"
    b< b BAD ...
    b> c SELECT INBOX
    b<* c OK ...
    b> d COPY 1:* "Other users/alice@example.test/Secret"
    b< d NO [TRYCREATE] There is no mailbox of this name.
    b> e COPY 1:* "Other users/alice@example.test/Nowhere"
    b< e NO [TRYCREATE] There is no mailbox of this name.
    b> f ESEARCH IN (mailboxes "Other users/alice@example.test/Secret") ALL
    b< f OK ...
    b> g CREATE "Other users/nobody@example.test/x"
    b< g NO [NOPERM] ...
    b> h CREATE "Other users"
    b< h NO [NOPERM] ...
    b> i SELECT "Other users/alice@example.test/Work"
    b<* i OK [READ-ONLY] ...
    b> j LIST "" "*"
    b<* j OK ...
    b> k NOTIFY SET STATUS (mailboxes ("Other users/alice@example.test/Secret" "Other users/alice@example.test/Nowhere") (MessageNew MessageExpunge))
    b< k OK ...
  )");
  t.deliver("Secret", kMessage);
  t.play(R"(
    b> l NOOP
    b< l OK ...
    b> m GENURLAUTH "imap://bob%40example.test@mail.example.test/Other%20users%2Falice@example.test%2FSecret/;UID=1;URLAUTH=anonymous" INTERNAL
    b< m BAD That is no URL ...
    b> n GENURLAUTH "imap://bob%40example.test@mail.example.test/Other%20users%2Falice@example.test%2FNowhere/;UID=1;URLAUTH=anonymous" INTERNAL
    b< n BAD That is no URL ...
  )");
}

TEST(Rights, GuardEachCommand) {
  Transcript t;
  share(t, "lr");
  t.deliver("Work", kMessage);
  t.deliver("Work", kMessage);
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b< * FLAGS (\Seen \Answered \Flagged \Deleted \Draft)
    b< * OK [PERMANENTFLAGS ()] ...
    b<* a OK [READ-ONLY] ...
    b> b FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]
    b< * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {18}
    b< Subject: Lunch
    b<
    b< )
    b< b OK ...
    b> c FETCH 1 FLAGS
    b< * 1 FETCH (FLAGS (\Recent))
    b< c OK ...
    b> d STORE 1 +FLAGS (\Seen)
    b< d NO ...
    b> e EXPUNGE
    b< e NO ...
    b> f COPY 1 INBOX
    b< f OK [COPYUID ... 1 1] ...
    b> g MOVE 1 INBOX
    b< g NO ...
    b> h COPY 1 "Other users/alice@example.test/Work"
    b< h NO [NOPERM] ...
    b> i APPEND "Other users/alice@example.test/Work" {5+}
    b> Hello
    b< i NO [NOPERM] ...
    b> j DELETE "Other users/alice@example.test/Work"
    b< j NO [NOPERM] ...
    b> k GETACL "Other users/alice@example.test/Work"
    b< k NO [NOPERM] ...
    b> l SETMETADATA "Other users/alice@example.test/Work" (/shared/comment "x")
    b< l NO [NOPERM] ...
    b> m SETMETADATA "Other users/alice@example.test/Work" (/private/comment "bob's")
    b< m OK ...
    A> n GETMETADATA Work /private/comment
    A< * METADATA Work (/private/comment NIL)
    A< n OK ...
    A> o SETACL Work bob@example.test +st
    A< o OK ...
    b> p SELECT "Other users/alice@example.test/Work"
    b< * OK [CLOSED] ...
    b< * FLAGS (\Seen \Answered \Flagged \Deleted \Draft)
    b< * OK [PERMANENTFLAGS (\Seen \Deleted)] ...
    b<* p OK [READ-WRITE] ...
    b> q STORE 1 FLAGS (\Seen \Flagged $Forwarded)
    b< * 1 FETCH (FLAGS (\Seen...))
    b< q OK ...
    b> r STORE 1 +FLAGS (\Flagged)
    b< r NO [NOPERM] ...
    b> s STORE 1 +FLAGS.SILENT (\Deleted \Flagged)
    b< s OK ...
    b> t EXPUNGE
    b< t NO [NOPERM] ...
    b> u CLOSE
    b< u OK ...
    A> v SELECT Work
    A<* v OK ...
    A> w FETCH 1:2 FLAGS
    A< * 1 FETCH (FLAGS (\Deleted...))
    A< * 2 FETCH (FLAGS (...))
    A< w OK ...
    A> x STORE 2 FLAGS (\Flagged)
    A< * 2 FETCH (FLAGS (\Flagged...))
    A< x OK ...
    b> y SELECT "Other users/alice@example.test/Work"
    b<* y OK [READ-WRITE] ...
    b> z STORE 2 FLAGS (\Seen)
    b< * 2 FETCH (FLAGS (\Seen \Flagged...))
    b< z OK ...
  )");
}

TEST(Rights, LetMailboxesBeMadeBelow) {
  Transcript t;
  share(t, "lrkx");
  t.play(R"(
    b> a CREATE "Other users/alice@example.test/Work/Plans"
    b< a OK ...
    b> b CREATE "Other users/alice@example.test/Play"
    b< b NO [NOPERM] ...
    b> c MYRIGHTS "Other users/alice@example.test/Work/Plans"
    b< * MYRIGHTS "Other users/alice@example.test/Work/Plans" lrkxc
    b< c OK ...
    b> d RENAME "Other users/alice@example.test/Work/Plans" "Other users/alice@example.test/Work/Ideas"
    b< d OK ...
    b> e RENAME "Other users/alice@example.test/Work/Ideas" Ideas
    b< e NO [CANNOT] ...
    b> f RENAME "Other users/alice@example.test/Work/Ideas" "Other users/alice@example.test/Ideas"
    b< f NO [NOPERM] ...
    A> g LIST "" "W*"
    A< * LIST (\HasChildren) "/" Work
    A< * LIST (\HasNoChildren) "/" Work/Ideas
    A< g OK ...
    A> h CREATE Work/Own/Deep
    A< h OK ...
    A> i GETACL Work/Own/Deep
    A< * ACL Work/Own/Deep alice@example.test lrswipkxteacd bob@example.test lrkxc
    A< i OK ...
    b> j DELETE "Other users/alice@example.test/Work/Ideas"
    b< j OK ...
    A> k SETACL INBOX bob@example.test lrx
    A< k OK ...
    b> l RENAME "Other users/alice@example.test/INBOX" "Other users/alice@example.test/Work/In"
    b< l NO [CANNOT] ...
    b> m STATUS "Other users/ALICE@example.test/inbox" (MESSAGES)
    b< * STATUS "Other users/ALICE@example.test/inbox" (MESSAGES 0)
    b< m OK ...
  )");
}

TEST(Rights, LetMessagesGoFromOneAccountToAnother) {
  Transcript t;
  share(t, "lrswite");
  t.deliver("Work", kMessage);
  t.deliver("Work", kMessage);
  t.play(R"(
    A> a SELECT Work
    A<* a OK ...
    A> b STORE 1 +FLAGS ($Urgent \Flagged)
    A<* b OK ...
    b> a CREATE Mine
    b< a OK ...
    b> b SELECT "Other users/alice@example.test/Work"
    b<* b OK [READ-WRITE] ...
    b> c UID MOVE 1 Mine
    b< * OK [COPYUID ... 1 1] ...
    b< * 1 EXPUNGE
    b< c OK ...
    A> c NOOP
    A< * 1 EXPUNGE
    A< c OK ...
    b> d SELECT Mine
    b<* d OK ...
    b> e FETCH 1 (FLAGS RFC822.SIZE BODY.PEEK[TEXT])
    b< * 1 FETCH (FLAGS (\Flagged $Urgent...) RFC822.SIZE ... BODY[TEXT] {10}
    b< At noon?
    b< )
    b< e OK ...
    b> f MOVE 1 "Other users/alice@example.test/Work"
    b< * OK [COPYUID ... 1 3] ...
    b< * 1 EXPUNGE
    b< f OK ...
    A> d IDLE
    A< + Idling.
    A< * 2 EXISTS
    A<* * 2 RECENT
    A> DONE
    A< d OK ...
    b> g APPEND "Other users/alice@example.test/Work" (\Seen) {5+}
    b> Hello
    b< g OK [APPENDUID ... 4] ...
    A> e NOOP
    A< * 3 EXISTS
    A<* e OK ...
  )");
}

TEST(Rights, BringUpdatesToWhoLooks) {
  Transcript t;
  share(t, "lrs");
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b<* a OK ...
    b> b IDLE
    b< + Idling.
  )");
  t.deliver("Work", kMessage);
  t.play(R"(
    b< * 1 EXISTS
    b< * 1 RECENT
    A> a SELECT Work
    A<* a OK ...
    A> b STORE 1 +FLAGS.SILENT (\Flagged)
    A< b OK ...
    b< * 1 FETCH (UID 1 FLAGS (\Flagged...))
    b> DONE
    b< b OK ...
    A> c SETACL Work bob@example.test l
    A< c OK ...
    b> c FETCH 1 FLAGS
    b< c NO [NOPERM] ...
    b> d NOOP
    b< d OK ...
    b> e UNSELECT
    b< e OK ...
    b> f SELECT "Other users/alice@example.test/Work"
    b< f NO [NOPERM] ...
  )");
}

TEST(Rights, EndWithTheAccount) {
  Transcript t;
  share(t, "lrs");
  t.deliver("Work", kMessage);
  t.play(R"(
    b> a SELECT "Other users/alice@example.test/Work"
    b<* a OK ...
  )");
  t.service().services().directory.with(
      [](store::Directory& directory) { EXPECT_TRUE(directory.set_enabled("alice@example.test", false)); });
  t.play(R"(
    b> b FETCH 1 FLAGS
    b< b NO [NOPERM] ...
    b> c CLOSE
    b< c OK ...
    b> d LIST "" Other*
    b< d OK ...
    b> e SELECT "Other users/alice@example.test/Work"
    b< e NO [NONEXISTENT] ...
  )");
}

}  // namespace
}  // namespace postrider::imap
