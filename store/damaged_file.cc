#include "store/damaged_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "store/account_file.h"
#include "store/account_schema.h"
#include "store/wal_mend.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

// https://www.sqlite.org/fileformat2.html, 1.3: the header of the first page.
constexpr size_t kPageSize = 4096, kHeaderSize = 100, kPageCountAt = 28, kFreelistAt = 32, kFreelistEnd = 40;

/// Whether the tables are known at least.
bool has_tables(Database& database) {
  try {
    read_number(database, "SELECT 1 FROM state, mailbox, entry, message, head, chunk LIMIT 0");
    return true;
  } catch (const SqliteError&) {
    return false;
  }
}

/// And whether they are those that they are said to be.
bool has_mailboxes(Database& database) {
  try {
    return read_number(database,
                       "SELECT count(*) FROM mailbox WHERE name = 'INBOX' AND typeof(uid_validity) = 'integer'") > 0;
  } catch (const SqliteError&) {
    return false;
  }
}

/// The pages of a new account's file that say which tables there are and where they begin. Files that were made by this
/// version have the same.
std::map<uint64_t, std::string> schema_pages(const std::string& scratch) {
  const std::string path = scratch + "/template.db";
  std::map<uint64_t, std::string> pages;
  {
    Database database(path, OpenMode::create, Sync::normal);
    migrate(database, kAccountMigrations);
    Rows rows(database.prepare("SELECT pageno FROM dbstat WHERE name IN ('sqlite_schema', 'sqlite_master')"));
    while (rows.next()) pages[static_cast<uint64_t>(rows->integer(0))] = {};
  }
  {
    Database database(path, OpenMode::must_exist, Sync::normal);
    make_whole(database);
    database.execute("PRAGMA journal_mode=WAL");
  }
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (auto& [number, page] : pages) {
    page.resize(kPageSize);
    if (::pread(file, page.data(), kPageSize, static_cast<off_t>((number - 1) * kPageSize)) !=
        static_cast<ssize_t>(kPageSize))
      pages.clear();
    if (pages.empty()) break;
  }
  if (file >= 0) ::close(file);
  if (!pages.contains(1)) throw SqliteError(0, fmt::format("{}: cannot be read", path));
  return pages;
}

/// whole: all of them, also beyond the end of a file that was cut off; otherwise no more than the file's header, which
/// the first begins with.
void put_schema_pages(const std::string& path, std::map<uint64_t, std::string> pages, bool whole) {
  uint64_t count = fs::file_size(path) / kPageSize;
  if (whole) count = std::max(count, pages.rbegin()->first);
  std::string& first = pages.at(1);
  for (size_t i = 0; i < 4; ++i) first[kPageCountAt + i] = static_cast<char>(count >> (24 - 8 * i) & 0xff);
  std::fill(first.begin() + kFreelistAt, first.begin() + kFreelistEnd, '\0');  // what is free is of no interest
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  bool done = file >= 0;
  for (const auto& [number, page] : pages) {
    const size_t size = whole ? kPageSize : kHeaderSize;
    if (number == 1 || whole)
      done &=
          ::pwrite(file, page.data(), size, static_cast<off_t>((number - 1) * kPageSize)) == static_cast<ssize_t>(size);
  }
  if (file >= 0) ::close(file);
  if (!done) throw SqliteError(0, fmt::format("{}: {}", path, std::strerror(errno)));
}

ModSeq modseq_of(Database& database) {
  try {
    return read_number(database, "SELECT modseq FROM state");
  } catch (const SqliteError&) {
    return 0;
  }
}

/// Null: nothing of it can be read.
std::unique_ptr<Database> open_readable(const std::string& path) {
  try {
    auto database = std::make_unique<Database>(path, OpenMode::damaged, Sync::normal);
    if (has_tables(*database)) return database;
  } catch (const SqliteError& error) {
    if (!error.is_corrupt()) throw;
  }
  return nullptr;
}

/// The file with its log, to be tried with other octets.
std::string copy_of(const std::string& damaged, const std::string& scratch, std::string_view name) {
  std::string copy = fmt::format("{}/{}.db", scratch, name);
  fs::copy_file(damaged, copy, fs::copy_options::overwrite_existing);
  std::error_code missing;
  fs::copy_file(damaged + "-wal", copy + "-wal", fs::copy_options::overwrite_existing, missing);
  return copy;
}

}  // namespace

int64_t read_number(Database& database, std::string_view sql) {
  Rows rows(database.prepare(sql));
  return rows.next() ? rows->integer(0) : 0;
}

void make_whole(Database& database) {
  Rows rows(database.prepare("PRAGMA journal_mode=DELETE"));
  if (!rows.next() || rows->text(0) != "delete") throw SqliteError(0, database.path() + ": somebody else has it open");
}

std::unique_ptr<Database> open_damaged(const std::string& damaged, const std::string& scratch, ModSeq flushed,
                                       bool& replaced) {
  auto best = open_readable(damaged);
  if (best != nullptr && modseq_of(*best) >= std::max<ModSeq>(flushed, 1)) return best;
  const std::string mended = copy_of(damaged, scratch, "mended");
  if (mend_wal(mended + "-wal")) {
    auto other = open_readable(mended);
    if (other != nullptr && (best == nullptr || modseq_of(*other) > modseq_of(*best))) best = std::move(other);
  }
  if (best != nullptr && has_mailboxes(*best)) return best;
  const auto pages = schema_pages(scratch);
  for (bool whole : {false, true}) {
    const std::string copy = copy_of(damaged, scratch, whole ? "schema" : "header");
    if (fs::file_size(copy) < kPageSize) break;
    put_schema_pages(copy, pages, whole);
    auto other = open_readable(copy);
    if (other == nullptr || !has_mailboxes(*other)) continue;
    replaced = true;
    return other;
  }
  if (best == nullptr)
    throw damaged_account(damaged,
                          "nothing of it can be read; `mailctl restore --from BACKUP --replace ADDRESS` puts an older "
                          "file in its place, `mailctl recover --empty ADDRESS` an empty one");
  return best;
}

}  // namespace postrider::store
