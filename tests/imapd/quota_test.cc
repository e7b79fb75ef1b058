// QUOTA (RFC 9208).
#include <gtest/gtest.h>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

Transcript::Options with_quota(uint64_t octets) {
  Transcript::Options options;
  options.quota = octets;
  return options;
}

TEST(Quota, IsToldForTheAccountAndItsMailboxes) {
  Transcript t(with_quota(512 << 10));
  t.deliver("INBOX", std::string(kMessage) + std::string(1'500, 'x') + "\r\n");
  t.play(R"(
    A> a GETQUOTAROOT INBOX
    A< * QUOTAROOT INBOX Account
    A< * QUOTA Account (STORAGE 2 512)
    A< a OK ...
    A> b GETQUOTA "Account"
    A< * QUOTA Account (STORAGE 2 512)
    A< b OK ...
    A> c GETQUOTA ""
    A< c NO [NONEXISTENT] ...
    A> d GETQUOTAROOT Nowhere
    A< d NO [NONEXISTENT] ...
    A> e SETQUOTA Account (STORAGE 1024)
    A< e NO [NOPERM] ...
    A> f SETQUOTA Account
    A< f BAD ...
  )");
}

TEST(Quota, WhereThereIsNoneThereIsNoRoot) {
  Transcript t;
  t.play(R"(
    A> a GETQUOTAROOT INBOX
    A< * QUOTAROOT INBOX
    A< a OK ...
    A> b GETQUOTA Account
    A< b NO [NONEXISTENT] ...
  )");
}

TEST(Quota, SelectSaysThatItIsReached) {
  Transcript t(with_quota(100));
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* * NO [OVERQUOTA] ...
    A<* a OK ...
    A> b COPY 1 Archive
    A< b NO [OVERQUOTA] ...
  )");
}

TEST(Quota, MessagesAreCountedToo) {
  Transcript::Options options;
  options.max_messages = 2;
  Transcript t(options);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a GETQUOTAROOT Archive
    A< * QUOTAROOT Archive Account
    A< * QUOTA Account (MESSAGE 1 2)
    A< a OK ...
    A> b SELECT INBOX
    A<* b OK ...
    A> c COPY 1 Archive
    A< c OK ...
    A> d COPY 1 Archive
    A< d NO [OVERQUOTA] The account holds 2 messages...
    A> e APPEND Archive {3+}
    A> abc
    A< e NO [OVERQUOTA] ...
    A> f MOVE 1 Trash
    A<* f OK ...
    A> g SELECT INBOX
    A<* * NO [OVERQUOTA] ...
    A<* g OK ...
  )");
}

TEST(Quota, StatusTellsWhatAnExpungeWouldFree) {
  Transcript t;
  t.deliver("INBOX", kMessage);
  t.deliver("INBOX", kMessage);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b STATUS INBOX (DELETED DELETED-STORAGE)
    A< * STATUS INBOX (DELETED 0 DELETED-STORAGE 0)
    A< b OK ...
    A> c STORE 2 +FLAGS.SILENT (\Deleted)
    A< c OK ...
    A> d STATUS INBOX (DELETED DELETED-STORAGE SIZE)
    A< * STATUS INBOX (SIZE 368 DELETED 1 DELETED-STORAGE 184)
    A< d OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
