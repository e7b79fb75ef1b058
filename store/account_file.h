// An account's file as a whole: ID.db with its log, and ID.lock beside it.
//
// ID.lock is never replaced. Writers take turns by it, and it holds the account's modseq as it was when the file was
// last flushed. A file that knows less than that is not the one that was flushed: its log is gone or cut off, it is
// empty, or it came from somewhere else. That is damage like any that SQLite finds.
//
// A damaged file is set aside: it gets another name, with its log, and is kept. Nothing takes its place by itself;
// `mailctl recover` and `mailctl restore` do that. Writers look at the name once they hold the lock (WriterLock), so
// that nothing is written to a file that was set aside, by whichever process.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

class AccountFile {
 public:
  /// path: of the database. Opens the lock file, which is made where it is missing. Throws SqliteError.
  explicit AccountFile(const std::string& path);
  ~AccountFile();
  AccountFile(const AccountFile&) = delete;
  AccountFile& operator=(const AccountFile&) = delete;

  int lock_file() const { return lock_file_; }
  const std::string& path() const { return path_; }
  /// The account's modseq as it was flushed, at least; 0: nothing was yet.
  ModSeq flushed() const;
  /// That all up to this modseq is on the disk. It is a note that may be lost, and is not flushed itself.
  void note_flushed(ModSeq modseq);
  /// The file was replaced: the note begins anew. Flushed. Throws SqliteError.
  void forget_flushed(ModSeq modseq);

 private:
  std::string path_;
  int lock_file_ = -1;
  ModSeq noted_ = 0;  // by this handle
};

/// That an account's file is damaged, in words for the log; is_corrupt() holds.
SqliteError damaged_account(const std::string& path, std::string_view what);

/// The account had a file once and has none now.
bool is_set_aside(const std::string& path);

/// What tells one file from another that has the same name later; 0: there is none.
ino_t identity_of(const std::string& path);

/// Gives the file another name (PATH.WORD-TIME), with its log, unless it is another one by now. Waits for the writer's
/// lock, which the caller does not hold. Gives the new name; empty: it was another file. Throws SqliteError.
std::string set_aside(const std::string& path, ino_t identity, std::string_view word, UnixTime now);
/// The same for who holds the writer's lock.
std::string set_aside(AccountFile& file, ino_t identity, std::string_view word, UnixTime now);

/// The files that were set aside as damaged, the newest first.
std::vector<std::string> set_aside_files(const std::string& path);

/// Puts a whole file, which has no log, in the place of one that was set aside. Its owner holds the writer's lock.
/// modseq: its own. Throws SqliteError.
void put_in_place(AccountFile& file, const std::string& fresh, const std::string& path, ModSeq modseq, UnixTime now);

}  // namespace postrider::store
