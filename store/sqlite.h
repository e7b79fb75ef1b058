// SQLite in the few words that this store needs: Database, Statement, Transaction.
//
// One Database is used by one thread at a time. Every transaction that may write begins IMMEDIATE (a deferred one would
// fail with BUSY at once when it comes to write). A statement is reset when its Rows or its call ends, so no snapshot
// is kept open by accident.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace postrider::store {

/// Any failure of SQLite. code() is the extended result code; what() names the file.
class SqliteError : public std::runtime_error {
 public:
  SqliteError(int code, const std::string& what) : std::runtime_error(what), code_(code) {}
  int code() const { return code_; }
  bool is_full() const;           // SQLITE_FULL, or an I/O error that says so: the disk
  bool is_busy() const;           // somebody holds the lock for longer than we wait
  bool is_constraint() const;     // a UNIQUE or PRIMARY KEY that is already there
  bool is_corrupt_index() const;  // of a search index, which can be made anew
  bool is_corrupt() const;        // SQLITE_CORRUPT, SQLITE_NOTADB: the file is damaged; not so what can be made anew

 private:
  int code_;
};

/// Something was committed, everybody sees it, and it is not known to be on the disk: a power cut may take it back.
class NotFlushed final : public SqliteError {
 public:
  explicit NotFlushed(const SqliteError& why) : SqliteError(why) {}
};

/// Bytes that are bound as a BLOB (a string_view is bound as TEXT).
struct Blob {
  std::string_view bytes;
};

class Statement {
 public:
  Statement() = default;
  /// damaged: set where a step finds the file to be so.
  Statement(sqlite3* db, sqlite3_stmt* stmt, bool& damaged) : db_(db), stmt_(stmt), damaged_(&damaged) {}

  /// Binds all parameters from ?1 on. Text and blobs are not copied: they must live until the statement was run.
  template <class... Args>
  Statement& bind(const Args&... args) {
    int position = 0;
    (bind_at(++position, args), ...);
    return *this;
  }
  void bind_at(int position, int64_t value);
  void bind_at(int position, int value) { bind_at(position, static_cast<int64_t>(value)); }
  void bind_at(int position, uint32_t value) { bind_at(position, static_cast<int64_t>(value)); }
  void bind_at(int position, uint64_t value) { bind_at(position, static_cast<int64_t>(value)); }
  void bind_at(int position, bool value) { bind_at(position, static_cast<int64_t>(value)); }
  void bind_at(int position, std::string_view text);
  void bind_at(int position, const char* text) { bind_at(position, std::string_view(text)); }
  void bind_at(int position, const std::string& text) { bind_at(position, std::string_view(text)); }
  void bind_at(int position, Blob blob);
  void bind_at(int position, std::nullptr_t);
  /// A value of another statement's row, whatever its type.
  void bind_column(int position, const Statement& row, int column);
  template <class T>
  void bind_at(int position, const std::optional<T>& value) {
    value ? bind_at(position, *value) : bind_at(position, nullptr);
  }

  /// The next row; false at the end, and the statement is reset.
  bool step();
  /// Runs to the end, for statements without rows.
  void run();
  void reset();

  int64_t integer(int column) const;
  bool is_null(int column) const;
  /// Valid until the next step or reset.
  std::string_view text(int column) const;
  std::string_view blob(int column) const;

 private:
  sqlite3* db_ = nullptr;
  sqlite3_stmt* stmt_ = nullptr;
  bool* damaged_ = nullptr;
};

/// Resets a statement at the end of a scope: for (Rows rows(statement); rows.next();) ...
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(statement) {}
  ~Rows() { statement_.reset(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  bool next() { return statement_.step(); }
  const Statement* operator->() const { return &statement_; }

 private:
  Statement& statement_;
};

enum class Sync { normal, full };
enum class OpenMode {
  must_exist,
  create,
  damaged,  // for reading what can be read: errors of the schema count where they are met only
};

class Database {
 public:
  /// Opens in WAL mode with foreign keys off, no automatic checkpoint and a busy timeout. A new file is made 0660
  /// first, so that another user of the group can write its -wal and -shm too.
  Database(const std::string& path, OpenMode mode, Sync sync);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// A statement of the cache, ready to bind. The same SQL gives the same statement: not to be used recursively.
  Statement& prepare(std::string_view sql);
  /// One or several statements without parameters.
  void execute(const std::string& sql);

  int64_t last_insert_id() const;
  int64_t changes() const;
  int64_t data_version();  // changes when another connection commits
  int64_t user_version();
  void set_user_version(int64_t version);

  /// Makes everything committed on this file so far durable: a flush of the WAL file. Where that fails, by writing it
  /// all into the file itself. Throws SqliteError when that fails too; then the next flush begins with it.
  void flush();
  /// Pages in the WAL after the last commit through this connection.
  int wal_pages() const { return wal_pages_; }
  /// Moves what it can from the WAL into the database without making anybody wait. A file of the WAL that became very
  /// large is made short then.
  void checkpoint();
  /// The same for a WAL of kLongWal octets or more, for whoever lets go of the database: who opens it next, after a
  /// start, has to read all of the WAL. Where somebody is at work on it, it stays as it is. Throws nothing.
  void shorten_wal() noexcept;
  /// Copies the file as this handle sees it (within a ReadTransaction: as it was then) to a new one, which needs no log
  /// and is not flushed. Nobody waits for it.
  void copy_to(const std::string& path);
  const std::string& path() const { return path_; }
  /// SQLite found it to be damaged, at any time since it was opened.
  bool damaged() const { return damaged_; }
  /// Another file has its name now, or that of its log, or none has.
  bool has_moved();

 private:
  friend class Transaction;
  bool rewrite();
  [[noreturn]] void fail(int code, std::string_view what);
  std::string path_;
  bool damaged_ = false;
  sqlite3* db_ = nullptr;
  int wal_pages_ = 0;
  bool distrusts_wal_ = false;  // a flush of it failed
  struct Cached;
  std::unordered_map<std::string_view, std::unique_ptr<Cached>> cache_;
};

/// What is wrong with a file that nobody writes to, in words; empty: nothing. Reads all of it, and leaves nothing
/// beside it.
std::string check_file(const std::string& path);

/// BEGIN IMMEDIATE now; ROLLBACK at the end of the scope unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

/// One unchanging view for several SELECTs; short, and never across anything that waits (the WAL cannot be emptied
/// meanwhile).
class ReadTransaction {
 public:
  explicit ReadTransaction(Database& database) : database_(database) { database_.prepare("BEGIN").run(); }
  ~ReadTransaction();
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  Database& database_;
};

/// One step of a schema: takes a file from version to version + 1.
struct Migration {
  const char* sql;
  const char* undo = nullptr;  // takes it back; the newest step has one, so that the version before can be put back
};

/// Brings a file to the newest version. A file that already holds something is copied to PATH.before-vN first (VACUUM
/// INTO), so that there is a way back; a file of a newer version is refused with an error that says so.
void migrate(Database& database, std::span<const Migration> migrations);

/// Takes a file of the newest version to the one before it, for the program of that version: mail that came since
/// stays. False: it is of another version, or has only one. Flushed.
bool step_back(Database& database, std::span<const Migration> migrations);

}  // namespace postrider::store
