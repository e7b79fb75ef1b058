// Searches under a name (RFC 5466), and UIDBATCHES.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(SavedSearch, IsPutInThePlaceOfItsName) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SETMETADATA "" (/private/filters/values/on-the-road "SUBJECT lunch UNSEEN" /private/filters/descriptions/on-the-road "Short")
    A< a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c STORE 1 +FLAGS.SILENT \Seen
    A< c OK ...
    A> d SEARCH FILTER on-the-road
    A< * SEARCH 2
    A< d OK ...
    A> e UID SEARCH RETURN (COUNT) NOT FILTER On-The-Road
    A< * ESEARCH (TAG "e") UID COUNT 1
    A< e OK ...
    A> f SEARCH FILTER nothing
    A< f NO [UNDEFINED-FILTER nothing] ...
    A> g SETMETADATA "" (/private/filters/values/bad "NONSENSE")
    A< g NO ...
    A> h SETMETADATA "" (/private/filters/values/both "OR FILTER on-the-road SEEN")
    A< h OK ...
    A> i SORT (ARRIVAL) UTF-8 FILTER both
    A< * SORT 1 2
    A< i OK ...
    A> j ESEARCH IN (inboxes) FILTER both
    A< * ESEARCH (TAG "j" MAILBOX INBOX UIDVALIDITY ...) UID ALL 1:2
    A< j OK ...
    A> k SETMETADATA "" (/private/filters/values/ring "FILTER ring ALL")
    A< k OK ...
    A> l SEARCH FILTER ring
    A< l NO [LIMIT] ...
    b> m SELECT INBOX
    b<* m OK ...
    b> n SEARCH FILTER both
    b< n NO [UNDEFINED-FILTER both] ...
  )");
}

TEST(UidBatches, PartAMailbox) {
  Transcript t;
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UIDBATCHES 500
    A< * UIDBATCHES (TAG "b")
    A< b OK ...
  )");
  std::string append = "c APPEND INBOX";
  Client& client = t.session('A');
  for (int i = 0; i < 600; ++i) append += " {3+}\r\na\r\n";
  for (int twice = 0; twice < 2; ++twice) {
    client.send(append + "\r\n");
    while (!client.line().starts_with("c OK")) {
    }
  }
  t.play(R"(
    A> d STORE 1:100 +FLAGS.SILENT (\Deleted)
    A< d OK ...
    A> e EXPUNGE
    A<* e OK ...
    A> f UIDBATCHES 500
    A< * UIDBATCHES (TAG "f") 1200:701,700:201,200:1
    A< f OK ...
    A> g UIDBATCHES 600 2:2
    A< * UIDBATCHES (TAG "g") 600:1
    A< g OK ...
    A> h UIDBATCHES 500 4:9
    A< * UIDBATCHES (TAG "h")
    A< h OK ...
    A> i UIDBATCHES 10
    A< i NO [TOOFEW] ...
    A> j UIDBATCHES 500 3:2
    A< j BAD [CLIENTBUG] ...
    A> k UIDBATCHES 500 3
    A< k BAD ...
    A> l UIDBATCHES
    A< l BAD ...
  )");
}

}  // namespace
}  // namespace postrider::imap
