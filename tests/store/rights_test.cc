// Access control lists, annotations, threads, and copies from one account into another.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store/account.h"
#include "store/directory.h"
#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

class RightsTest : public testing::Test {
 protected:
  RightsTest() { inbox = account.find_mailbox("INBOX")->id; }

  bool grant(MailboxId mailbox, const Grant& grant) {
    Edit edit(account);
    bool granted = edit.grant(mailbox, grant).has_value();
    if (granted) edit.commit();
    return granted;
  }
  bool annotate(std::string name, std::optional<std::string> value, AccountId user = 1) {
    Edit edit(account);
    bool set = edit.annotate({inbox, std::move(name), std::move(value)}, user).has_value();
    if (set) edit.commit();
    return set;
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Account account{state.file("1.db"), 1, OpenMode::create, clock};
  MailboxId inbox = 0;
};

TEST_F(RightsTest, LettersStandForRights) {
  EXPECT_EQ(parse_rights("lrswipkxtea"), right::kAll);
  EXPECT_EQ(parse_rights("cd"), right::kCreate | right::kDelete | right::kDeleteMessages | right::kExpunge);
  EXPECT_EQ(parse_rights(""), Rights{0});
  EXPECT_EQ(parse_rights("lL"), std::nullopt);
  EXPECT_EQ(format_rights(right::kAll), "lrswipkxteacd");
  EXPECT_EQ(format_rights(right::kLookup | right::kExpunge), "led");
  EXPECT_EQ(changeable_flags(right::kSeen), Flags::kSeen);
  EXPECT_EQ(changeable_flags(right::kAll), ~uint64_t{0});
}

TEST_F(RightsTest, SharedMailboxesHaveTheNamesOfOneMoment) {
  constexpr int kRenames = 100;
  for (std::string_view name : {"Work", "Work/Plans"}) {
    Edit edit(account);
    ASSERT_TRUE(edit.grant(edit.create_mailbox(name, "").value(), {kAnyone, false, right::kLookup}));
    edit.commit();
  }
  std::atomic<bool> done = false;
  std::jthread renaming([&] {
    Account other(state.file("1.db"), 1, OpenMode::must_exist, clock);
    for (int i = 0; i < kRenames; ++i) {
      Edit edit(other);
      EXPECT_TRUE(edit.rename_mailbox(i % 2 == 0 ? "Work" : "Play", i % 2 == 0 ? "Play" : "Work"));
      edit.commit();
    }
    done = true;
  });
  while (!done) {
    const std::vector<Mailbox> shared = account.shared_mailboxes(2);
    ASSERT_EQ(shared.size(), 2U);
    EXPECT_EQ(shared[1].name, shared[0].name + "/Plans");
  }
}

TEST_F(RightsTest, ComeFromOneselfAndFromAnyoneLessWhatIsTakenAway) {
  EXPECT_EQ(account.rights_of(inbox, 1), right::kAll);
  EXPECT_EQ(account.rights_of(inbox, 2), Rights{0});
  ASSERT_TRUE(grant(inbox, {2, false, right::kRead | right::kSeen}));
  ASSERT_TRUE(grant(inbox, {kAnyone, false, right::kLookup}));
  EXPECT_EQ(account.rights_of(inbox, 2), right::kLookup | right::kRead | right::kSeen);
  EXPECT_EQ(account.rights_of(inbox, 3), right::kLookup);
  ASSERT_TRUE(grant(inbox, {2, true, right::kSeen | right::kLookup}));
  EXPECT_EQ(account.rights_of(inbox, 2), right::kRead);
  EXPECT_THAT(account.shared_mailboxes(2), ElementsAre(Field(&Mailbox::id, inbox)));
  ASSERT_TRUE(grant(inbox, {2, false, 0}));
  EXPECT_EQ(account.grants(inbox).size(), 2U);
  for (AccountId who = 10; account.grants(inbox).size() < kMaxGrants; ++who)
    ASSERT_TRUE(grant(inbox, {who, false, right::kRead}));
  EXPECT_FALSE(grant(inbox, {9, false, right::kRead}));
}

TEST_F(RightsTest, GoOnToMailboxesThatAreMadeBelow) {
  ASSERT_TRUE(grant(inbox, {2, false, right::kRead}));
  Edit edit(account);
  MailboxId below = edit.create_mailbox("INBOX/a/b", "").value();
  edit.inherit_rights("INBOX/a/b");
  edit.commit();
  EXPECT_EQ(account.rights_of(below, 2), right::kRead);
  EXPECT_EQ(account.rights_of(account.find_mailbox("INBOX/a")->id, 2), right::kRead);
}

TEST_F(RightsTest, GoWithTheirMailbox) {
  MailboxId gone = 0;
  {
    Edit edit(account);
    gone = edit.create_mailbox("Gone", "").value();
    ASSERT_TRUE(edit.grant(gone, {2, false, right::kRead}));
    ASSERT_TRUE(edit.annotate({.mailbox = gone, .name = "/shared/comment", .value = "x"}, 1));
    edit.commit();
  }
  ASSERT_TRUE(grant(inbox, {2, false, right::kRead}));
  {
    Edit edit(account);
    ASSERT_TRUE(edit.delete_mailbox("Gone"));
    edit.commit();
  }
  account.maintain({clock.unix_time() + 1, 0});
  EXPECT_THAT(account.grants(gone), IsEmpty());
  EXPECT_THAT(account.annotations(gone, 1), IsEmpty());
  EXPECT_EQ(account.grants(inbox).size(), 1U);
}

TEST_F(RightsTest, TheDirectoryKnowsWhoMayHaveShared) {
  Directory directory(state.path(), clock);
  ASSERT_TRUE(directory.add_domain("example.test"));
  AccountId alice = directory.add_account("alice@example.test", {})->id;
  AccountId bob = directory.add_account("bob@example.test", {})->id;
  EXPECT_THAT(directory.sharing_with(bob), IsEmpty());
  directory.note_sharing(alice, bob);
  int64_t version = directory.version();
  directory.note_sharing(alice, bob);
  EXPECT_EQ(directory.version(), version);
  ASSERT_EQ(directory.sharing_with(bob).size(), 1U);
  EXPECT_EQ(directory.sharing_with(bob)[0].id, alice);
  EXPECT_THAT(directory.sharing_with(alice), IsEmpty());
  directory.note_sharing(bob, kAnyone);
  EXPECT_EQ(directory.sharing_with(alice).size(), 1U);
  EXPECT_THAT(directory.sharing_with(bob).size(), 1U);
  ASSERT_TRUE(directory.set_enabled("alice@example.test", false));
  EXPECT_THAT(directory.sharing_with(bob), IsEmpty());
  EXPECT_EQ(directory.find_account("BOB@Example.test", "")->id, bob);
  EXPECT_EQ(directory.find_account("bob", "example.test")->id, bob);
  EXPECT_FALSE(directory.find_account("bob", "").has_value());
}

TEST_F(RightsTest, AnnotationsAreSharedOrEachReaders) {
  ModSeq before = account.modseq();
  ASSERT_TRUE(annotate("/shared/comment", "all"));
  ASSERT_TRUE(annotate("/private/comment", "mine"));
  ASSERT_TRUE(annotate("/private/comment", "theirs", 2));
  EXPECT_GT(account.modseq(), before);
  ASSERT_EQ(account.annotations(inbox, 2).size(), 2U);
  EXPECT_EQ(account.annotations(inbox, 2)[0].value, "theirs");
  before = account.modseq();
  ASSERT_TRUE(annotate("/shared/comment", std::nullopt));
  EXPECT_EQ(account.annotations(inbox, 1).size(), 1U);
  ASSERT_EQ(account.annotations_since(before, 1).size(), 1U);
  EXPECT_EQ(account.annotations_since(before, 1)[0].value, std::nullopt);
  EXPECT_THAT(account.annotations_since(account.modseq(), 1), IsEmpty());
  before = account.modseq();
  ASSERT_TRUE(annotate("/shared/nothing", std::nullopt));
  EXPECT_EQ(account.modseq(), before);
  // What comes and goes leaves room for more.
  for (size_t i = 0; i < 3 * kMaxAnnotations; ++i) {
    ASSERT_TRUE(annotate(fmt::format("/private/x{}", i), "x"));
    ASSERT_TRUE(annotate(fmt::format("/private/x{}", i), std::nullopt));
  }
  for (size_t i = 0; i + 1 < kMaxAnnotations; ++i) ASSERT_TRUE(annotate(fmt::format("/private/y{}", i), "x"));
  EXPECT_FALSE(annotate("/private/z", "x"));
  EXPECT_TRUE(annotate("/private/z", "x", 2));
}

TEST_F(RightsTest, MessagesGoIntoAnotherAccountWhole) {
  Account other(state.file("2.db"), 2, OpenMode::create, clock);
  std::string text = simple_message("large", 700'000);
  {
    Edit edit(account);
    Flags keyword = edit.keyword_bits({"One", "Two"}).value();
    ASSERT_TRUE(
        edit.append(inbox, state.message(text), "Return-Path: <a@b>\r\n", keyword.with(Flags::kSeen), 77, 0, 0));
    ASSERT_TRUE(edit.append(inbox, state.message(simple_message("small")), "", Flags(Flags::kDeleted), 78, 0, 0));
    edit.commit();
  }
  MailboxId target = other.find_mailbox("INBOX")->id;
  {
    Edit edit(other);
    ASSERT_TRUE(edit.keyword_bits({"Else", "two"}));
    auto copied = edit.copy_from(account, inbox, {{1, UINT32_MAX}}, target, 0, ~Flags::kDeleted);
    ASSERT_TRUE(copied);
    EXPECT_THAT(copied->from, ElementsAre(UidRange{1, 2}));
    EXPECT_THAT(copied->to, ElementsAre(UidRange{1, 2}));
    edit.commit();
  }
  EXPECT_THAT(other.keywords(), ElementsAre("Else", "two", "One"));
  std::vector<MessageRow> rows;
  other.scan(target, {1, 9}, kWantDate, [&](const MessageRow& row) {
    rows.push_back(row);
    return true;
  });
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].internal_date, 77);
  EXPECT_EQ(rows[0].flags.bits(), Flags::kSeen | uint64_t{6} << Flags::kFirstKeywordBit);
  EXPECT_EQ(rows[1].flags.bits(), 0U);
  std::string content;
  for (uint64_t at = 0; at < rows[0].size; at += kChunkSize) other.read(rows[0].message, at, kChunkSize, content);
  EXPECT_EQ(content, "Return-Path: <a@b>\r\n" + text);
  Edit edit(other);
  auto refused = edit.copy_from(account, inbox, {{1, 1}}, target, 800'000, ~uint64_t{0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, StoreFault::over_quota);
}

}  // namespace
}  // namespace postrider::store
