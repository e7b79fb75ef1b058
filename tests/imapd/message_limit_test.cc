// MESSAGELIMIT and SAVELIMIT (RFC 9738): the examples of its section 3.1, with a limit of three messages.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

Transcript::Options limited(uint64_t message_limit, uint64_t save_limit = 0) {
  Transcript::Options options;
  options.message_limit = message_limit;
  options.save_limit = save_limit;
  return options;
}

/// INBOX holds six messages, of UIDs 1 to 6, and is selected.
class MessageLimit : public testing::Test {
 protected:
  explicit MessageLimit(Transcript::Options options = limited(3)) : t(options) {
    for (int i = 0; i < 6; ++i) t.deliver("INBOX", kMessage);
    t.play(R"(
      A> s SELECT INBOX
      A<* s OK ...
    )");
  }
  Transcript t;
};

class SaveLimit : public MessageLimit {
 protected:
  SaveLimit() : MessageLimit(limited(0, 3)) {}
};

class NoLimit : public MessageLimit {
 protected:
  NoLimit() : MessageLimit(limited(0)) {}
};

TEST_F(MessageLimit, IsAnnouncedOnce) {
  t.play(R"(
    A> a CAPABILITY
    A< * CAPABILITY ... MESSAGELIMIT=3...
    A< a OK ...
  )");
}

