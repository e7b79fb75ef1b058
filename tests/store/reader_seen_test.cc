// \Seen of each reader in mailboxes of others.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "store/account.h"
#include "store/account_schema.h"
#include "store/search_index.h"
#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr AccountId kBob = 2, kCarol = 3;
constexpr UidRange kAll = {1, UINT32_MAX};

class ReaderSeenTest : public testing::Test {
 protected:
  ReaderSeenTest() {
    inbox = account.find_mailbox("INBOX")->id;
    {
      Edit edit(account);
      for (AccountId who : {kBob, kCarol}) EXPECT_TRUE(edit.grant(inbox, {who, false, right::kRead | right::kSeen}));
      edit.commit();
    }
  }

  void append(int count, Flags flags = Flags()) {
    Edit edit(account);
    for (int i = 0; i < count; ++i)
      ASSERT_TRUE(edit.append(inbox, state.message(simple_message("x")), "", flags, 1, 0, 0));
    edit.commit();
  }
  StoredFlags store(AccountId reader, UidRanges uids, FlagChange change, Flags flags,
                    std::optional<ModSeq> unchanged_since = {}) {
    account.read_as(reader);
    Edit edit(account);
    StoredFlags stored = edit.store_flags(inbox, uids, change, flags, unchanged_since);
    edit.commit();
    return stored;
  }
  StoredFlags see(AccountId reader, UidRanges uids) {
    return store(reader, std::move(uids), FlagChange::add, Flags(Flags::kSeen));
  }
  UidRanges seen_by(AccountId reader, std::optional<MailboxId> mailbox = {}) {
    account.read_as(reader);
    UidRanges seen;
    account.scan(mailbox.value_or(inbox), kAll, kWantEntry, [&](const MessageRow& row) {
      if (row.flags.has(Flags::kSeen)) append_uid(seen, row.uid);
      return true;
    });
    return seen;
  }
  ModSeq modseq_of(AccountId reader, Uid uid) {
    account.read_as(reader);
    ModSeq modseq = 0;
    account.scan(inbox, {uid, uid}, kWantEntry, [&](const MessageRow& row) {
      modseq = row.modseq;
      return true;
    });
    return modseq;
  }
  int64_t runs() {
    Database db(state.file("1.db"), OpenMode::must_exist, Sync::normal);
    Rows rows(db.prepare("SELECT count(*) FROM reader_seen"));
    rows.next();
    return rows->integer(0);
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Account account{state.file("1.db"), 1, OpenMode::create, clock};
  MailboxId inbox = 0;
};

TEST_F(ReaderSeenTest, EachReaderHasTheirOwn) {
  append(5);
  EXPECT_THAT(see(kBob, {{2, 3}}).changed, ElementsAre(UidRange{2, 3}));
  EXPECT_THAT(see(kCarol, {{3, 4}}).changed, ElementsAre(UidRange{3, 4}));
  EXPECT_THAT(see(0, {{5, 5}}).changed, ElementsAre(UidRange{5, 5}));
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{2, 3}));
  EXPECT_THAT(seen_by(kCarol), ElementsAre(UidRange{3, 4}));
  EXPECT_THAT(seen_by(1), ElementsAre(UidRange{5, 5}));
  EXPECT_THAT(see(kBob, {{1, 3}}).changed, ElementsAre(UidRange{1, 1}));
  EXPECT_THAT(store(kBob, {{2, 2}}, FlagChange::remove, Flags(Flags::kSeen)).changed, ElementsAre(UidRange{2, 2}));
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{1, 1}, UidRange{3, 3}));
  EXPECT_EQ(account.find_mailbox("INBOX")->unseen, 4U);  // the owner's
  auto counted = [&](AccountId reader) {
    account.read_as(reader);
    return account.snapshot(inbox).value();
  };
  EXPECT_EQ(counted(kBob).mailbox.unseen, 3U);
  EXPECT_EQ(counted(kBob).first_unseen, 2U);
  EXPECT_EQ(counted(kCarol).first_unseen, 1U);
  EXPECT_EQ(counted(4).mailbox.unseen, 5U);
  EXPECT_EQ(counted(0).mailbox.unseen, 4U);
  EXPECT_EQ(counted(0).first_unseen, 1U);
}

