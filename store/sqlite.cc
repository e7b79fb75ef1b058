#include "store/sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/base/log.h"
#include "store/checksum.h"
#include "store/wal_vfs.h"

namespace postrider::store {
namespace {

// How long SQLite waits for a lock that our own lock file does not cover: recovery after a crash, a person's sqlite3
// shell.
constexpr int kBusyTimeoutMs = 10'000;
// Pages of memory a handle may keep (KiB): DESIGN.md counts about 140 KiB a handle; hot ones may use more.
constexpr int kCacheKiB = 2'000;
// A WAL file that grew larger (a message of many MiB) is cut back to this when it starts anew.
constexpr int kMaxIdleWal = 16 << 20;
constexpr int kHugeWalPages = kMaxIdleWal / 4'096;
// Octets of a WAL file that is worth making short at an end. A short one is left: it has the room for what comes next.
constexpr int64_t kLongWal = 1 << 20;

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path();
}

/// Held while an empty file becomes a database: SQLite waits for nobody there, it fails with BUSY at once. The lock is
/// on the folder, since whoever closes a second descriptor of the file loses the locks of the first.
class Founding {
 public:
  explicit Founding(const std::string& path) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0 || facts.st_size != 0) return;
    folder_ = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (folder_ >= 0 && ::flock(folder_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Founding() {
    if (folder_ >= 0) ::close(folder_);
  }
  Founding(const Founding&) = delete;
  Founding& operator=(const Founding&) = delete;

 private:
  int folder_ = -1;
};

/// SQLite would make the file 0644: group write is needed, because the other daemon may be another user.
void make_file(const std::string& path) {
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  if (file < 0) throw SqliteError(SQLITE_CANTOPEN, fmt::format("{}: {}", path, std::strerror(errno)));
  ::fchmod(file, 0660);  // whatever the umask says; fails harmlessly where the file is another user's
  ::close(file);
  // The name must survive a power cut as the content will.
  int directory = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
}

}  // namespace

bool SqliteError::is_full() const {
  return (code_ & 0xff) == SQLITE_FULL;
}
bool SqliteError::is_busy() const {
  return (code_ & 0xff) == SQLITE_BUSY || (code_ & 0xff) == SQLITE_LOCKED;
}
bool SqliteError::is_constraint() const {
  return (code_ & 0xff) == SQLITE_CONSTRAINT;
}
bool SqliteError::is_corrupt_index() const {
  return code_ == SQLITE_CORRUPT_VTAB;
}
bool SqliteError::is_corrupt() const {
  return ((code_ & 0xff) == SQLITE_CORRUPT && !is_corrupt_index()) || (code_ & 0xff) == SQLITE_NOTADB;
}

void Statement::bind_at(int position, int64_t value) {
  sqlite3_bind_int64(stmt_, position, value);
}
void Statement::bind_at(int position, std::string_view text) {
  sqlite3_bind_text64(stmt_, position, text.data() != nullptr ? text.data() : "", text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}
void Statement::bind_at(int position, Blob blob) {
  sqlite3_bind_blob64(stmt_, position, blob.bytes.data() != nullptr ? blob.bytes.data() : "", blob.bytes.size(),
                      SQLITE_STATIC);
}
void Statement::bind_at(int position, std::nullptr_t) {
  sqlite3_bind_null(stmt_, position);
}
void Statement::bind_column(int position, const Statement& row, int column) {
  sqlite3_bind_value(stmt_, position, sqlite3_column_value(row.stmt_, column));
}

bool Statement::step() {
  int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    int extended = sqlite3_extended_errcode(db_);
    std::string what = fmt::format("{}: {} ({}, {})", sqlite3_db_filename(db_, "main"), sqlite3_errmsg(db_),
                                   sqlite3_sql(stmt_), extended);
    sqlite3_reset(stmt_);
    SqliteError error(extended, what);
    *damaged_ |= error.is_corrupt();
    throw error;
  }
  sqlite3_reset(stmt_);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() {
  sqlite3_reset(stmt_);
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(stmt_, column);
}
bool Statement::is_null(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

std::string_view Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}

std::string_view Statement::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(stmt_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}

struct Database::Cached {
  explicit Cached(std::string text) : sql(std::move(text)) {}
  ~Cached() { sqlite3_finalize(stmt); }
  Cached(const Cached&) = delete;
  Cached& operator=(const Cached&) = delete;
  std::string sql;  // the key of the map points here
  sqlite3_stmt* stmt = nullptr;
  Statement statement;
};

namespace {

/// What files are opened with. The first time SQLite is set up: it need not count its memory, for which every thread
/// waits for every other.
const char* file_layer() {
  static const char* const name = [] {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return wal_vfs();
  }();
  return name;
}

}  // namespace

void Database::fail(int code, std::string_view what) {
  const int extended = db_ != nullptr ? sqlite3_extended_errcode(db_) : code;
  SqliteError error(extended, fmt::format("{}: {} ({}, {})", path_,
                                          db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code), what, extended));
  damaged_ |= error.is_corrupt();
  throw error;
}

Database::Database(const std::string& path, OpenMode mode, Sync sync) : path_(path) {
  if (mode == OpenMode::create && !std::filesystem::exists(path)) make_file(path);
  int code = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             file_layer());
  try {
    if (code != SQLITE_OK) fail(code, "open");
    // While the disk is read-only SQLite opens for reading alone, and such a handle stays so when the disk is well
    // again.
    if (sqlite3_db_readonly(db_, "main") == 1) {
      throw SqliteError(SQLITE_READONLY, fmt::format("{}: can be read only at the moment", path));
    }
    sqlite3_busy_timeout(db_, kBusyTimeoutMs);
    // The last handle of an account must not pay for a checkpoint when it closes; the background does that.
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    add_checksum(db_);
    if (mode == OpenMode::damaged) {
      execute("PRAGMA writable_schema=ON; PRAGMA cell_size_check=ON");
      return;
    }
    const Founding alone(path);
    execute(
        fmt::format("PRAGMA journal_mode=WAL; PRAGMA synchronous={}; PRAGMA cache_size=-{}; PRAGMA temp_store=MEMORY; "
                    // Debian's SQLite overwrites what is deleted with zeros, at the price of writing it once more.
                    "PRAGMA secure_delete=OFF; PRAGMA journal_size_limit={};",
                    sync == Sync::full ? "FULL" : "NORMAL", kCacheKiB, kMaxIdleWal));
    sqlite3_wal_hook(
        db_,
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<Database*>(self)->wal_pages_ = pages;
          return SQLITE_OK;
        },
        this);
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

namespace {

bool file_says(sqlite3* db, int control) {
  int yes = 0;
  return sqlite3_file_control(db, "main", control, &yes) == SQLITE_OK && yes != 0;
}

/// A log that was deleted goes with the last handle that has it open: first the file itself gets all that is in it.
void save_log(sqlite3* db, const std::string& path) {
  if (!file_says(db, kWalHasMoved) || file_says(db, SQLITE_FCNTL_HAS_MOVED)) return;
  const int code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  if (code == SQLITE_OK) {
    log_warn("deleted_log_saved", {{"file", path}, {"advice", "leave the files beside a database alone"}});
  } else if (code != SQLITE_IOERR) {  // another handle has done it, and a new log is in use
    log_error("deleted_log_not_saved", {{"file", path}, {"reason", sqlite3_errmsg(db)}});
  }
}

/// A checkpoint, and a WAL that begins anew in an empty file; not where somebody else would have to be waited for. The
/// first call does the work while others write; they wait for the second, which finds little to do.
void truncate_wal(sqlite3* db) {
  sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  sqlite3_busy_timeout(db, 0);
  sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
}

}  // namespace

Database::~Database() {
  cache_.clear();
  save_log(db_, path_);
  sqlite3_close_v2(db_);
}

Statement& Database::prepare(std::string_view sql) {
  if (auto found = cache_.find(sql); found != cache_.end()) return found->second->statement;
  auto cached = std::make_unique<Cached>(std::string(sql));
  int code = sqlite3_prepare_v3(db_, cached->sql.data(), static_cast<int>(cached->sql.size()),
                                SQLITE_PREPARE_PERSISTENT, &cached->stmt, nullptr);
  if (code != SQLITE_OK) fail(code, sql);
  cached->statement = Statement(db_, cached->stmt, damaged_);
  std::string_view key = cached->sql;
  return cache_.emplace(key, std::move(cached)).first->second->statement;
}

void Database::execute(const std::string& sql) {
  int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code, sql);
}

