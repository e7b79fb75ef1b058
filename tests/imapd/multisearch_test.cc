// ESEARCH in several mailboxes (RFC 7377).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(MultiSearch, LooksIntoTheMailboxesThatAreMeant) {
  Transcript t;
  t.play(R"(
    A> a CREATE Work/Plans/Old
    A< a OK ...
  )");
  for (std::string_view mailbox : {"INBOX", "Work", "Work/Plans", "Work/Plans/Old", "Sent"})
    t.deliver(mailbox, kMessage);
  t.deliver("Work/Plans", kMessage);
  t.play(R"(
    A> b ESEARCH IN (subtree Work) SUBJECT lunch
    A< * ESEARCH (TAG "b" MAILBOX Work UIDVALIDITY ...) UID ALL 1
    A< * ESEARCH (TAG "b" MAILBOX Work/Plans UIDVALIDITY ...) UID ALL 1:2
    A< * ESEARCH (TAG "b" MAILBOX Work/Plans/Old UIDVALIDITY ...) UID ALL 1
    A< b OK ...
    A> c ESEARCH IN (subtree-one Work inboxes) RETURN (COUNT MIN) ALL
    A< * ESEARCH (TAG "c" MAILBOX INBOX UIDVALIDITY ...) UID MIN 1 COUNT 1
    A< * ESEARCH (TAG "c" MAILBOX Work UIDVALIDITY ...) UID MIN 1 COUNT 1
    A< * ESEARCH (TAG "c" MAILBOX Work/Plans UIDVALIDITY ...) UID MIN 1 COUNT 2
    A< c OK ...
    A> d ESEARCH IN (mailboxes (Sent Nowhere Drafts) subscribed) ALL
    A< * ESEARCH (TAG "d" MAILBOX INBOX UIDVALIDITY ...) UID ALL 1
    A< * ESEARCH (TAG "d" MAILBOX Sent UIDVALIDITY ...) UID ALL 1
    A< d OK ...
    A> e ESEARCH IN (personal) SUBJECT nothing
    A< e OK ...
    A> f ESEARCH ALL
    A< f BAD No mailbox is selected.
    A> g SELECT Sent
    A<* g OK ...
    A> h ESEARCH IN (selected) UNSEEN
    A< * ESEARCH (TAG "h" MAILBOX Sent UIDVALIDITY ...) UID ALL 1
    A< h OK ...
    A> i ESEARCH RETURN (MAX) UNSEEN
    A< * ESEARCH (TAG "i" MAILBOX Sent UIDVALIDITY ...) UID MAX 1
    A< i OK ...
    A> j ESEARCH IN (personal) 1
    A< j BAD ...
    A> k ESEARCH IN (personal) RETURN (SAVE) ALL
    A< k BAD ...
    A> l ESEARCH IN (nonsense) ALL
    A< l BAD ...
    A> m ESEARCH IN () ALL
    A< m BAD ...
  )");
}

}  // namespace
}  // namespace postrider::imap
