// Searches that take words as they come, and how well they match (RFC 6203).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

class Fuzzy : public testing::Test {
 protected:
  Fuzzy() {
    deliver("IMAP break", "x");
    deliver("breaking the IMAP habit", "x");
    deliver("lunch", "A break from\r\nimap.");
    deliver("lunch", "It was an imap break.");
    deliver("imap", "break");
    deliver("imap", "no more");
    t.play(R"(
      A> a SELECT INBOX
      A<* a OK ...
    )");
  }
  void deliver(std::string_view subject, std::string_view body) {
    t.deliver("INBOX", fmt::format("From: bob@example.test\r\nSubject: {}\r\n\r\n{}\r\n", subject, body));
  }
  Transcript t;
};

TEST_F(Fuzzy, FindsWordsInAnyOrder) {
  t.play(R"(
    A> b SEARCH SUBJECT "break imap"
    A< * SEARCH
    A< b OK ...
    A> c SEARCH FUZZY SUBJECT "break imap"
    A< * SEARCH 1 2
    A< c OK ...
    A> d SEARCH FUZZY BODY " imap  BREAK "
    A< * SEARCH 3 4
    A< d OK ...
    A> e SEARCH FUZZY TEXT {10+}
    A> imap break FROM bob
    A< * SEARCH 1 2 3 4 5
    A< e OK ...
  )");
}

TEST_F(Fuzzy, TakesOneKeyWhateverItIs) {
  t.play(R"(
    A> b SEARCH FUZZY FLAGGED
    A< * SEARCH
    A< b OK ...
    A> c SEARCH NOT FUZZY SUBJECT "break imap"
    A< * SEARCH 3 4 5 6
    A< c OK ...
    A> d SEARCH FUZZY NOT SUBJECT "break imap" SUBJECT "imap break"
    A< * SEARCH
    A< d OK ...
    A> e SEARCH FUZZY (OR SUBJECT "imap breaking" BODY "break imap") UNSEEN
    A< * SEARCH 2 3 4
    A< e OK ...
    A> f SEARCH FUZZY HEADER Subject ""
    A< * SEARCH 1 2 3 4 5 6
    A< f OK ...
    A> g SEARCH FUZZY
    A< g BAD ...
  )");
}

TEST_F(Fuzzy, TellsHowWellEachMatches) {
  t.play(R"(
    A> b SEARCH RETURN (RELEVANCY ALL) FUZZY TEXT "imap break"
    A< * ESEARCH (TAG "b") ALL 1:5 RELEVANCY (100 51 1 31 26)
    A< b OK ...
    A> c UID SEARCH RETURN (RELEVANCY PARTIAL 2:3) FUZZY TEXT "imap break"
    A< * ESEARCH (TAG "c") UID PARTIAL (2:3 2:3) RELEVANCY (51 1)
    A< c OK ...
    A> d SEARCH RETURN (RELEVANCY COUNT) FUZZY SUBJECT nowhere
    A< * ESEARCH (TAG "d") COUNT 0 RELEVANCY ()
    A< d OK ...
    A> e SEARCH RETURN (RELEVANCY ALL) FUZZY UNFLAGGED 1:2
    A< * ESEARCH (TAG "e") ALL 1:2 RELEVANCY (100 100)
    A< e OK ...
    A> f SEARCH RETURN (RELEVANCY) SUBJECT imap
    A< f BAD RELEVANCY is for searches with FUZZY.
  )");
}

TEST_F(Fuzzy, SortsTheBestFirst) {
  t.play(R"(
    A> b SORT (RELEVANCY) UTF-8 FUZZY TEXT "imap break"
    A< * SORT 1 2 4 5 3
    A< b OK ...
    A> c SORT RETURN (ALL RELEVANCY) (REVERSE RELEVANCY) UTF-8 FUZZY TEXT "imap break"
    A< * ESEARCH (TAG "c") ALL 3,5,4,2,1 RELEVANCY (1 26 31 51 100)
    A< c OK ...
    A> d SORT (RELEVANCY) UTF-8 TEXT imap
    A< d BAD RELEVANCY is for searches with FUZZY.
    A> e SORT RETURN (UPDATE) (RELEVANCY) UTF-8 FUZZY TEXT "imap break"
    A< * ESEARCH (TAG "e")
    A< * NO [NOUPDATE "e"] ...
    A< e OK ...
  )");
}

TEST_F(Fuzzy, RanksInEveryMailboxThatIsSearched) {
  t.play(R"(
    A> b ESEARCH IN (personal) RETURN (ALL RELEVANCY) FUZZY SUBJECT "break imap"
    A< * ESEARCH (TAG "b" MAILBOX INBOX UIDVALIDITY ...) UID ALL 1:2 RELEVANCY (51 51)
    A< b OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