TEST_F(ReaderSeenTest, OtherFlagsAreTheMailboxs) {
  append(3);
  auto stored = store(kBob, {{1, 2}}, FlagChange::replace, Flags(Flags::kSeen | Flags::kFlagged));
  EXPECT_THAT(stored.changed, ElementsAre(UidRange{1, 2}));
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{1, 2}));
  EXPECT_THAT(seen_by(0), IsEmpty());
  account.read_as(0);
  account.scan(inbox, {1, 1}, kWantEntry, [&](const MessageRow& row) {
    EXPECT_EQ(row.flags.bits(), Flags::kFlagged);
    return true;
  });
  see(0, {{1, 3}});
  // What the owner has seen stays so when a reader changes other flags.
  store(kBob, {{1, 1}}, FlagChange::replace, Flags(Flags::kDeleted));
  EXPECT_THAT(seen_by(0), ElementsAre(UidRange{1, 3}));
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{2, 2}));
  EXPECT_EQ(account.find_mailbox("INBOX")->unseen, 0U);
  EXPECT_EQ(account.find_mailbox("INBOX")->deleted, 1U);
}

TEST_F(ReaderSeenTest, ModSeqsAreTheReaders) {
  append(3);
  const ModSeq before = account.modseq();
  const ModSeq old = modseq_of(kBob, 2);
  see(kBob, {{2, 2}});
  const ModSeq now = account.modseq();
  EXPECT_GT(now, before);
  EXPECT_EQ(modseq_of(kBob, 2), now);
  EXPECT_EQ(modseq_of(kCarol, 2), old);
  EXPECT_EQ(modseq_of(0, 2), old);
  auto changes = [&](AccountId reader) {
    account.read_as(reader);
    return account.changes_since(inbox, before);
  };
  EXPECT_THAT(changes(kBob).flags, ElementsAre(UidRange{2, 2}));
  EXPECT_EQ(changes(kBob).modseq, now);
  EXPECT_THAT(changes(kCarol).flags, IsEmpty());
  EXPECT_THAT(changes(0).flags, IsEmpty());
  account.read_as(kBob);
  EXPECT_EQ(account.snapshot(inbox)->mailbox.highest_modseq, now);
  EXPECT_THAT(account.missed_since(inbox, before).changed, ElementsAre(UidRange{2, 2}));
  account.read_as(0);
  EXPECT_LT(account.snapshot(inbox)->mailbox.highest_modseq, now);
  // UNCHANGEDSINCE: what the reader changed meanwhile is left alone, and so are its other flags.
  auto late = store(kBob, {{1, 3}}, FlagChange::replace, Flags(Flags::kFlagged), before);
  EXPECT_THAT(late.modified, ElementsAre(UidRange{2, 2}));
  EXPECT_THAT(late.changed, ElementsAre(UidRange{1, 1}, UidRange{3, 3}));
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{2, 2}));
  // Nothing changed, nothing written.
  const ModSeq last = account.modseq();
  EXPECT_THAT(see(kBob, {{2, 2}}).changed, IsEmpty());
  EXPECT_EQ(account.modseq(), last);
}

/// Compared with the flags of single messages, through many changes of odd stretches.
TEST_F(ReaderSeenTest, RunsAreCutAndJoinedAsMessagesAre) {
  append(60);
  {
    account.read_as(0);
    Edit edit(account);
    edit.remove(inbox, {{5, 5}, {20, 29}});
    edit.commit();
  }
  std::vector<bool> model(61, false);
  std::mt19937 random(7);
  auto pick = [&](Uid most) { return static_cast<Uid>(1 + random() % most); };
  for (int round = 0; round < 300; ++round) {
    Uid first = pick(60), last = std::min<Uid>(60, first + pick(12));
    bool seen = random() % 2 == 0;
    store(kBob, {{first, last}}, seen ? FlagChange::add : FlagChange::remove, Flags(Flags::kSeen));
    for (Uid uid = first; uid <= last; ++uid) model[uid] = seen;
    if (round % 50 == 49) {
      store(0, {{1, 1}}, FlagChange::replace, Flags(round % 100 == 49 ? Flags::kFlagged : 0));
      account.maintain({0, clock.unix_time() + 1});
    }
    UidRanges expected;
    for (Uid uid = 1; uid <= 60; ++uid) {
      if (model[uid] && uid != 5 && (uid < 20 || uid > 29)) append_uid(expected, uid);
    }
    ASSERT_EQ(seen_by(kBob), expected) << round;
    ASSERT_EQ(account.snapshot(inbox)->mailbox.unseen, 49 - count(expected)) << round;
  }
}

