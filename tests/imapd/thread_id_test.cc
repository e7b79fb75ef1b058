// THREADID (RFC 8474): which thread a message belongs to is settled when it comes in.
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

TEST(ThreadId, JoinsWhatAnswers) {
  Transcript t;
  t.deliver("INBOX", "Message-ID: <a@x>\r\nSubject: One\r\n\r\n");
  t.deliver("INBOX", "Message-ID: <other@x>\r\nSubject: One\r\n\r\n");
  t.deliver("INBOX", "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n");
  t.deliver("Archive", "Message-ID: <c@x>\r\nReferences: <a@x>\r\n <gone@x>\r\n\r\n");
  // What it answers never came, but another answer to the same did.
  t.deliver("INBOX", "Message-ID: <e@x>\r\nIn-Reply-To: <d@x>\r\n\r\n");
  t.deliver("INBOX", "Message-ID: <f@x>\r\nReferences: <d@x> <e@x>\r\n\r\n");
  t.deliver("INBOX", "Message-ID: <d@x>\r\n\r\n");
  t.deliver("INBOX", "Subject: no ids\r\nReferences: <<>\r\n\r\n");
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b UID FETCH 1:* (THREADID)
    A< * 1 FETCH (UID 1 THREADID (T1))
    A< * 2 FETCH (UID 2 THREADID (T2))
    A< * 3 FETCH (UID 3 THREADID (T1))
    A< * 4 FETCH (UID 4 THREADID (T5))
    A< * 5 FETCH (UID 5 THREADID (T5))
    A< * 6 FETCH (UID 6 THREADID (T5))
    A< * 7 FETCH (UID 7 THREADID (T8))
    A< b OK ...
    A> c UID SEARCH THREADID T5
    A< * SEARCH 4 5 6
    A< c OK ...
    A> d UID SEARCH NOT THREADID T5 THREADID T1
    A< * SEARCH 1 3
    A< d OK ...
    A> e UID SEARCH THREADID nonsense
    A< * SEARCH
    A< e OK ...
    A> f ESEARCH IN (personal) THREADID T1
    A< * ESEARCH (TAG "f" MAILBOX Archive UIDVALIDITY ...) UID ALL 1
    A< * ESEARCH (TAG "f" MAILBOX INBOX UIDVALIDITY ...) UID ALL 1,3
    A< f OK ...
    A> g UID COPY 3 Archive
    A< g OK ...
    A> h SELECT Archive
    A<* h OK ...
    A> i FETCH 1:2 THREADID
    A< * 1 FETCH (THREADID (T1))
    A< * 2 FETCH (THREADID (T1))
    A< i OK ...
  )");
}

TEST(ThreadId, IsTheReadersWhereMessagesGoToAnotherAccount) {
  Transcript t;
  t.deliver_to(t.bob(), "INBOX", "Message-ID: <a@x>\r\n\r\n");
  t.deliver_to(t.bob(), "INBOX", "Message-ID: <z@x>\r\n\r\n");
  t.deliver("Sent", "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n");
  t.play(R"(
    A> a SETACL Sent bob@example.test lr
    A< a OK ...
    b> b SELECT "Other users/alice@example.test/Sent"
    b<* b OK ...
    b> c FETCH 1 (THREADID EMAILID)
    b< * 1 FETCH (THREADID (T1-1) EMAILID (M1-1))
    b< c OK ...
    b> d SEARCH THREADID T1-1
    b< * SEARCH 1
    b< d OK ...
    b> e COPY 1 INBOX
    b< e OK ...
    b> f SELECT INBOX
    b<* f OK ...
    b> g SEARCH THREADID T1
    b< * SEARCH 1 3
    b< g OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
