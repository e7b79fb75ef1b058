// Damaged account files: noticed, set aside, recovered as far as they can be read; nobody else is harmed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "store/account_recover.h"
#include "store/wal_vfs.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr AccountId kAlice = 1, kBob = 2;
constexpr int kMessages = 60;
constexpr uint64_t kPage = 4096;
namespace fs = std::filesystem;

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    for (AccountId id : {kAlice, kBob}) fill(id);
  }

  void fill(AccountId id) {
    auto account = accounts.open(id);
    const MailboxId inbox = account->find_mailbox("INBOX")->id, sent = account->find_mailbox("Sent")->id;
    for (int i = 0; i < kMessages; ++i) {
      Edit edit(*account);
      const std::string text = simple_message(fmt::format("mail {}", i), i % 10 == 0 ? 20'000 : 500);
      ASSERT_TRUE(edit.append(i % 3 == 0 ? sent : inbox, state.message(text), "", Flags(i % 2 == 0 ? Flags::kSeen : 0),
                              1'000 + i, 100 + i, 0));
      edit.commit();
    }
    account->flush();
  }
  void checkpoint(AccountId id) { accounts.open(id)->checkpoint(); }
  std::string path(AccountId id = kAlice) { return accounts.path_of(id); }
  /// Nobody has it open from here on.
  void close(AccountId id = kAlice) { accounts.forget(id); }
  void without_log() {
    checkpoint(kAlice);
    close();
    fs::remove(path() + "-wal");
    fs::remove(path() + "-shm");
  }
  void overwrite(uint64_t at, const std::string& with) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file << with;
  }

  /// What a session does: every text of every mailbox, by subject. Throws SqliteError.
  std::map<std::string, std::string> read(AccountId id, Accounts& through) {
    std::map<std::string, std::string> all;
    auto account = through.open(id);
    for (const Mailbox& mailbox : account->mailboxes()) {
      account->scan(mailbox.id, {1, UINT32_MAX}, kWantEnvelope | kWantHead, [&](const MessageRow& row) {
        std::string text;
        account->read(row.message, 0, row.size, text);
        const size_t from = text.find("Subject: "), to = text.find("\r\n", from);
        all[mailbox.name + '/' + text.substr(from + 9, to - from - 9)] = text;
        return true;
      });
    }
    return all;
  }
  /// Opened by somebody who knows nothing of it yet.
  void expect_noticed() {
    Accounts fresh(state.path(), 4, clock);
    try {
      read(kAlice, fresh);
      ADD_FAILURE() << "nothing was noticed";
    } catch (const SqliteError& error) {
      EXPECT_TRUE(error.is_corrupt()) << error.what();
    }
    EXPECT_FALSE(fs::exists(path()));
    EXPECT_FALSE(fs::exists(path() + "-wal"));
    EXPECT_THAT(set_aside_files(path()), SizeIs(1));
    EXPECT_TRUE(is_set_aside(path()));
    EXPECT_THROW(fresh.open(kAlice), SqliteError) << "nothing takes its place by itself";
    EXPECT_EQ(read(kBob, fresh).size(), size_t{kMessages}) << "another account";
  }
  Recovered recover() {
    AccountFile file(path());
    ModSeq modseq = 0;
    const std::string fresh = path() + ".recovered";
    Recovered done = recover_account(set_aside_files(path()).at(0), fresh, kAlice, file.flushed(), clock, modseq);
    put_in_place(file, fresh, path(), modseq, clock.unix_time());
    EXPECT_EQ(find_damage(path()), "");
    return done;
  }
  std::map<std::string, std::string> recovered() {
    Accounts fresh(state.path(), 4, clock);
    const auto all = read(kAlice, fresh);
    // It is an account as any other.
    auto account = fresh.open(kAlice);
    for (const Mailbox& mailbox : account->mailboxes())
      EXPECT_EQ(account->count_from(mailbox.id, 1), mailbox.messages) << mailbox.name;
    Edit edit(*account);
    EXPECT_TRUE(
        edit.append(account->find_mailbox("INBOX")->id, state.message(simple_message("new")), "", Flags(), 1, 0, 0));
    edit.commit_flushed();
    return all;
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Accounts accounts{state.path(), 4, clock};
};

TEST_F(DamageTest, AnEmptyFileIsNoNewAccount) {
  without_log();
  fs::resize_file(path(), 0);
  expect_noticed();
  AccountFile file(path());
  ModSeq modseq = 0;
  EXPECT_THROW(recover_account(set_aside_files(path()).at(0), path() + ".recovered", kAlice, 1, clock, modseq),
               SqliteError);
  EXPECT_FALSE(fs::exists(path() + ".recovered.scratch"));
}

TEST_F(DamageTest, AFileThatIsGoneIsNoNewAccount) {
  without_log();
  fs::remove(path());
  EXPECT_TRUE(is_set_aside(path()));
  EXPECT_THROW(accounts.open(kAlice), SqliteError);
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_THAT(set_aside_files(path()), IsEmpty());
  AccountFile file(path());
  put_in_place(file, path() + ".new", path(), make_empty_account(path() + ".new", kAlice, file.flushed(), clock),
               clock.unix_time());
  EXPECT_THAT(read(kAlice, accounts), IsEmpty());
}

TEST_F(DamageTest, ALogThatIsGoneIsNoticedAndWhatIsLeftGetsNewUids) {
  checkpoint(kAlice);
  const auto before = accounts.open(kAlice)->find_mailbox("INBOX");
  {
    auto account = accounts.open(kAlice);
    Edit edit(*account);
    ASSERT_TRUE(edit.append(before->id, state.message(simple_message("late")), "", Flags(), 1, 0, 0));
    edit.commit_flushed();
  }
  close();
  fs::remove(path() + "-wal");
  fs::remove(path() + "-shm");
  expect_noticed();
  const Recovered done = recover();
  EXPECT_TRUE(done.new_uids);
  EXPECT_EQ(done.messages, kMessages);
  const auto after = accounts.open(kAlice)->find_mailbox("INBOX");
  EXPECT_GT(after->uid_validity, before->uid_validity);
  EXPECT_GT(after->uid_next, before->uid_next + 1);
  EXPECT_EQ(recovered().size(), size_t{kMessages});
}

TEST_F(DamageTest, ALogThatIsCutOffIsNoticed) {
  // In the middle of what is written: the file may be longer than that.
  const auto pages = static_cast<uint64_t>(accounts.open(kAlice)->wal_pages());
  close();
  fs::resize_file(path() + "-wal", pages / 2 * (kPage + 24));
  expect_noticed();
  EXPECT_GT(recover().messages, kMessages / 4);
}

TEST_F(DamageTest, AFlippedBitInTheLogIsNoticed) {
  close();
  std::fstream file(path() + "-wal", std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(50'000);
  const auto old = static_cast<char>(file.get());
  file.seekp(50'000);
  file.put(static_cast<char>(old ^ 4));
  file.close();
  expect_noticed();
  const Recovered done = recover();
  EXPECT_GE(done.messages + done.lost, kMessages) << "what comes behind it counts as well";
  EXPECT_LT(done.lost, kMessages / 3);
}

TEST_F(DamageTest, ATruncatedFileIsNoticed) {
  without_log();
  fs::resize_file(path(), fs::file_size(path()) * 4 / 5 / kPage * kPage);
  expect_noticed();
  recover();
  EXPECT_THAT(recovered(), Not(IsEmpty()));
}

TEST_F(DamageTest, ADamagedHeaderLosesNothing) {
  without_log();
  const auto before = [&] {
    Accounts fresh(state.path(), 1, clock);
    return read(kAlice, fresh);
  }();
  without_log();
  for (uint64_t size : {uint64_t{30}, kPage}) {
    overwrite(0, std::string(size, '\x5a'));
    expect_noticed();
    const Recovered done = recover();
    EXPECT_TRUE(done.schema_replaced);
    EXPECT_EQ(done.messages, kMessages);
    EXPECT_EQ(done.lost + done.damaged + done.found_again, 0);
    Accounts fresh(state.path(), 1, clock);
    EXPECT_EQ(read(kAlice, fresh), before);
    fs::remove(set_aside_files(path()).at(0));
  }
}

TEST_F(DamageTest, OneDamagedPageCostsWhatLiesOnItAtMost) {
  without_log();
  const std::string whole = path() + ".whole";
  fs::copy_file(path(), whole);
  const uint64_t pages = fs::file_size(whole) / kPage;
  ASSERT_GT(pages, 20U);
  int64_t noticed = 0;
  for (uint64_t page = 0; page < pages; ++page) {
    fs::copy_file(whole, path(), fs::copy_options::overwrite_existing);
    overwrite(page * kPage, std::string(kPage, static_cast<char>(0xa5)));
    if (find_damage(path()).empty()) continue;  // a piece of a text, or a free page
    ++noticed;
    ASSERT_FALSE(set_aside(path(), identity_of(path()), "damaged", clock.unix_time()).empty());
    const Recovered done = recover();
    EXPECT_GE(done.messages + done.lost, kMessages) << "page " << page;
    EXPECT_LT(done.lost, kMessages / 2) << "page " << page;
    const auto all = recovered();
    EXPECT_THAT(all, Not(IsEmpty())) << "page " << page;
    for (const std::string& file : set_aside_files(path())) fs::remove(file);
    for (const char* part : {"-wal", "-shm"}) fs::remove(path() + part);
  }
  EXPECT_GT(noticed, 10);
}

TEST_F(DamageTest, ATextWithAFlippedBitComesBackAsANewMessage) {
  close();
  EXPECT_EQ(find_damage(path()), "");
  {
    Database(path(), OpenMode::must_exist, Sync::normal)
        .execute("UPDATE head SET checksum = checksum + 1 WHERE id = 3");
  }
  EXPECT_NE(find_damage(path()), "");
  set_aside(path(), identity_of(path()), "damaged", clock.unix_time());
  const Recovered done = recover();
  EXPECT_EQ(done.damaged, 1);
  EXPECT_EQ(done.messages, kMessages);
  EXPECT_EQ(find_damage(path()), "");
}

TEST_F(DamageTest, DamageThatIsMetWhileItIsUsedSetsTheFileAside) {
  without_log();
  const uint64_t size = fs::file_size(path());
  Accounts open(state.path(), 4, clock);
  ASSERT_EQ(read(kAlice, open).size(), size_t{kMessages});
  Accounts other(state.path(), 4, clock);  // the other daemon
  other.open(kAlice);
  for (uint64_t page = 2; page < size / kPage; ++page) overwrite(page * kPage, std::string(kPage, '\0'));
  open.forget(kAlice);  // what it had read is forgotten too
  EXPECT_THROW(read(kAlice, open), SqliteError);
  EXPECT_TRUE(is_set_aside(path()));
  // The other one's handle is of the file that was set aside: nothing may be written there any more.
  try {
    auto account = other.open(kAlice);
    ADD_FAILURE() << "it was opened";
  } catch (const SqliteError& error) {
    EXPECT_TRUE(error.is_corrupt());
    EXPECT_THAT(error.what(), HasSubstr("mailctl recover"));
  }
}

/// What the background thread does within a minute.
void look_after(Accounts& accounts, ManualClock& clock) {
  for (int second = 0; second < 60; ++second) {
    clock.advance(Seconds(1));
    for (AccountId id : accounts.take_grown()) accounts.open(id)->checkpoint();
  }
}

/// Deletes what lies beside the file, as a person does who thinks that it is in the way.
void delete_log(const std::string& path) {
  EXPECT_TRUE(fs::remove(path + "-wal"));
}

TEST_F(DamageTest, ALogThatIsDeletedUnderARunningDaemonIsPutIntoTheFile) {
  const uint64_t size = fs::file_size(path());
  ASSERT_GT(fs::file_size(path() + "-wal"), size) << "what is to be lost";
  delete_log(path());
  Accounts other(state.path(), 4, clock);
  try {
    read(kAlice, other);
    ADD_FAILURE() << "it cannot know what was in the log";
  } catch (const SqliteError& error) {
    EXPECT_TRUE(is_wal_lost(error)) << error.what();
    EXPECT_FALSE(error.is_corrupt()) << "nothing is set aside: somebody still has it";
  }
  EXPECT_THROW(find_damage(path()), SqliteError);
  look_after(accounts, clock);
  EXPECT_EQ(find_damage(path()), "");
  EXPECT_EQ(read(kAlice, other).size(), size_t{kMessages});
  // It is an account as before, for those who had it open too.
  {
    auto account = accounts.open(kAlice);
    Edit edit(*account);
    ASSERT_TRUE(
        edit.append(account->find_mailbox("INBOX")->id, state.message(simple_message("new")), "", Flags(), 1, 0, 0));
    edit.commit_flushed();
  }
  other.forget(kAlice);
  close();
  Accounts fresh(state.path(), 4, clock);
  EXPECT_EQ(read(kAlice, fresh).size(), size_t{kMessages} + 1);
  EXPECT_EQ(find_damage(path()), "");
}

TEST_F(DamageTest, ALogThatIsDeletedIsPutIntoTheFileWhenADaemonEnds) {
  delete_log(path());
  fs::remove(path() + "-shm");
  close();
  Accounts fresh(state.path(), 4, clock);
  EXPECT_EQ(read(kAlice, fresh).size(), size_t{kMessages});
  EXPECT_EQ(find_damage(path()), "");
}

TEST_F(DamageTest, WhoHasADeletedLogOpenWritesNothingMore) {
  std::optional<Accounts::Lease> used(accounts.open(kAlice));  // by a session, for as long as all of this takes
  accounts.open(kAlice);                                       // an idle one beside it
  delete_log(path());
  EXPECT_THROW(Edit{**used}, SqliteError);
  look_after(accounts, clock);
  Accounts other(state.path(), 4, clock);
  auto append = [&] {
    auto account = other.open(kAlice);
    Edit edit(*account);
    ASSERT_TRUE(
        edit.append(account->find_mailbox("INBOX")->id, state.message(simple_message("new")), "", Flags(), 1, 0, 0));
    edit.commit_flushed();
  };
  append();
  EXPECT_THROW(Edit{**used}, SqliteError);
  used.reset();
  look_after(accounts, clock);  // knows nothing of the new log, and leaves it alone
  append();
  other.forget(kAlice);
  Accounts fresh(state.path(), 4, clock);
  EXPECT_EQ(read(kAlice, fresh).size(), size_t{kMessages} + 1) << "both new ones have one subject";
  EXPECT_EQ(fresh.open(kAlice)->used_messages(), size_t{kMessages} + 2);
  EXPECT_EQ(find_damage(path()), "");
}

TEST_F(DamageTest, NobodyWritesToAFileThatWasSetAside) {
  auto account = accounts.open(kAlice);
  ASSERT_FALSE(set_aside(path(), identity_of(path()), "damaged", clock.unix_time()).empty());
  EXPECT_THROW(Edit{*account}, SqliteError);
  EXPECT_EQ(set_aside(path(), account->file_identity(), "damaged", clock.unix_time()), "") << "it is done once";
}

}  // namespace
}  // namespace postrider::store
