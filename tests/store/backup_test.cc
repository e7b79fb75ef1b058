// Backups: consistent, incremental, whole each; and what comes back from them.
#include "store/backup.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "store/accounts.h"
#include "store/backup_restore.h"
#include "store/directory.h"
#include "store/queue.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace fs = std::filesystem;

class BackupTest : public testing::Test {
 protected:
  BackupTest() {
    Directory directory(state.path(), clock);
    EXPECT_TRUE(directory.add_domain("example.test"));
    alice = directory.add_account("alice@example.test", {})->id;
    bob = directory.add_account("bob@example.test", {})->id;
    for (AccountId id : {alice, bob}) append(id, "first");
    put("tls/key.pem", "secret", 0600);
    put("srs.keys", "more secrets", 0640);
    put("drop/one", "a mail that cron left", 0640);
    put("run/mta.sock", "", 0600);
  }

  void put(const std::string& path, const std::string& text, mode_t mode) {
    fs::create_directories(fs::path(state.file(path)).parent_path());
    std::ofstream(state.file(path)) << text;
    ::chmod(state.file(path).c_str(), mode);
  }
  Uid append(AccountId id, std::string_view subject, QueueId delivery = 0) {
    auto account = accounts.open(id);
    Edit edit(*account);
    const Uid uid = edit.append(account->find_mailbox("INBOX")->id, state.message(simple_message(subject)), "", Flags(),
                                1'000, delivery, 0)
                        .value();
    edit.commit_flushed();
    return uid;
  }
  /// The files look as if nothing was written for a while.
  void grow_old() {
    for (const auto& entry : fs::recursive_directory_iterator(state.path())) {
      if (entry.is_regular_file() && entry.last_write_time() > fs::file_time_type::clock::now() - std::chrono::hours(1))
        fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(2));
    }
  }
  std::string back_up(size_t keep = 0) {
    Backup backup(state.path(), target, clock, {keep, {}});
    const std::string made = backup.run();
    counts = backup.counts();
    problems = backup.problems();
    clock.advance(std::chrono::seconds(3'600));
    return made;
  }
  Manifest manifest(const std::string& folder) { return Manifest::read(folder).value(); }
  std::set<std::string> subjects(const std::string& of, AccountId id) {
    std::set<std::string> all;
    Accounts there(of, 1, clock);
    auto account = there.open(id);
    for (const Mailbox& mailbox : account->mailboxes()) {
      account->scan(mailbox.id, {1, UINT32_MAX}, kWantHead, [&](const MessageRow& row) {
        const std::string head(row.head);
        const size_t from = head.find("Subject: ") + 9;
        all.insert(head.substr(from, head.find("\r\n", from) - from));
        return true;
      });
    }
    return all;
  }
  ino_t inode(const std::string& path) { return identity_of(path); }
  std::string account_path(AccountId id) { return accounts.path_of(id).substr(state.path().size() + 1); }

  TempState state, elsewhere;
  const std::string target = elsewhere.file("backups");
  ManualClock clock{1'700'000'000};
  Accounts accounts{state.path(), 4, clock};
  AccountId alice = 0, bob = 0;
  BackupCounts counts;
  std::vector<std::string> problems;
};

TEST_F(BackupTest, HoldsEverythingThatIsNotOfTheRunningProcesses) {
  const std::string made = back_up();
  EXPECT_THAT(problems, IsEmpty());
  std::set<std::string> paths;
  for (const auto& [path, file] : manifest(made).files) paths.insert(path);
  EXPECT_EQ(paths, (std::set<std::string>{account_path(alice), account_path(bob), "directory.db", "drop/one",
                                          "srs.keys", "tls/key.pem"}));
  EXPECT_EQ(manifest(made).files["tls/key.pem"].mode, 0600U);
  EXPECT_EQ(fs::status(made + "/tls/key.pem").permissions(), fs::perms(0600));
  EXPECT_EQ(fs::status(made + "/" + account_path(alice)).permissions(), fs::perms(0660));
  EXPECT_THAT(verify_backup(made, manifest(made), {}), IsEmpty());
  for (const auto& entry : fs::recursive_directory_iterator(made))
    EXPECT_FALSE(entry.path().string().ends_with("-wal")) << "each is one whole file";
  EXPECT_FALSE(fs::exists(state.file("backup.pins")));
}

TEST_F(BackupTest, LinksWhatDidNotChange) {
  grow_old();
  const std::string first = back_up();
  append(bob, "second");
  const std::string second = back_up();
  EXPECT_EQ(inode(first + '/' + account_path(alice)), inode(second + '/' + account_path(alice)));
  EXPECT_NE(inode(first + '/' + account_path(bob)), inode(second + '/' + account_path(bob)));
  EXPECT_EQ(inode(first + "/tls/key.pem"), inode(second + "/tls/key.pem"));
  EXPECT_EQ(manifest(second).files.size(), counts.files);
  EXPECT_LT(counts.copied, 3U);
  fs::remove_all(first);
  EXPECT_THAT(verify_backup(second, manifest(second), {}), IsEmpty()) << "each is whole by itself";
}

TEST_F(BackupTest, CopiesWhatWasWrittenToJustNow) {
  back_up();
  const std::string second = back_up();
  EXPECT_EQ(counts.copied, counts.files) << "a write in the same moment may have left no mark";
  EXPECT_THAT(verify_backup(second, manifest(second), {}), IsEmpty());
}

TEST_F(BackupTest, ANightThatChangesNothingCopiesNothing) {
  auto night = [&] { accounts.open(alice)->maintain({clock.unix_time() - 100, clock.unix_time() - 100}); };
  clock.advance(std::chrono::hours(1));
  night();
  grow_old();
  const std::string first = back_up();
  night();
  const std::string second = back_up();
  EXPECT_EQ(inode(first + '/' + account_path(alice)), inode(second + '/' + account_path(alice)));
}

TEST_F(BackupTest, KeepsAsManyAsAreWanted) {
  for (int i = 0; i < 4; ++i) back_up(2);
  EXPECT_THAT(generations_of(target), SizeIs(2));
  const std::string last = back_up();
  EXPECT_THAT(last, HasSubstr(generations_of(target).back()));
  EXPECT_THAT(generations_of(target), SizeIs(3));
}

TEST_F(BackupTest, OneThatWasInterruptedLeavesTheOthersWhole) {
  const std::string first = back_up();
  fs::create_directories(target + "/20300101T000000Z.unfinished/accounts");
  EXPECT_THAT(generations_of(target), SizeIs(1));
  fs::create_directories(target + "/20300101T000000Z");  // without a manifest
  EXPECT_THAT(generations_of(target), SizeIs(1));
  put("unreadable", "", 0);
  fs::remove(state.file("unreadable"));
  fs::create_symlink("/nowhere", state.file("directory.db.link"));
  back_up();
  EXPECT_FALSE(fs::exists(target + "/20300101T000000Z.unfinished"));
  EXPECT_THAT(verify_backup(first, manifest(first), {}), IsEmpty());
}

TEST_F(BackupTest, OneAtATime) {
  Backup first(state.path(), target, clock, {0, [&](const std::string&, size_t, size_t) {
                                               Backup second(state.path(), target + "2", clock, {});
                                               EXPECT_THROW(second.run(), std::runtime_error);
                                             }});
  first.run();
}

TEST_F(BackupTest, NotIntoWhatItCopies) {
  Backup backup(state.path(), state.file("backups"), clock, {});
  EXPECT_THROW(backup.run(), std::runtime_error);
}

TEST_F(BackupTest, SpoolFilesThatGoMeanwhileAreThereStill) {
  Queue queue(state.path(), clock);
  QueuedMessage message;
  message.id = queue.next_id();
  message.accepted = clock.unix_time();
  Spool spool(queue.spool_directory());
  spool.append(simple_message("large", 2 * kChunkSize));
  spool.sync();
  message.body = std::make_shared<const Spool>(std::move(spool));
  QueuedRecipient recipient;
  recipient.number = 1;
  recipient.account = alice;
  recipient.address = "alice@example.test";
  message.recipients.push_back(recipient);
  const QueuedMessage* accepted = &message;
  queue.commit({&accepted, 1}, {});
  Backup backup(state.path(), target, clock, {0, [&](const std::string& path, size_t, size_t) {
                                                if (path != "queue.db") return;
                                                RecipientUpdate update;  // it is delivered at this moment
                                                update.message = message.id;
                                                update.number = 1;
                                                update.ended = true;
                                                queue.commit({}, {&update, 1});
                                              }});
  const std::string made = backup.run();
  EXPECT_TRUE(fs::is_empty(state.file("spool")));
  size_t spooled = 0;
  for (const auto& [path, file] : manifest(made).files) spooled += path.starts_with("spool/") ? 1 : 0;
  EXPECT_EQ(spooled, 1U);
  const std::string to = elsewhere.file("state");
  fs::create_directory(to);
  restore_state(made, manifest(made), to, clock, {});
  Queue restored(to, clock);
  restored.recover({});
  EXPECT_NE(restored.take_due(clock.unix_time(), true, 10).at(0).body, nullptr);
}

TEST_F(BackupTest, ADamagedAccountIsToldAndItsLastGoodCopyKept) {
  const std::string first = back_up();
  accounts.open(alice)->checkpoint();
  accounts.forget(alice);
  for (const char* part : {"-wal", "-shm"}) fs::remove(accounts.path_of(alice) + part);
  {
    std::fstream file(accounts.path_of(alice), std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 8; ++page) file.seekp(page * 4096) << std::string(4096, '\xff');
  }
  const std::string second = back_up(1);
  EXPECT_THAT(problems, SizeIs(1));
  EXPECT_THAT(problems[0], HasSubstr("alice@example.test"));
  EXPECT_THAT(generations_of(target), SizeIs(2)) << "nothing is removed while something is wrong";
  EXPECT_EQ(inode(first + '/' + account_path(alice)), inode(second + '/' + account_path(alice)));
  EXPECT_THAT(verify_backup(second, manifest(second), {}), IsEmpty());
  set_aside(accounts.path_of(alice), identity_of(accounts.path_of(alice)), "damaged", 1);
  back_up();
  EXPECT_THAT(problems, SizeIs(1));
}

TEST_F(BackupTest, RestoresEverythingIntoAnEmptyFolder) {
  const auto before = accounts.open(alice)->find_mailbox("INBOX");
  const std::string made = back_up();
  append(alice, "after the backup");
  const std::string to = elsewhere.file("state");
  fs::create_directory(to);
  restore_state(made, manifest(made), to, clock, {});
  EXPECT_EQ(subjects(to, alice), std::set<std::string>{"first"});
  EXPECT_EQ(fs::status(to + "/tls/key.pem").permissions(), fs::perms(0600));
  EXPECT_TRUE(fs::exists(to + "/drop/one"));
  Accounts there(to, 1, clock);
  const auto inbox = there.open(alice)->find_mailbox("INBOX");
  EXPECT_GT(inbox->uid_validity, before->uid_validity);
  EXPECT_GT(inbox->uid_next, before->uid_next + 1);
  EXPECT_EQ(Directory(to, clock).accounts().size(), 2U);
  EXPECT_THROW(restore_state(made, manifest(made), to, clock, {}), std::runtime_error) << "it is not empty any more";
}

TEST_F(BackupTest, RestoresNothingThatIsNotWhatWasWritten) {
  const std::string made = back_up();
  { std::ofstream(made + "/tls/key.pem") << "other"; }
  EXPECT_THAT(verify_backup(made, manifest(made), {}), testing::ElementsAre("tls/key.pem"));
  const std::string to = elsewhere.file("state");
  fs::create_directory(to);
  EXPECT_THROW(restore_state(made, manifest(made), to, clock, {}), std::runtime_error);
  EXPECT_TRUE(fs::is_empty(to));
  { std::ofstream(made + "/manifest", std::ios::app) << "file 0 0 0 - x\n"; }
  EXPECT_FALSE(Manifest::read(made));
}

TEST_F(BackupTest, AnAccountBecomesWhatItWasWhileItIsOpen) {
  const std::string made = back_up();
  append(alice, "second");
  const auto before = accounts.open(alice)->find_mailbox("INBOX");
  const std::string path = accounts.path_of(alice);
  const std::string kept = replace_account(made, manifest(made), account_path(alice), path, alice, clock);
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_EQ(subjects(state.path(), alice), std::set<std::string>{"first"});
  const auto after = accounts.open(alice)->find_mailbox("INBOX");
  EXPECT_GT(after->uid_validity, before->uid_validity);
  EXPECT_GT(after->uid_next, before->uid_next);
  EXPECT_GT(after->highest_modseq, before->highest_modseq);
  append(alice, "third");
  accounts.forget(alice);
  EXPECT_EQ(subjects(state.path(), alice), (std::set<std::string>{"first", "third"})) << "it is no damage";
  // Within the same second: the UID of the third means nothing else.
  replace_account(made, manifest(made), account_path(alice), path, alice, clock);
  EXPECT_GT(accounts.open(alice)->find_mailbox("INBOX")->uid_validity, after->uid_validity);
}

}  // namespace
}  // namespace postrider::store