int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(db_);
}
int64_t Database::changes() const {
  return sqlite3_changes64(db_);
}

int64_t Database::data_version() {
  Statement& statement = prepare("PRAGMA data_version");
  Rows rows(statement);
  rows.next();
  return rows->integer(0);
}

int64_t Database::user_version() {
  Statement& statement = prepare("PRAGMA user_version");
  Rows rows(statement);
  rows.next();
  return rows->integer(0);
}

void Database::set_user_version(int64_t version) {
  execute(fmt::format("PRAGMA user_version={}", version));
}

namespace {

int flush_wal(sqlite3* db) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
  if (file == nullptr || file->pMethods == nullptr)
    return SQLITE_OK;  // no WAL was opened: nothing was written through this handle
  return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

}  // namespace

void Database::flush() {
  const int code = distrusts_wal_ ? SQLITE_IOERR_FSYNC : flush_wal(db_);
  if (code == SQLITE_OK) return;
  // What could not be written the system may forget, and say of the next flush that all is well; and whatever comes
  // behind the hole in the log would be lost with it. So all of it is written once more, and the log begins anew.
  distrusts_wal_ = !rewrite();
  if (distrusts_wal_) throw SqliteError(code, fmt::format("{}-wal: cannot flush ({})", path_, sqlite3_errstr(code)));
}

bool Database::rewrite() {
  if (sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) != SQLITE_OK) return false;
  wal_pages_ = 0;
  return flush_wal(db_) == SQLITE_OK;
}