TEST_F(ReaderSeenTest, OldRunsAreJoined) {
  append(10);
  for (Uid uid = 1; uid <= 10; ++uid) see(kBob, {{uid, uid}});
  see(kCarol, {{1, 10}});
  EXPECT_EQ(runs(), 11);
  const ModSeq highest = account.modseq();
  account.maintain({0, 0});
  EXPECT_EQ(runs(), 11);
  clock.advance(std::chrono::seconds(1'000));
  append(1);
  clock.advance(std::chrono::seconds(1'000));
  account.maintain({0, clock.unix_time() - 500});
  EXPECT_EQ(runs(), 2);
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{1, 10}));
  account.read_as(kCarol);
  EXPECT_EQ(modseq_of(kBob, 5), highest - 1);
}

TEST_F(ReaderSeenTest, WhatComesInIsSeenByWhoBroughtIt) {
  append(2);
  see(kBob, {{1, 1}});
  see(0, {{2, 2}});
  account.read_as(0);
  MailboxId work = 0;
  {
    Edit edit(account);
    work = edit.create_mailbox("Work", "").value();
    edit.commit();
  }
  account.read_as(kBob);
  {
    Edit edit(account);
    ASSERT_TRUE(
        edit.append(inbox, state.message(simple_message("y")), "", Flags(Flags::kSeen | Flags::kDraft), 1, 0, 0));
    ASSERT_TRUE(edit.copy(inbox, {{1, 2}}, work, 0));
    ASSERT_TRUE(edit.copy(inbox, {{1, 2}}, work, 0, ~Flags::kSeen));
    ASSERT_TRUE(edit.move(inbox, {{1, 2}}, work));
    edit.commit();
  }
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{3, 3}));
  EXPECT_THAT(seen_by(0), IsEmpty());
  EXPECT_THAT(seen_by(kBob, work), ElementsAre(UidRange{1, 1}, UidRange{5, 5}));
  EXPECT_THAT(seen_by(0, work), ElementsAre(UidRange{2, 2}, UidRange{4, 4}, UidRange{6, 6}));
  EXPECT_EQ(account.mailbox(inbox)->unseen, 1U);
  EXPECT_EQ(account.mailbox(work)->unseen, 3U);
}

TEST_F(ReaderSeenTest, GoesBetweenAccounts) {
  append(2);
  see(kBob, {{1, 1}});
  see(0, {{2, 2}});
  Account bobs(state.file("2.db"), kBob, OpenMode::create, clock);
  MailboxId target = bobs.find_mailbox("INBOX")->id;
  account.read_as(kBob);
  {
    Edit edit(bobs);
    ASSERT_TRUE(edit.copy_from(account, inbox, {{1, 2}}, target, 0, ~uint64_t{0}));
    edit.commit();
  }
  EXPECT_EQ(bobs.find_mailbox("INBOX")->unseen, 1U);
  {
    Edit edit(account);
    ASSERT_TRUE(edit.copy_from(bobs, target, {{1, 2}}, inbox, 0, ~uint64_t{0}));
    edit.commit();
  }
  EXPECT_THAT(seen_by(kBob), ElementsAre(UidRange{1, 1}, UidRange{3, 3}));
  EXPECT_THAT(seen_by(0), ElementsAre(UidRange{2, 2}));
}

