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

WriterLock::~WriterLock() {
  ::flock(file_, LOCK_UN);
}

}  // namespace postrider::store