void Database::checkpoint() {
  int log = 0;
  int moved = 0;
  int code = sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, &log, &moved);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) fail(code, "checkpoint");
  wal_pages_ = log - moved;
  if (code == SQLITE_OK && log == moved && log >= kHugeWalPages) truncate_wal(db_);
}

void Database::shorten_wal() noexcept {
  struct stat facts {};
  if (::stat((path_ + "-wal").c_str(), &facts) == 0 && facts.st_size >= kLongWal) truncate_wal(db_);
}

void Database::copy_to(const std::string& path) {
  constexpr int kPages = 1'000;  // between two looks at whether it went well
  {
    Rows begun(prepare("SELECT 1 FROM sqlite_schema"));  // a transaction's view begins with its first read
    begun.next();
  }
  sqlite3* copy = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code == SQLITE_OK)
    code = sqlite3_exec(copy, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_backup* backup = sqlite3_backup_init(copy, "main", db_, "main");
    while (backup != nullptr && sqlite3_backup_step(backup, kPages) == SQLITE_OK) {
    }
    code = backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_errcode(copy);
  }
  const SqliteError error(code, fmt::format("{}: cannot be copied to {}: {}", path_, path, sqlite3_errmsg(copy)));
  sqlite3_close_v2(copy);
  if (code != SQLITE_OK) throw error;
}

std::string check_file(const std::string& path) {
  std::string uri = "file:";
  for (char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      uri += c;
    }
  }
  uri += "?immutable=1";
  sqlite3* db = nullptr;
  std::string wrong;
  const auto note = [](void* into, int, char** values, char**) {
    auto& text = *static_cast<std::string*>(into);
    if (values[0] != nullptr && std::string_view(values[0]) != "ok")
      text += (text.empty() ? "" : "; ") + std::string(values[0]);
    return 0;
  };
  int code = sqlite3_open_v2(uri.c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  if (code == SQLITE_OK) code = sqlite3_exec(db, "PRAGMA quick_check(10)", note, &wrong, nullptr);
  if (code != SQLITE_OK) wrong = sqlite3_errmsg(db);
  sqlite3_close_v2(db);
  return wrong;
}

bool Database::has_moved() {
  return file_says(db_, SQLITE_FCNTL_HAS_MOVED) || file_says(db_, kWalHasMoved);
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.prepare("BEGIN IMMEDIATE").run();
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    // SQLite may have rolled back by itself (disk full); then this fails, and that is all the same.
    if (sqlite3_get_autocommit(database_.db_) == 0) database_.prepare("ROLLBACK").run();
  } catch (const SqliteError& error) {
    log_warn("rollback_failed", {{"file", database_.path()}, {"reason", error.what()}});
  }
}

void Transaction::commit() {
  database_.prepare("COMMIT").run();
  open_ = false;
}

ReadTransaction::~ReadTransaction() {
  try {
    database_.prepare("COMMIT").run();
  } catch (const SqliteError& error) {
    log_warn("end_of_read_failed", {{"file", database_.path()}, {"reason", error.what()}});
  }
}

void migrate(Database& database, std::span<const Migration> migrations) {
  auto newest = static_cast<int64_t>(migrations.size());
  if (database.user_version() == newest) return;
  int64_t old = database.user_version();
  if (old > newest) {
    throw SqliteError(SQLITE_ERROR,
                      fmt::format("{}: was written by a newer Postrider (version {}, this one knows {}); start the "
                                  "newer program, or go back to the copy it made before it migrated",
                                  database.path(), old, newest));
  }
  if (old > 0) {
    std::string copy = fmt::format("{}.before-v{}", database.path(), newest);
    if (!std::filesystem::exists(copy)) {
      std::string unfinished = copy + ".tmp";
      std::filesystem::remove(unfinished);
      make_file(unfinished);  // as little to be read by others as what it is a copy of
      database.prepare("VACUUM INTO ?1").bind(unfinished).run();
      std::filesystem::rename(unfinished, copy);
      log_info("migration_snapshot", {{"file", copy}, {"from_version", old}});
    }
  }
  Transaction transaction(database);
  old = database.user_version();  // another process may have been first
  for (int64_t version = old; version < newest; ++version)
    database.execute(migrations[static_cast<size_t>(version)].sql);
  if (old < newest) database.set_user_version(newest);
  transaction.commit();
}

bool step_back(Database& database, std::span<const Migration> migrations) {
  const auto newest = static_cast<int64_t>(migrations.size());
  if (database.user_version() != newest || migrations.back().undo == nullptr) return false;
  {
    Transaction transaction(database);
    database.execute(migrations.back().undo);
    database.set_user_version(newest - 1);
    transaction.commit();
  }
  database.flush();
  // The copy from before the step is older than the file that has taken it back.
  std::error_code ignored;
  std::filesystem::remove(fmt::format("{}.before-v{}", database.path(), newest), ignored);
  return true;
}

}  // namespace postrider::store
