// The SQLite layer: transactions, migrations with a way back, two processes, file modes.
#include "store/sqlite.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "at_once.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

constexpr std::array kFirst = {Migration{"CREATE TABLE t(x INTEGER) STRICT; INSERT INTO t VALUES(7);"}};
constexpr std::array kSecond = {kFirst[0], Migration{"ALTER TABLE t ADD COLUMN y INTEGER NOT NULL DEFAULT 1;"}};

int64_t single(Database& db, std::string_view sql) {
  Rows rows(db.prepare(sql));
  rows.next();
  return rows->integer(0);
}

TEST(Sqlite, FilesAreForTheGroupTooWhateverTheUmask) {
  TempState state;
  mode_t old = ::umask(077);
  Database db(state.file("a.db"), OpenMode::create, Sync::full);
  db.execute("CREATE TABLE t(x)");
  ::umask(old);
  for (const char* name : {"a.db", "a.db-wal", "a.db-shm"}) {
    struct stat status {};
    ASSERT_EQ(::stat(state.file(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0660U) << name;
  }
}

TEST(Sqlite, NewFileCanBeOpenedByManyAtOnce) {
  TempState state;
  for (int number = 0; number < 50; ++number) {
    const std::string path = state.file(fmt::format("{}.db", number));
    EXPECT_THAT(at_once(4, [&] { Database(path, OpenMode::create, Sync::normal); }), testing::IsEmpty());
  }
}

TEST(Sqlite, MissingFileIsAnErrorThatNamesIt) {
  TempState state;
  try {
    Database db(state.file("none.db"), OpenMode::must_exist, Sync::full);
    FAIL() << "it opened";
  } catch (const SqliteError& error) {
    EXPECT_NE(std::string(error.what()).find("none.db"), std::string::npos);
  }
}

TEST(Sqlite, TransactionThatIsNotCommittedIsRolledBack) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::full);
  migrate(db, kFirst);
  {
    Transaction transaction(db);
    db.execute("INSERT INTO t VALUES(8)");
  }
  EXPECT_EQ(single(db, "SELECT count(*) FROM t"), 1);
}

TEST(Sqlite, MigrationKeepsACopyOfTheOldFile) {
  TempState state;
  {
    Database db(state.file("a.db"), OpenMode::create, Sync::full);
    migrate(db, kFirst);
    EXPECT_FALSE(std::filesystem::exists(state.file("a.db.before-v1")));  // there was nothing to keep
    migrate(db, kSecond);
    EXPECT_EQ(single(db, "SELECT y FROM t"), 1);
  }
  Database old(state.file("a.db.before-v2"), OpenMode::must_exist, Sync::full);
  EXPECT_EQ(old.user_version(), 1);
  EXPECT_EQ(single(old, "SELECT x FROM t"), 7);
}

TEST(Sqlite, FileOfANewerProgramIsRefused) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::full);
  migrate(db, kSecond);
  EXPECT_THROW(migrate(db, kFirst), SqliteError);
}

TEST(Sqlite, MigrationThatFailsLeavesTheFileAsItWas) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::full);
  migrate(db, kFirst);
  constexpr std::array kBroken = {kFirst[0], Migration{"CREATE TABLE u(z); CREATE TABLE u(z);"}};
  EXPECT_THROW(migrate(db, kBroken), SqliteError);
  EXPECT_EQ(db.user_version(), 1);
  EXPECT_EQ(single(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'"), 0);
}

TEST(Sqlite, WritersInTwoProcessesLoseNothing) {
  TempState state;
  std::string path = state.file("a.db");
  {
    Database db(path, OpenMode::create, Sync::normal);
    migrate(db, kFirst);
  }
  constexpr int kEach = 200;
  auto write = [&] {
    Database db(path, OpenMode::must_exist, Sync::normal);
    for (int i = 0; i < kEach; ++i) {
      Transaction transaction(db);
      db.execute("INSERT INTO t VALUES(1)");
      transaction.commit();
    }
  };
  pid_t child = ::fork();
  if (child == 0) {
    write();
    ::_exit(0);
  }
  write();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  Database db(path, OpenMode::must_exist, Sync::normal);
  EXPECT_EQ(single(db, "SELECT count(*) FROM t WHERE x = 1"), 2 * kEach);
}

TEST(Sqlite, TextIsBoundNotPasted) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::full);
  db.execute("CREATE TABLE t(x TEXT)");
  std::string name = "a'; DROP TABLE t; --\"";
  name += '\0';
  name += "b";
  db.prepare("INSERT INTO t VALUES(?1)").bind(name).run();
  Rows rows(db.prepare("SELECT x FROM t"));
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows->text(0), name);
}

}  // namespace
}  // namespace postrider::store
