// The account's writer lock: waits in the kernel, not in a loop, for other threads and the other daemon alike.
#pragma once

namespace postrider::store {

class Database;

class WriterLock {
 public:
  /// file: the descriptor of the account's lock file. Waits. Throws SqliteError when the file cannot be locked.
  explicit WriterLock(int file);
  /// The same for somebody who writes to this database next: throws SqliteError where it was set aside or replaced.
  WriterLock(int file, Database& database);
  ~WriterLock();
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  int file_;
};

}  // namespace postrider::store
