// An account file: messages, flags, expunge, the log of changes.
#include "store/account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "at_once.h"
#include "store/accounts.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class AccountTest : public testing::Test {
 protected:
  AccountTest() : account(state.file("1.db"), 1, OpenMode::create, clock) { inbox = account.find_mailbox("INBOX")->id; }

  Uid append(std::string_view text, Flags flags = {}, std::string_view prefix = {}, QueueId delivery = 0) {
    Edit edit(account);
    Uid uid = edit.append(inbox, state.message(text), prefix, flags, 1'000, delivery, 0).value();
    edit.commit();
    return uid;
  }
  std::string content(MailboxId mailbox, Uid uid) {
    std::string out;
    std::vector<MessageRow> rows;
    account.scan(mailbox, {uid, uid}, kWantEntry, [&](const MessageRow& row) {
      rows.push_back(row);
      return true;
    });
    if (rows.empty()) return "no such message";
    account.read(rows[0].message, 0, rows[0].size, out);
    EXPECT_EQ(out.size(), rows[0].size);
    return out;
  }
  std::vector<std::pair<Uid, uint64_t>> flags() {
    std::vector<std::pair<Uid, uint64_t>> all;
    account.scan(inbox, {1, UINT32_MAX}, kWantEntry, [&](const MessageRow& row) {
      all.emplace_back(row.uid, row.flags.bits());
      return true;
    });
    return all;
  }
  MailboxId create(std::string_view name) {
    Edit edit(account);
    MailboxId id = edit.create_mailbox(name, "").value();
    edit.commit();
    return id;
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Account account;
  MailboxId inbox = 0;
};

TEST_F(AccountTest, NewAccountHasTheMailboxesThatClientsLookFor) {
  std::vector<std::string> names;
  for (const Mailbox& mailbox : account.mailboxes()) {
    names.push_back(mailbox.name + mailbox.special_use);
    EXPECT_TRUE(mailbox.subscribed) << mailbox.name;
  }
  EXPECT_THAT(names,
              ElementsAre("Archive\\Archive", "Drafts\\Drafts", "INBOX", "Junk\\Junk", "Sent\\Sent", "Trash\\Trash"));
}

TEST_F(AccountTest, NewAccountCanBeOpenedByManyAtOnce) {
  Accounts accounts(state.path(), 4, clock);
  for (AccountId id = 100; id < 150; ++id) {
    EXPECT_THAT(at_once(4, [&] { accounts.open(id)->find_mailbox("INBOX").value(); }), IsEmpty());
  }
}

TEST_F(AccountTest, LogOfAFileThatIsNotKeptOpenIsShort) {
  Accounts accounts(state.path(), 1, clock);
  {
    std::string text(1'000'000, '\0');
    std::mt19937 random;  // what cannot be made small
    for (char& c : text) c = static_cast<char>('0' + random() % 64);
    auto written = accounts.open(100);
    Edit edit(*written);
    ASSERT_TRUE(edit.append(written->find_mailbox("INBOX")->id, state.message(text), "", {}, 1, 0, 0));
    edit.commit();
  }
  EXPECT_THAT(accounts.take_grown(), IsEmpty()) << "it is open";
  accounts.open(101)->find_mailbox("INBOX");
  EXPECT_THAT(accounts.take_grown(), ElementsAre(100));
}

TEST_F(AccountTest, MessageComesBackOctetForOctetWithItsPrefix) {
  std::string text = simple_message("hello", 5'000);
  Uid uid = append(text, {}, "Return-Path: <a@example.test>\r\n");
  EXPECT_EQ(content(inbox, uid), "Return-Path: <a@example.test>\r\n" + text);
}

TEST_F(AccountTest, LargeMessageIsKeptInPiecesAndReadFromAnyOffset) {
  std::string text = simple_message("large");
  for (uint64_t seed = 1; text.size() < 3 * kChunkSize + 77;
       seed = seed * 6364136223846793005ULL + 1442695040888963407ULL) {
    text += std::to_string(seed) + "\r\n";
  }
  Uid uid = append(text, {}, "P: 1\r\n");
  std::string whole = "P: 1\r\n" + text;
  EXPECT_EQ(content(inbox, uid), whole);
  for (uint64_t offset : {uint64_t{0}, uint64_t{3}, uint64_t{6}, uint64_t{50}, kChunkSize - 1UL, kChunkSize + 60UL,
                          2 * kChunkSize + 5UL}) {
    std::string part;
    account.read(1, offset, 1'000, part);
    EXPECT_EQ(part, whole.substr(offset, 1'000)) << offset;
  }
}

TEST_F(AccountTest, HeaderLongerThanItsInlinePartIsWhole) {
  std::string text = "Subject: long\r\n";
  while (text.size() < kMaxInlineHead + 5'000) text += "X-Field: " + std::string(60, 'x') + "\r\n";
  text += "\r\nbody\r\n";
  EXPECT_EQ(content(inbox, append(text)), text);
}

TEST_F(AccountTest, EmptyMessageIsAMessage) {
  EXPECT_EQ(content(inbox, append("")), "");
}

TEST_F(AccountTest, SecondDeliveryOfTheSameQueueIdAppendsNothing) {
  EXPECT_EQ(append(simple_message("once"), {}, {}, 77), 1U);
  EXPECT_EQ(append(simple_message("once"), {}, {}, 77), 0U);
  EXPECT_EQ(account.mailbox(inbox)->messages, 1U);
}

TEST_F(AccountTest, DeliveryRefusedForQuotaCanBeTriedAgain) {
  Edit edit(account);
  auto refused = edit.append(inbox, state.message(simple_message("x", 900)), {}, {}, 0, 5, 500);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, StoreFault::over_quota);
  EXPECT_EQ(edit.append(inbox, state.message(simple_message("x")), {}, {}, 0, 5, 500).value(), 1U);
}

TEST_F(AccountTest, CountersFollowEveryChange) {
  append(simple_message("1"));
  append(simple_message("2"), Flags(Flags::kSeen));
  append(simple_message("3"), Flags(Flags::kDeleted));
  auto counters = [&] {
    auto box = account.mailbox(inbox);
    return std::tuple(box->messages, box->unseen, box->deleted, box->uid_next);
  };
  EXPECT_EQ(counters(), std::tuple(3, 2, 1, 4));
  {
    Edit edit(account);
    edit.store_flags(inbox, {{1, 3}}, FlagChange::add, Flags(Flags::kSeen | Flags::kDeleted), std::nullopt);
    edit.commit();
  }
  EXPECT_EQ(counters(), std::tuple(3, 0, 3, 4));
  {
    Edit edit(account);
    UidRanges only = {{2, 2}};
    EXPECT_THAT(edit.expunge(inbox, &only), ElementsAre(UidRange{2, 2}));
    edit.commit();
  }
  EXPECT_EQ(counters(), std::tuple(2, 0, 2, 4));
  {
    Edit edit(account);
    EXPECT_THAT(edit.expunge(inbox, nullptr), ElementsAre(UidRange{1, 1}, UidRange{3, 3}));
    edit.commit();
  }
  EXPECT_EQ(counters(), std::tuple(0, 0, 0, 4));
  EXPECT_EQ(account.used_bytes(), 0U);
}

TEST_F(AccountTest, FlagsAreAddedRemovedAndReplaced) {
  append(simple_message("1"), Flags(Flags::kSeen));
  append(simple_message("2"));
  auto store = [&](FlagChange change, uint64_t bits) {
    Edit edit(account);
    StoredFlags stored = edit.store_flags(inbox, {{1, 9}}, change, Flags(bits), std::nullopt);
    edit.commit();
    return stored.changed;
  };
  EXPECT_THAT(store(FlagChange::add, Flags::kSeen), ElementsAre(UidRange{2, 2}));
  EXPECT_THAT(store(FlagChange::remove, Flags::kFlagged), IsEmpty());
  EXPECT_THAT(store(FlagChange::replace, Flags::kFlagged), ElementsAre(UidRange{1, 2}));
  EXPECT_THAT(flags(), ElementsAre(std::pair(1U, Flags::kFlagged), std::pair(2U, Flags::kFlagged)));
}

TEST_F(AccountTest, UnchangedSinceLeavesNewerMessagesAlone) {
  append(simple_message("1"));
  append(simple_message("2"));
  ModSeq before = account.modseq();
  {
    Edit edit(account);
    edit.store_flags(inbox, {{1, 1}}, FlagChange::add, Flags(Flags::kFlagged), std::nullopt);
    edit.commit();
  }
  Edit edit(account);
  StoredFlags stored = edit.store_flags(inbox, {{1, 2}}, FlagChange::add, Flags(Flags::kSeen), before);
  edit.commit();
  EXPECT_THAT(stored.changed, ElementsAre(UidRange{2, 2}));
  EXPECT_THAT(stored.modified, ElementsAre(UidRange{1, 1}));
}

TEST_F(AccountTest, LogTellsWhatHappenedSince) {
  append(simple_message("1"));
  append(simple_message("2"));
  append(simple_message("3"), Flags(Flags::kDeleted));
  ModSeq since = account.modseq();
  append(simple_message("4"));
  append(simple_message("5"), Flags(Flags::kDeleted));
  {
    Edit edit(account);
    edit.store_flags(inbox, {{1, 1}}, FlagChange::add, Flags(Flags::kSeen), std::nullopt);
    edit.expunge(inbox, nullptr);
    edit.commit();
  }
  MailboxChanges changes = account.changes_since(inbox, since);
  EXPECT_THAT(changes.added, ElementsAre(UidRange{4, 4}));  // 5 came and went unseen
  EXPECT_THAT(changes.expunged, ElementsAre(UidRange{3, 3}));
  EXPECT_THAT(changes.flags, ElementsAre(UidRange{1, 1}));
  EXPECT_EQ(changes.modseq, account.modseq());
  EXPECT_THAT(account.changes_since(inbox, changes.modseq).added, IsEmpty());
}

TEST_F(AccountTest, SnapshotKnowsHolesAndTheFirstUnseen) {
  for (int i = 0; i < 5; ++i) append(simple_message("x"), Flags(i < 3 ? Flags::kSeen : 0));
  auto snapshot = account.snapshot(inbox);
  EXPECT_THAT(snapshot->uids, ElementsAre(UidRange{1, 5}));
  EXPECT_EQ(snapshot->first_unseen, 4U);
  {
    Edit edit(account);
    edit.remove(inbox, {{1, 1}, {3, 4}});
    edit.commit();
  }
  snapshot = account.snapshot(inbox);
  EXPECT_THAT(snapshot->uids, ElementsAre(UidRange{2, 2}, UidRange{5, 5}));
  EXPECT_EQ(snapshot->first_unseen, 5U);
  {
    Edit edit(account);
    edit.remove(inbox, {{2, 5}});
    edit.commit();
  }
  EXPECT_THAT(account.snapshot(inbox)->uids, IsEmpty());
  EXPECT_EQ(account.snapshot(inbox)->first_unseen, 0U);
}

TEST_F(AccountTest, PrunedLogSaysThatItDoesNotReachBack) {
  append(simple_message("1"));
  ModSeq since = account.modseq();
  append(simple_message("2"));
  clock.advance(std::chrono::hours(1));
  account.maintain({0, clock.unix_time()});
  EXPECT_TRUE(account.changes_since(inbox, since - 1).log_lost);
}

TEST_F(AccountTest, CopySharesTheMessageAndKeepsFlags) {
  append(simple_message("1"), Flags(Flags::kFlagged));
  append(simple_message("2"));
  MailboxId box = create("Box");
  Edit edit(account);
  CopiedUids copied = edit.copy(inbox, {{1, 2}}, box, 0).value();
  edit.commit();
  EXPECT_THAT(copied.from, ElementsAre(UidRange{1, 2}));
  EXPECT_THAT(copied.to, ElementsAre(UidRange{1, 2}));
  EXPECT_EQ(content(box, 2), content(inbox, 2));
  EXPECT_EQ(account.mailbox(box)->unseen, 2U);
}

TEST_F(AccountTest, CopyIntoTheSameMailboxDoesNotCopyItsCopies) {
  append(simple_message("1"));
  Edit edit(account);
  CopiedUids copied = edit.copy(inbox, {{1, UINT32_MAX}}, inbox, 0).value();
  edit.commit();
  EXPECT_THAT(copied.to, ElementsAre(UidRange{2, 2}));
  EXPECT_EQ(account.mailbox(inbox)->messages, 2U);
}

TEST_F(AccountTest, MoveIsOneChangeInBothMailboxes) {
  append(simple_message("1"));
  MailboxId box = create("Box");
  ModSeq since = account.modseq();
  Edit edit(account);
  edit.move(inbox, {{1, 1}}, box).value();
  edit.commit();
  EXPECT_EQ(account.modseq(), since + 1);
  EXPECT_THAT(account.changes_since(inbox, since).expunged, ElementsAre(UidRange{1, 1}));
  EXPECT_THAT(account.changes_since(box, since).added, ElementsAre(UidRange{1, 1}));
}

TEST_F(AccountTest, EditThatIsNotCommittedLeavesNothing) {
  ModSeq before = account.modseq();
  {
    Edit edit(account);
    edit.append(inbox, state.message(simple_message("x")), {}, {}, 0, 9, 0).value();
  }
  EXPECT_EQ(account.modseq(), before);
  EXPECT_THAT(flags(), IsEmpty());
  EXPECT_EQ(append(simple_message("x"), {}, {}, 9), 1U);
}

TEST_F(AccountTest, PurgeRemovesWhatNoMailboxHolds) {
  append(simple_message("kept in Box"));
  append(simple_message("gone"));
  MailboxId box = create("Box");
  {
    Edit edit(account);
    edit.copy(inbox, {{1, 1}}, box, 0).value();
    edit.store_flags(inbox, {{1, 2}}, FlagChange::add, Flags(Flags::kDeleted), std::nullopt);
    edit.expunge(inbox, nullptr);
    edit.commit();
  }
  clock.advance(std::chrono::hours(24 * 15));
  account.maintain({clock.unix_time(), 0});
  EXPECT_EQ(content(box, 1), simple_message("kept in Box"));
  std::string gone;
  account.read(2, 0, 100, gone);
  EXPECT_EQ(gone, "");
}

TEST_F(AccountTest, KeywordsAreFoundWhateverTheirCaseAndAreLimited) {
  Edit edit(account);
  Flags first = edit.keyword_bits({"$Forwarded", "Work"}).value();
  EXPECT_EQ(edit.keyword_bits({"work", "$FORWARDED"}).value(), first);
  std::vector<std::string> many;
  for (int i = 0; i < Flags::kMaxKeywords; ++i) many.push_back("k" + std::to_string(i));
  EXPECT_EQ(edit.keyword_bits(many).error().fault, StoreFault::limit);
}

TEST_F(AccountTest, AnotherMailboxOfTheSameNameHasAGreaterUidValidity) {
  create("Box");
  uint32_t first = account.find_mailbox("Box")->uid_validity;
  {
    Edit edit(account);
    ASSERT_TRUE(edit.delete_mailbox("Box"));
    edit.commit();
  }
  EXPECT_FALSE(account.find_mailbox("Box"));
  create("Box");
  EXPECT_GT(account.find_mailbox("Box")->uid_validity, first);
}

TEST_F(AccountTest, CreateMakesTheLevelsAboveAndRenameTakesTheChildrenAlong) {
  create("a/b/c");
  {
    Edit edit(account);
    ASSERT_TRUE(edit.rename_mailbox("a", "x/y"));
    edit.commit();
  }
  EXPECT_TRUE(account.find_mailbox("x"));
  EXPECT_TRUE(account.find_mailbox("x/y/b/c"));
  EXPECT_FALSE(account.find_mailbox("a/b"));
  Edit edit(account);
  EXPECT_EQ(edit.rename_mailbox("x/y", "x/y/b/z").error().fault, StoreFault::not_allowed);
}

TEST_F(AccountTest, RenamingInboxMovesItsMessages) {
  append(simple_message("1"));
  Edit edit(account);
  ASSERT_TRUE(edit.rename_mailbox("INBOX", "Old"));
  edit.commit();
  EXPECT_EQ(account.find_mailbox("INBOX")->messages, 0U);
  EXPECT_EQ(content(account.find_mailbox("Old")->id, 1), simple_message("1"));
}

TEST_F(AccountTest, NamesThatCannotBeKeptAreRefused) {
  Edit edit(account);
  for (std::string_view name : {"", "/a", "a/", "a//b", "a\nb"}) EXPECT_FALSE(edit.create_mailbox(name, "")) << name;
  EXPECT_EQ(edit.create_mailbox(std::string(kMaxMailboxName + 1, 'x'), "").error().fault, StoreFault::limit);
  EXPECT_EQ(edit.create_mailbox("INBOX", "").error().fault, StoreFault::already_exists);
  EXPECT_EQ(edit.delete_mailbox("INBOX").error().fault, StoreFault::not_allowed);
}

TEST_F(AccountTest, SubscriptionOutlivesItsMailbox) {
  create("Box");
  Edit edit(account);
  ASSERT_TRUE(edit.subscribe("Box", true));
  ASSERT_TRUE(edit.delete_mailbox("Box"));
  edit.commit();
  EXPECT_THAT(account.subscriptions(), testing::Contains("Box"));
}

TEST_F(AccountTest, RecentIsForTheSessionThatWasToldOfIt) {
  append(simple_message("1"));
  append(simple_message("2"));
  EXPECT_EQ(account.mailbox(inbox)->first_recent, 1U);
  {
    Edit edit(account);
    edit.claim_recent(inbox, 1);
    edit.commit();
  }
  EXPECT_EQ(account.mailbox(inbox)->first_recent, 2U);
}

TEST_F(AccountTest, SnapshotTellsUidsAndTheFirstUnseen) {
  append(simple_message("1"), Flags(Flags::kSeen));
  append(simple_message("2"), Flags(Flags::kDeleted));
  append(simple_message("3"));
  {
    Edit edit(account);
    edit.expunge(inbox, nullptr);
    edit.commit();
  }
  MailboxSnapshot snapshot = account.snapshot(inbox).value();
  EXPECT_THAT(snapshot.uids, ElementsAre(UidRange{1, 1}, UidRange{3, 3}));
  EXPECT_EQ(snapshot.first_unseen, 3U);
}

// A client may have seen deliveries that a power cut then takes back: their UIDs must not come to mean other messages.
TEST_F(AccountTest, AfterARebootUidsAndModseqsJump) {
  append(simple_message("1"));
  ModSeq before = account.modseq();
  {
    Database raw(state.file("1.db"), OpenMode::must_exist, Sync::full);
    raw.execute("UPDATE state SET boot = 'another'");
  }
  Account reopened(state.file("1.db"), 1, OpenMode::must_exist, clock);
  EXPECT_GE(reopened.mailbox(inbox)->uid_next, 20'000U);
  EXPECT_GE(reopened.modseq(), before + 20'000);
}

TEST_F(AccountTest, WritersOfSeveralHandlesTakeTurns) {
  constexpr int kThreads = 4;
  constexpr int kEach = 50;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      Account mine(state.file("1.db"), 1, OpenMode::must_exist, clock);
      for (int i = 0; i < kEach; ++i) {
        Edit edit(mine);
        edit.append(inbox, state.message(simple_message("x")), {}, {}, 0, 0, 0).value();
        edit.commit();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(account.snapshot(inbox)->uids, ElementsAre(UidRange{1, kThreads * kEach}));
}

}  // namespace
}  // namespace postrider::store
