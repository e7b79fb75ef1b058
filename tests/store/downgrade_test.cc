// Between the two newest versions of the store: there, with a copy of what was before, and back.
#include "store/downgrade.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/account_schema.h"
#include "store/accounts.h"
#include "store/directory_schema.h"
#include "store/queue_schema.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

int64_t single(Database& db, std::string_view sql) {
  Rows rows(db.prepare(sql));
  return rows.next() ? rows->integer(0) : -1;
}

/// What the version before knows.
template <size_t kSteps>
std::span<const Migration> before(const std::array<Migration, kSteps>& steps) {
  return std::span(steps).first(kSteps - 1);
}

class DowngradeTest : public testing::Test {
 protected:
  DowngradeTest() {
    fs::create_directories(state.file("accounts/07"));
    Database old(path, OpenMode::create, Sync::normal);
    migrate(old, before(kAccountMigrations));
    old.execute(
        "INSERT INTO state VALUES(1, 5, 2, 1000, 0, 'another boot');"
        "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq, messages, unseen, size) "
        "VALUES('INBOX', '', 1000, 2, 5, 1, 1, 14);"
        "INSERT INTO message(id, size, internal_date, prefix_size, head_size, envelope, bodystructure, mime) "
        "VALUES(1, 14, 1000, 0, 14, '()', '()', x'');"
        "INSERT INTO head VALUES(1, x'', CAST('Subject: x' || char(13, 10, 13, 10) AS BLOB));"
        "INSERT INTO entry VALUES(1, 1, 5, 0, 1, 14, 1000);");
  }
  void deliver() {
    Accounts accounts(state.path(), 1, clock);
    auto account = accounts.open(7);
    Edit edit(*account);
    ASSERT_TRUE(edit.append(1, state.message(simple_message("new")), "", Flags(), 1, 0, 0));
    edit.commit_flushed();
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  const std::string path = state.file("accounts/07/7.db");
  const std::string copy = fmt::format("{}.before-v{}", path, kAccountMigrations.size());
};

TEST_F(DowngradeTest, TheNewVersionKeepsACopyOfWhatWasBefore) {
  deliver();
  Database old(copy, OpenMode::must_exist, Sync::normal);
  EXPECT_EQ(old.user_version(), static_cast<int64_t>(kAccountMigrations.size()) - 1);
  EXPECT_EQ(single(old, "SELECT count(*) FROM entry"), 1);
  Database now(path, OpenMode::must_exist, Sync::normal);
  EXPECT_EQ(single(now, "SELECT count(*) FROM entry"), 2);
}

TEST_F(DowngradeTest, TheWayBackKeepsWhatCameSince) {
  deliver();
  {
    Database queue(state.file("queue.db"), OpenMode::create, Sync::full);
    migrate(queue, kQueueMigrations);
    queue.execute("INSERT INTO ledger VALUES(9, 1, 1, 1, 'a', 'b', 'c', 'd', 'spf=pass')");
    Database directory(state.file("directory.db"), OpenMode::create, Sync::full);
    migrate(directory, kDirectoryMigrations);
  }
  EXPECT_EQ(downgrade_state(state.path(), [](const std::string&) {}), 3U);
  EXPECT_EQ(downgrade_state(state.path(), [](const std::string&) {}), 0U) << "one step, not more";
  {
    Database old(path, OpenMode::must_exist, Sync::normal);
    migrate(old, before(kAccountMigrations));
    EXPECT_EQ(single(old, "SELECT count(*) FROM entry"), 2);
    EXPECT_FALSE(fs::exists(copy)) << "it would be older than the file";
    Database queue(state.file("queue.db"), OpenMode::must_exist, Sync::full);
    migrate(queue, before(kQueueMigrations));
    EXPECT_EQ(single(queue, "SELECT id FROM ledger"), 9);
    Database directory(state.file("directory.db"), OpenMode::must_exist, Sync::full);
    migrate(directory, before(kDirectoryMigrations));
  }
  deliver();
  Database again(path, OpenMode::must_exist, Sync::normal);
  EXPECT_EQ(single(again, "SELECT count(*) FROM entry"), 3);
  EXPECT_TRUE(fs::exists(copy));
}

/// A file of the version before has what a file has that was made in one go.
TEST_F(DowngradeTest, TheStepBackLeavesTheTablesOfTheVersionBefore) {
  auto tables = [](Database& db) {
    std::string all;
    Rows rows(db.prepare("SELECT name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name"));
    while (rows.next()) all += fmt::format("{}\n", rows->text(0));
    return all;
  };
  auto check = [&](const std::string& name, auto& steps) {
    Database back(state.file(name + "1"), OpenMode::create, Sync::normal),
        old(state.file(name + "2"), OpenMode::create, Sync::normal);
    migrate(back, steps);
    EXPECT_TRUE(step_back(back, steps));
    migrate(old, before(steps));
    EXPECT_EQ(tables(back), tables(old)) << name;
  };
  check("account", kAccountMigrations);
  check("queue", kQueueMigrations);
  check("directory", kDirectoryMigrations);
}

}  // namespace
}  // namespace postrider::store
