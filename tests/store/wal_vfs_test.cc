// The file layer: what is committed is in the file, whole and in order, and what fails fails the commit.
#include "store/wal_vfs.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "store/sqlite.h"
#include "temp_state.h"

namespace postrider::store {
namespace {

constexpr const char* kTable = "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB NOT NULL) STRICT";

std::string digest(Database& db) {
  Rows rows(db.prepare("SELECT count(*), coalesce(sum(id), 0), coalesce(sum(length(x) * id), 0) FROM t"));
  rows.next();
  return std::to_string(rows->integer(0)) + "/" + std::to_string(rows->integer(1)) + "/" +
         std::to_string(rows->integer(2));
}

std::string integrity(Database& db) {
  Rows rows(db.prepare("PRAGMA integrity_check"));
  rows.next();
  return std::string(rows->text(0));
}

/// What a process finds that opens the files after all others were killed: only they count, not the shared memory.
std::string digest_of_files(const TempState& state, const std::string& name) {
  const std::string copy = state.file("copy.db");
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(copy + suffix);
  for (const char* suffix : {"", "-wal"}) std::filesystem::copy_file(state.file(name) + suffix, copy + suffix);
  Database db(copy, OpenMode::must_exist, Sync::normal);
  EXPECT_EQ(integrity(db), "ok");
  return digest(db);
}

void insert(Database& db, size_t octets) {
  const std::string data(octets, 'x');
  db.prepare("INSERT INTO t(x) VALUES(?1)").bind(Blob{data}).run();
}

TEST(WalVfs, ACommitIsInTheFileWhenItReturns) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  db.execute(kTable);
  for (size_t octets : {1, 5'000, 100'000, 3'000'000}) {
    Transaction transaction(db);
    insert(db, octets);
    transaction.commit();
    EXPECT_EQ(digest_of_files(state, "a.db"), digest(db)) << octets;
  }
}

// Transactions of every size from two handles: some do not fit into memory, some are rolled back, some write a page
// again that is in the log already, and the log begins anew now and then.
TEST(WalVfs, FilesAreWhatTheHandlesSayWhateverIsWritten) {
  TempState state;
  Database one(state.file("a.db"), OpenMode::create, Sync::normal);
  one.execute(kTable);
  Database two(state.file("a.db"), OpenMode::must_exist, Sync::full);
  for (Database* db : {&one, &two}) db->execute("PRAGMA cache_size=10");  // pages: the rest spills into the log
  std::mt19937 dice(7);
  for (int round = 0; round < 150; ++round) {
    Database& db = dice() % 2 == 0 ? one : two;
    {
      Transaction transaction(db);
      for (unsigned i = dice() % 30; i > 0; --i) insert(db, dice() % 20'000);
      db.execute("UPDATE t SET x = zeroblob(length(x)) WHERE id % 7 = " + std::to_string(dice() % 7));
      db.execute("DELETE FROM t WHERE id % 11 = " + std::to_string(dice() % 11));
      if (dice() % 4 != 0) transaction.commit();
    }
    if (dice() % 10 == 0) one.checkpoint();
    ASSERT_EQ(digest(one), digest(two)) << round;
    ASSERT_EQ(digest_of_files(state, "a.db"), digest(one)) << round;
  }
}

TEST(WalVfs, ADiskThatIsFullFailsTheCommitAndNothingElse) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  db.execute(kTable);
  insert(db, 10);
  const std::string before = digest(db);
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit none = {64 << 10, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  bool failed = false;
  try {
    Transaction transaction(db);
    insert(db, 200'000);
    transaction.commit();
  } catch (const SqliteError&) {
    failed = true;
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(failed);
  EXPECT_EQ(digest(db), before);
  insert(db, 20);
  EXPECT_EQ(digest_of_files(state, "a.db"), digest(db));
}

TEST(WalVfs, TheLogGrowsInStepsThatGrow) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  db.execute(kTable);
  std::set<uint64_t> sizes;
  for (int commit = 0; commit < 500; ++commit) {
    insert(db, 3'000);
    sizes.insert(std::filesystem::file_size(state.file("a.db-wal")));
  }
  EXPECT_LE(sizes.size(), 20U);
  EXPECT_GT(*sizes.rbegin(), 4U << 20);
  for (uint64_t size : sizes) EXPECT_EQ(size % (32 << 10), 0U) << size;
  EXPECT_EQ(digest_of_files(state, "a.db"), digest(db));
}

TEST(WalVfs, ALongLogIsMadeShortAtTheEndUnlessSomebodyReads) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  const auto log_size = [&] { return std::filesystem::file_size(state.file("a.db-wal")); };
  db.execute(kTable);
  db.shorten_wal();
  EXPECT_GT(log_size(), 0U) << "a short one stays";
  while (log_size() < 1U << 20) insert(db, 3'000);
  Database other(state.file("a.db"), OpenMode::must_exist, Sync::normal);
  {
    ReadTransaction reading(other);
    digest(other);
    insert(db, 3'000);
    db.shorten_wal();
    EXPECT_GE(log_size(), 1U << 20);
  }
  db.shorten_wal();
  EXPECT_EQ(log_size(), 0U);
  insert(db, 20);
  EXPECT_EQ(digest(other), digest(db));
  EXPECT_EQ(digest_of_files(state, "a.db"), digest(db));
}

TEST(WalVfs, AHugeLogIsMadeShortByACheckpoint) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  db.execute(kTable);
  insert(db, 17 << 20);
  db.checkpoint();
  EXPECT_EQ(std::filesystem::file_size(state.file("a.db-wal")), 0U);
  EXPECT_EQ(digest_of_files(state, "a.db"), digest(db));
}

TEST(WalVfs, WritesATransactionAtOnce) {
  TempState state;
  Database db(state.file("a.db"), OpenMode::create, Sync::normal);
  db.execute(kTable);
  auto writes = [] {
    std::ifstream io("/proc/thread-self/io");
    std::string name;
    uint64_t value = 0;
    while (io >> name >> value) {
      if (name == "syscw:") return value;
    }
    return uint64_t{0};
  };
  insert(db, 10);  // where the next one goes on
  const uint64_t before = writes();
  insert(db, 80'000);                 // 20 pages
  EXPECT_LT(writes() - before, 10U);  // one, and those of a sanitizer; SQLite alone makes more than forty
}

}  // namespace
}  // namespace postrider::store