TEST_F(SaveLimit, IsAnnouncedInsteadOfIt) {
  t.play(R"(
    A> a CAPABILITY
    A< * CAPABILITY ... SAVELIMIT=3...
    A< a OK ...
    A> b FETCH 1:* UID
    A<* * 6 FETCH (UID 6)
    A< b OK That is all.
    A> c COPY 1:* Archive
    A< c NO [MESSAGELIMIT 3 4] ...
    A> d COPY 1:3 Archive
    A< d OK [COPYUID ...
    A> e MOVE 1:* Archive
    A< * OK [COPYUID ...
    A<* e OK Moved.
    A> f APPEND INBOX {1+}
    A> 1 {1+}
    A> 2 {1+}
    A> 3 {1+}
    A> 4
    A< f NO [MESSAGELIMIT 3] ...
    A> g STATUS INBOX (MESSAGES)
    A< * STATUS INBOX (MESSAGES 0)
    A< g OK ...
  )");
}

TEST_F(NoLimit, IsNotAnnounced) {
  Client& alice = t.session('A');
  alice.send("a CAPABILITY\r\n");
  std::string words = alice.line();
  EXPECT_EQ(words.find("LIMIT="), words.find("APPENDLIMIT=") + 6) << words;
  EXPECT_EQ(words.find("LIMIT=", words.find("LIMIT=") + 1), std::string::npos) << words;
  alice.line();
  t.play(R"(
    A> b SEARCH UIDAFTER 4
    A< * SEARCH 5 6
    A< b OK ...
    A> c SEARCH UIDBEFORE 3
    A< * SEARCH 1 2
    A< c OK ...
    A> d SEARCH UIDAFTER 2 UIDBEFORE 4
    A< * SEARCH 3
    A< d OK ...
    A> e SEARCH UIDAFTER 6
    A< * SEARCH
    A< e OK ...
    A> f SEARCH UIDBEFORE 1
    A< * SEARCH
    A< f OK ...
    A> g SEARCH UIDAFTER 4294967295
    A< * SEARCH
    A< g OK ...
    A> h SEARCH NOT UIDBEFORE 6
    A< * SEARCH 6
    A< h OK ...
    A> i SEARCH UIDAFTER 0
    A< i BAD ...
  )");
}

TEST_F(MessageLimit, OfFetch) {
  t.play(R"(
    A> a UID FETCH 1:* FLAGS
    A< * 6 FETCH (UID 6 FLAGS (...))
    A< * 5 FETCH (UID 5 FLAGS (...))
    A< * 4 FETCH (UID 4 FLAGS (...))
    A< a OK [MESSAGELIMIT 3 4] ...
    A> b UID FETCH 1:3 UID
    A< * 1 FETCH (UID 1)
    A< * 2 FETCH (UID 2)
    A< * 3 FETCH (UID 3)
    A< b OK That is all.
    A> c FETCH 1,3,5,6 (UID BODY[TEXT])
    A< * 6 FETCH (UID 6 BODY[TEXT] {10}
    A< At noon?
    A<  FLAGS (\Seen...))
    A< * 5 FETCH (UID 5 BODY[TEXT] {10}
    A< At noon?
    A<  FLAGS (\Seen...))
    A< * 3 FETCH (UID 3 BODY[TEXT] {10}
    A< At noon?
    A<  FLAGS (\Seen...))
    A< c OK [MESSAGELIMIT 3 3] ...
    A> d UID FETCH 1:* UID (PARTIAL 1:4)
    A< d NO [MESSAGELIMIT 3] ...
    A> e UID FETCH 1:* UID (PARTIAL -1:-3)
    A< * 4 FETCH (UID 4)
    A< * 5 FETCH (UID 5)
    A< * 6 FETCH (UID 6)
    A< e OK That is all.
  )");
  // Where the tagged answer has something else to say.
  t.play(R"(
    B> a SELECT INBOX
    B<* a OK ...
    B> b STORE 5 +FLAGS.SILENT (\Deleted)
    B< b OK ...
    B> c EXPUNGE
    B< * 5 EXPUNGE
    B< c OK ...
    A> f FETCH 1:* UID
    A< * 6 FETCH (UID 6)
    A< * 4 FETCH (UID 4)
    A<* * NO [MESSAGELIMIT 3 4] ...
    A< f OK [EXPUNGEISSUED] ...
  )");
}

TEST_F(MessageLimit, OfStore) {
  t.play(R"(
    A> a STORE 1:* +FLAGS (\Flagged)
    A< * 6 FETCH (FLAGS (\Flagged...))
    A< * 5 FETCH (FLAGS (\Flagged...))
    A< * 4 FETCH (FLAGS (\Flagged...))
    A< a OK [MESSAGELIMIT 3 4] ...
    A> b SEARCH 1:3 FLAGGED
    A< * SEARCH
    A< b OK ...
    A> c UID STORE 1:3 +FLAGS.SILENT (\Flagged)
    A< c OK Done.
    A> d UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS.SILENT (\Flagged)
    A<* * NO [MESSAGELIMIT 3 4] ...
    A< d OK [MODIFIED 4:6] ...
  )");
}

TEST_F(MessageLimit, OfSearchSortAndThread) {
  t.play(R"(
    A> a UID SEARCH SUBJECT lunch
    A< * SEARCH 4 5 6
    A< a OK [MESSAGELIMIT 3 4] ...
    A> b UID SEARCH UIDBEFORE 4 SUBJECT lunch
    A< * SEARCH 1 2 3
    A< b OK That is all.
    A> c SEARCH SUBJECT dinner
    A< * SEARCH
    A< c OK [MESSAGELIMIT 3 4] ...
    A> d SEARCH RETURN (SAVE COUNT) ALL
    A< * ESEARCH (TAG "d") COUNT 3
    A< d OK [MESSAGELIMIT 3 4] ...
    A> e FETCH $ UID
    A< * 4 FETCH (UID 4)
    A< * 5 FETCH (UID 5)
    A< * 6 FETCH (UID 6)
    A< e OK That is all.
    A> f SEARCH 2:5 (NOT 3 UID 1:4)
    A< * SEARCH 2 4
    A< f OK That is all.
    A> g SORT (SUBJECT) UTF-8 ALL
    A< g NO [MESSAGELIMIT 3] ...
    A> h UID SORT (SUBJECT) UTF-8 UID 4:*
    A< * SORT 4 5 6
    A< h OK That is all.
    A> i THREAD REFERENCES UTF-8 ALL
    A< i NO [MESSAGELIMIT 3] ...
    A> j THREAD ORDEREDSUBJECT UTF-8 1:3
    A< * THREAD ...
    A< j OK That is all.
  )");
}

TEST_F(MessageLimit, OfCopyAndMove) {
  t.play(R"(
    A> a COPY 1:* Archive
    A< a NO [MESSAGELIMIT 3 4] ...
    A> b STATUS Archive (MESSAGES)
    A< * STATUS Archive (MESSAGES 0)
    A< b OK ...
    A> c UID COPY 4:* Archive
    A< c OK [COPYUID ... 4:6 1:3] Copied.
    A> d UID MOVE 1:* Archive
    A< * OK [COPYUID ... 4:6 4:6] Moved.
    A< * 6 EXPUNGE
    A< * 5 EXPUNGE
    A< * 4 EXPUNGE
    A< d OK [MESSAGELIMIT 3 4] ...
  )");
}

TEST_F(MessageLimit, OfUidExpungeAlone) {
  t.play(R"(
    A> a UID STORE 1,3:5 +FLAGS.SILENT (\Deleted)
    A<* a OK [MESSAGELIMIT 3 3] ...
    A> b UID STORE 1 +FLAGS.SILENT (\Deleted)
    A< b OK Done.
    A> c UID EXPUNGE 1:*
    A< * 5 EXPUNGE
    A< * 4 EXPUNGE
    A< * 3 EXPUNGE
    A< c OK [MESSAGELIMIT 3 3] ...
    A> d UID EXPUNGE 1:*
    A< * 1 EXPUNGE
    A< d OK Expunged.
  )");
  for (int i = 0; i < 4; ++i) t.deliver("INBOX", kMessage);
  t.play(R"(
    A> e NOOP
    A< * 6 EXISTS
    A<* e OK ...
    A> f STORE 1:3 +FLAGS.SILENT (\Deleted)
    A< f OK ...
    A> g STORE 4:6 +FLAGS.SILENT (\Deleted)
    A< g OK ...
    A> h STATUS INBOX (UNSEEN)
    A< * STATUS INBOX (UNSEEN 6)
    A< h OK ...
    A> i EXPUNGE
    A<* * 1 EXPUNGE
    A< i OK Expunged.
  )");
}

TEST_F(MessageLimit, OfAppend) {
  t.play(R"(
    A> a APPEND Archive {1+}
    A> 1 {1+}
    A> 2 {1+}
    A> 3
    A< a OK [APPENDUID ... 1:3] ...
    A> b APPEND Archive {1+}
    A> 1 {1+}
    A> 2 {1+}
    A> 3 {1+}
    A> 4
    A< b NO [MESSAGELIMIT 3] ...
    A> c STATUS Archive (MESSAGES)
    A< * STATUS Archive (MESSAGES 3)
    A< c OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
