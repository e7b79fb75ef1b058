#include "store/writer_lock.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>

#include "store/sqlite.h"

namespace postrider::store {

WriterLock::WriterLock(int file) : file_(file) {
  while (::flock(file_, LOCK_EX) != 0) {
    if (errno != EINTR)
      throw SqliteError(0, fmt::format("an account's lock file cannot be locked: {}", std::strerror(errno)));
  }
}

WriterLock::WriterLock(int file, Database& database) : WriterLock(file) {
  // The destructor runs for what throws here: the other constructor is done.
  if (database.has_moved()) throw SqliteError(0, database.path() + ": was replaced; it has to be opened again");
}

WriterLock::~WriterLock() {
  ::flock(file_, LOCK_UN);
}

}  // namespace postrider::store
