// ESEARCH in several mailboxes (RFC 7377).
#include <gtest/gtest.h>

#include "store/search_index.h"
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

TEST(MultiSearch, LooksIntoMailboxesOfOthersAsFarAsTheRightsGo) {
  Transcript t;
  t.play(R"(
    A> a CREATE Work/Plans
    A< a OK ...
    A> b SETACL Work bob@example.test lr
    A< b OK ...
    A> c SETACL Work/Plans bob@example.test r
    A< c OK ...
    A> d SETACL Sent bob@example.test l
    A< d OK ...
  )");
  for (std::string_view mailbox : {"INBOX", "Work", "Work/Plans", "Sent"}) t.deliver(mailbox, kMessage);
  t.deliver_to(t.bob(), "INBOX", kMessage);
  t.play(R"(
    b> a ESEARCH IN (subtree "Other users" personal) SUBJECT lunch
    b< * ESEARCH (TAG "a" MAILBOX INBOX UIDVALIDITY ...) UID ALL 1
    b< * ESEARCH (TAG "a" MAILBOX "Other users/alice@example.test/Work" UIDVALIDITY ...) UID ALL 1
    b< a OK ...
    b> b ESEARCH IN (mailboxes ("Other users/alice@example.test/Work/Plans" "Other users/alice@example.test/Sent" "Other users/alice@example.test/INBOX")) BODY noon
    b< * ESEARCH (TAG "b" MAILBOX "Other users/alice@example.test/Work/Plans" UIDVALIDITY ...) UID ALL 1
    b< b OK ...
    A> e DELETEACL Work bob@example.test
    A< e OK ...
    b> c ESEARCH IN (subtree "Other users") ALL
    b< c OK ...
  )");
}

TEST(MultiSearch, HasTheIndexOfAnotherAccountMade) {
  Transcript t;
  store::AccountId alice = t.account(), bob = t.bob();
  for (int i = 0; i < 40; ++i) t.deliver("Archive", kMessage);
  store::Accounts& accounts = t.service().services().accounts;
  t.service().services().directory.with([&](store::Directory& directory) { directory.note_sharing(alice, bob); });
  {
    auto account = accounts.open(alice);
    store::Edit edit(*account);
    ASSERT_TRUE(
        edit.grant(account->find_mailbox("Archive")->id, {bob, false, store::right::kLookup | store::right::kRead}));
    edit.commit();
  }
  constexpr std::string_view kSearch = R"(
    b> a ESEARCH IN (subtree "Other users") BODY "at noon"
    b< * ESEARCH (TAG "a" MAILBOX "Other users/alice@example.test/Archive" UIDVALIDITY ...) UID ALL 1:40
    b< a OK ...
    b> b ESEARCH IN (subtree "Other users") BODY "at night"
    b< b OK ...
  )";
  t.play(kSearch);  // nobody is logged in to that account
  auto indexed = [&] {
    auto account = accounts.open(alice);
    return store::SearchIndex(*account).candidates("at night").has_value();
  };
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!indexed() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_TRUE(indexed());
  t.play(kSearch);
}

}  // namespace
}  // namespace postrider::imap