TEST_F(ReaderSeenTest, IsForgottenWithTheRightTheMailboxAndTheAccount) {
  append(2);
  see(kBob, {{1, 2}});
  see(kCarol, {{1, 2}});
  account.read_as(0);
  const ModSeq before = account.modseq();
  {
    Edit edit(account);
    ASSERT_TRUE(edit.grant(inbox, {kBob, false, right::kLookup}));
    edit.commit();
  }
  EXPECT_THAT(seen_by(kBob), IsEmpty());
  EXPECT_THAT(seen_by(kCarol), ElementsAre(UidRange{1, 2}));
  // A client that had it otherwise is told, should it be let in again.
  account.read_as(kBob);
  EXPECT_GT(account.snapshot(inbox)->mailbox.highest_modseq, before);
  EXPECT_GT(modseq_of(kBob, 1), before);
  EXPECT_THAT(account.missed_since(inbox, before).changed, ElementsAre(kAll));
  std::vector<AccountId> left = {1, kBob};
  account.maintain({.accounts = left});
  EXPECT_THAT(seen_by(kCarol), IsEmpty());
  EXPECT_EQ(account.grants(inbox).size(), 1U);
  EXPECT_EQ(runs(), 1);
  account.read_as(0);
  MailboxId gone = 0;
  {
    Edit edit(account);
    gone = edit.create_mailbox("Gone", "").value();
    ASSERT_TRUE(edit.copy(inbox, {{1, 2}}, gone, 0));
    edit.commit();
  }
  account.read_as(kBob);
  {
    Edit edit(account);
    edit.store_flags(gone, {kAll}, FlagChange::add, Flags(Flags::kSeen), {});
    edit.commit();
  }
  EXPECT_EQ(runs(), 2);
  {
    Edit edit(account);
    ASSERT_TRUE(edit.delete_mailbox("Gone"));
    edit.commit();
  }
  account.maintain({clock.unix_time() + 1, 0});
  EXPECT_EQ(runs(), 1);
}

TEST_F(ReaderSeenTest, ThreadsThatNobodyIsInAreForgotten) {
  auto keys = [&] {
    Database db(state.file("1.db"), OpenMode::must_exist, Sync::normal);
    Rows rows(db.prepare("SELECT count(*) FROM thread_key"));
    rows.next();
    return rows->integer(0);
  };
  {
    Edit edit(account);
    ASSERT_TRUE(edit.append(inbox, state.message("Message-ID: <a@b>\r\n\r\nx"), "", Flags(), 1, 0, 0));
    ASSERT_TRUE(
        edit.append(inbox, state.message("Message-ID: <c@b>\r\nReferences: <a@b>\r\n\r\nx"), "", Flags(), 1, 0, 0));
    ASSERT_TRUE(edit.append(inbox, state.message("Message-ID: <d@b>\r\n\r\nx"), "", Flags(), 1, 0, 0));
    edit.commit();
  }
  EXPECT_EQ(keys(), 3);
  auto remove = [&](Uid uid) {
    Edit edit(account);
    edit.remove(inbox, {{uid, uid}});
    edit.commit();
  };
  remove(1);
  remove(3);
  account.maintain({clock.unix_time() + 1, 0});
  EXPECT_EQ(keys(), 2);  // the first of the thread is gone, and the second is still in it
  remove(2);
  account.maintain({clock.unix_time() + 1, 0});
  EXPECT_EQ(keys(), 0);
}

TEST(ReaderSeenMigration, ASharedMailboxOfTheVersionBeforeIsUnseenForReaders) {
  TempState state;
  ManualClock clock{1'700'000'000};
  {
    Database db(state.file("1.db"), OpenMode::create, Sync::normal);
    migrate(db, std::span(kAccountMigrations).first(3));
    db.execute(
        "INSERT INTO state VALUES(1, 5, 3, 7, 0, 'another boot');"
        "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq, messages, unseen, size) "
        "VALUES('INBOX', '', 7, 2, 5, 1, 0, 40);"
        "INSERT INTO entry VALUES(1, 1, 5, 1, 1, 40, 1000);"
        "INSERT INTO search(rowid, trigrams) VALUES(1, 'abc');"
        "UPDATE search_state SET indexed_to = 1, rows = 1;");
  }
  Account account(state.file("1.db"), 1, OpenMode::must_exist, clock);
  EXPECT_EQ(account.snapshot(1)->mailbox.unseen, 0U);
  account.read_as(kBob);
  EXPECT_EQ(account.snapshot(1)->mailbox.unseen, 1U);
  EXPECT_EQ(account.snapshot(1)->first_unseen, 1U);
  EXPECT_FALSE(SearchIndex(account).drop());  // it is begun anew, because more is found with it now
}

}  // namespace
}  // namespace postrider::store
