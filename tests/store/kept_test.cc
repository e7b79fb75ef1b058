// What was expunged: kept, shown, brought back, forgotten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <span>

#include "store/account.h"
#include "store/account_schema.h"
#include "store/maintenance.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class KeptTest : public testing::Test {
 protected:
  KeptTest() : account(state.file("1.db"), 1, OpenMode::create, clock) { inbox = account.find_mailbox("INBOX")->id; }

  void append(MailboxId mailbox, std::string_view subject, Flags flags = {}) {
    Edit edit(account);
    edit.append(mailbox, state.message(simple_message(subject)), {}, flags, 1'000, 0, 0).value();
    edit.commit();
  }
  void remove(MailboxId mailbox, Uid uid) {
    Edit edit(account);
    edit.remove(mailbox, {{uid, uid}});
    edit.commit();
  }
  std::vector<int64_t> kept() {
    std::vector<int64_t> ids;
    account.scan_kept([&](const KeptMessage& one) {
      ids.push_back(one.id);
      return true;
    });
    return ids;
  }
  size_t restore_all(std::optional<MailboxId> to = {}) {
    Edit edit(account);
    size_t count = edit.restore(kept(), to).value();
    edit.commit();
    return count;
  }
  MailboxId show() {
    Edit edit(account);
    EXPECT_TRUE(edit.show_expunged("Recently Deleted"));
    edit.commit();
    return account.find_mailbox("Recently Deleted")->id;
  }
  /// UIDs and flags of a mailbox.
  std::vector<std::pair<Uid, uint64_t>> entries(MailboxId mailbox) {
    std::vector<std::pair<Uid, uint64_t>> all;
    account.scan(mailbox, {1, UINT32_MAX}, kWantEntry, [&](const MessageRow& row) {
      all.emplace_back(row.uid, row.flags.bits());
      return true;
    });
    return all;
  }
  /// The counters of a mailbox are those of its rows.
  void expect_counted(MailboxId mailbox) {
    uint32_t messages = 0, unseen = 0;
    uint64_t size = 0;
    account.scan(mailbox, {1, UINT32_MAX}, kWantEntry, [&](const MessageRow& row) {
      ++messages, size += row.size;
      if (!row.flags.has(Flags::kSeen)) ++unseen;
      return true;
    });
    auto box = account.mailbox(mailbox);
    EXPECT_EQ(box->messages, messages);
    EXPECT_EQ(box->unseen, unseen);
    EXPECT_EQ(box->size, size);
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Account account;
  MailboxId inbox = 0;
};

TEST_F(KeptTest, ExpungedMessageComesBackUnderANewUidWithoutDeleted) {
  append(inbox, "a", Flags(Flags::kFlagged | Flags::kDeleted));
  append(inbox, "b");
  const uint64_t used = account.used_bytes();
  remove(inbox, 1);
  EXPECT_LT(account.used_bytes(), used);
  const ModSeq since = account.modseq();
  EXPECT_EQ(restore_all(), 1U);
  EXPECT_THAT(entries(inbox), ElementsAre(std::pair(2U, 0U), std::pair(3U, Flags::kFlagged)));
  EXPECT_EQ(account.used_bytes(), used);
  EXPECT_THAT(account.changes_since(inbox, since).added, ElementsAre(UidRange{3, 3}));
  EXPECT_THAT(kept(), IsEmpty());
  expect_counted(inbox);
}

TEST_F(KeptTest, DeletedMailboxComesBackWithItsMessagesAndItsUse) {
  MailboxId sent = account.find_mailbox("Sent")->id;
  append(sent, "a");
  append(sent, "b");
  {
    Edit edit(account);
    ASSERT_TRUE(edit.delete_mailbox("Sent"));
    edit.commit();
  }
  EXPECT_EQ(restore_all(), 2U);
  auto again = account.find_mailbox("Sent");
  ASSERT_TRUE(again);
  EXPECT_NE(again->id, sent);
  EXPECT_EQ(again->special_use, "\\Sent");
  EXPECT_EQ(again->messages, 2U);
  expect_counted(again->id);
}

TEST_F(KeptTest, GoesToAnotherMailboxWhereThatIsSaid) {
  append(inbox, "a");
  remove(inbox, 1);
  MailboxId archive = account.find_mailbox("Archive")->id;
  EXPECT_EQ(restore_all(archive), 1U);
  EXPECT_THAT(entries(archive), SizeIs(1));
  EXPECT_THAT(entries(inbox), IsEmpty());
}

TEST_F(KeptTest, IsShownInAMailboxOfItsOwnThatCountsForNothing) {
  append(inbox, "before");
  append(inbox, "after", Flags(Flags::kSeen | Flags::kDeleted));
  remove(inbox, 1);
  MailboxId view = show();
  remove(inbox, 2);
  EXPECT_THAT(entries(view), ElementsAre(std::pair(1U, 0U), std::pair(2U, Flags::kSeen)));
  EXPECT_EQ(account.used_bytes(), 0U);
  expect_counted(view);
  Edit edit(account);
  EXPECT_EQ(edit.append(view, state.message(simple_message("x")), {}, {}, 1, 0, 0).error().fault,
            StoreFault::not_allowed);
  EXPECT_EQ(edit.delete_mailbox("Recently Deleted").error().fault, StoreFault::not_allowed);
  EXPECT_EQ(edit.rename_mailbox("Recently Deleted", "Mine").error().fault, StoreFault::not_allowed);
  EXPECT_EQ(edit.copy(view, {{1, 1}}, view, 0).error().fault, StoreFault::not_allowed);
}

TEST_F(KeptTest, MovedOutOfThatMailboxItIsExpungedNoLonger) {
  append(inbox, "a");
  append(inbox, "b");
  MailboxId view = show();
  remove(inbox, 1);
  remove(inbox, 2);
  Edit edit(account);
  EXPECT_EQ(edit.move(view, {{1, 2}}, inbox, 10).error().fault, StoreFault::over_quota);
  EXPECT_THAT(edit.move(view, {{1, 1}}, inbox).value().to, ElementsAre(UidRange{3, 3}));
  edit.commit();
  EXPECT_THAT(entries(view), ElementsAre(std::pair(2U, 0U)));
  EXPECT_THAT(kept(), SizeIs(1));
  EXPECT_GT(account.used_bytes(), 0U);
  expect_counted(view);
  expect_counted(inbox);
}

TEST_F(KeptTest, LeavesThatMailboxWhenItIsRestoredOrForgotten) {
  append(inbox, "a");
  append(inbox, "b");
  append(inbox, "c");
  MailboxId view = show();
  remove(inbox, 1);
  remove(inbox, 2);
  {
    Edit edit(account);
    edit.restore({kept().front()}, std::nullopt).value();
    edit.commit();
  }
  EXPECT_THAT(entries(view), ElementsAre(std::pair(2U, 0U)));
  const ModSeq since = account.modseq();
  clock.advance(std::chrono::hours(24 * 15));
  remove(inbox, 3);
  account.maintain({clock.unix_time() - 24 * 3600, 0});
  EXPECT_THAT(entries(view), ElementsAre(std::pair(3U, 0U)));
  EXPECT_THAT(account.changes_since(view, since).expunged, ElementsAre(UidRange{2, 2}));
  expect_counted(view);
}

TEST_F(KeptTest, MailboxOfExpungedMessagesGoesAndComesWithoutLosingAny) {
  append(inbox, "a");
  show();
  remove(inbox, 1);
  {
    Edit edit(account);
    edit.hide_expunged();
    edit.commit();
  }
  EXPECT_FALSE(account.find_mailbox("Recently Deleted"));
  EXPECT_THAT(kept(), SizeIs(1));
  EXPECT_THAT(entries(show()), SizeIs(1));
}

TEST_F(KeptTest, OrdinaryMailboxOfThatNameIsLeftAlone) {
  Edit edit(account);
  edit.create_mailbox("Recently Deleted", "").value();
  EXPECT_EQ(edit.show_expunged("Recently Deleted").error().fault, StoreFault::already_exists);
}

TEST_F(KeptTest, TakesNoMoreThanItMay) {
  for (int i = 0; i < 4; ++i) {
    append(inbox, "same size");
    remove(inbox, static_cast<Uid>(i + 1));
    clock.advance(std::chrono::hours(1));
  }
  Retention retention;
  retention.max_kept = simple_message("same size").size() * 2;
  account.maintain(retention);
  EXPECT_THAT(kept(), SizeIs(2));
  EXPECT_EQ(restore_all(), 2U);
  EXPECT_THAT(entries(inbox), ElementsAre(std::pair(5U, 0U), std::pair(6U, 0U)));
}

TEST_F(KeptTest, MessageThatIsStillSomewhereElseSurvivesThePurge) {
  append(inbox, "a");
  MailboxId archive = account.find_mailbox("Archive")->id;
  {
    Edit edit(account);
    edit.copy(inbox, {{1, 1}}, archive, 0).value();
    edit.commit();
  }
  remove(inbox, 1);
  clock.advance(std::chrono::hours(24 * 15));
  account.maintain({clock.unix_time(), 0});
  std::string text;
  account.read(1, 0, 10'000, text);
  EXPECT_EQ(text, simple_message("a"));
}

TEST_F(KeptTest, MessagesBeyondTheLimitAreOverQuotaAndKeptOnesAreNotCounted) {
  append(inbox, "a");
  account.limit_messages(1);
  {
    Edit edit(account);
    EXPECT_EQ(edit.append(inbox, state.message(simple_message("b")), {}, {}, 1, 7, 0).error().fault,
              StoreFault::over_quota);
    edit.commit();
  }
  remove(inbox, 1);
  Edit edit(account);
  EXPECT_EQ(edit.append(inbox, state.message(simple_message("b")), {}, {}, 1, 7, 0).value(), 2U);  // not a replay
}

/// Asked by one thread and moved by another.
class SharedClock final : public Clock {
 public:
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::from_time_t(time_); }
  void advance(UnixTime seconds) { time_ += seconds; }

 private:
  std::atomic<UnixTime> time_ = 1'700'000'000;
};

TEST(Maintenance, KeepsExpungedMailForADayOnlyWhileTheDiskIsNearlyFull) {
  TempState state;
  SharedClock clock;
  Accounts accounts(state.path(), 4, clock);
  auto count = [&] {
    size_t kept = 0;
    accounts.open(1)->scan_kept([&](const KeptMessage&) { return ++kept > 0; });
    return kept;
  };
  for (int day = 0; day < 3; ++day) {
    auto account = accounts.open(1);
    MailboxId inbox = account->find_mailbox("INBOX")->id;
    Edit edit(*account);
    Uid uid = edit.append(inbox, state.message(simple_message("x")), {}, {}, 1, 0, 0).value();
    edit.remove(inbox, {{uid, uid}});
    edit.commit();
    clock.advance(20 * 3600);
  }
  std::promise<void> looked, again;
  Maintenance::Options options;
  options.purge_accounts = [] { return std::vector<AccountInfo>{{1, "alice@example.test"}}; };
  options.disk_is_low = [&, looks = 0]() mutable {
    if (++looks == 1) looked.set_value();
    if (looks == 2) again.set_value();
    return true;
  };
  Maintenance maintenance(accounts, clock, options);
  // A minute after the start, and every ten minutes.
  for (auto* event : {&looked, &again}) {
    auto came = event->get_future();
    for (int i = 0; i < 50 && came.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready; ++i)
      clock.advance(120);
  }
  EXPECT_EQ(count(), 1U);
}

/// An account of the first version, with a message and one that was expunged.
TEST(KeptMigration, AccountOfTheFirstVersionKeepsWhatItHas) {
  TempState state;
  ManualClock clock{1'700'000'000};
  {
    Database db(state.file("1.db"), OpenMode::create, Sync::normal);
    migrate(db, std::span(kAccountMigrations).first(1));
    db.execute(
        "INSERT INTO state VALUES(1, 5, 3, 7, 0, 'another boot');"
        "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq, messages, unseen, size) "
        "VALUES('INBOX', '', 7, 3, 5, 1, 1, 40);"
        "INSERT INTO entry VALUES(1, 1, 5, 0, 1, 40, 1000);"
        "INSERT INTO expunged VALUES(1, 1, 2, 5, 8, 2, 40, 1000, 1699999999);");
  }
  Account account(state.file("1.db"), 1, OpenMode::must_exist, clock);
  EXPECT_EQ(account.used_bytes(), 40U);
  Edit edit(account);
  EXPECT_EQ(edit.restore({1}, std::nullopt).value(), 1U);
  edit.commit();
  EXPECT_EQ(account.find_mailbox("INBOX")->messages, 2U);
}

}  // namespace
}  // namespace postrider::store
