#include "store/directory_version.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace postrider::store {
namespace {

static_assert(std::atomic<uint64_t>::is_always_lock_free);  // or two processes could not share it

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

/// The folder belongs to the group: sockets and counters of both daemons lie in it.
void make_run_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0770) == 0) {
    ::chmod(path.c_str(), 02770);
  } else if (errno != EEXIST) {
    fail(path);
  }
}

}  // namespace

DirectoryVersion::DirectoryVersion(const std::string& state) {
  std::filesystem::create_directories(state);
  make_run_folder(state + "/run");
  std::string path = state + "/run/directory.version";
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  if (file < 0) fail(path);
  ::fchmod(file, 0660);  // whatever the umask says; fails harmlessly where the file is another user's
  // Growing to the size that it has already changes nothing, so two processes may do this at once.
  void* memory = ::ftruncate(file, sizeof(uint64_t)) == 0
                     ? ::mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                     : MAP_FAILED;
  int reason = errno;
  ::close(file);
  errno = reason;
  if (memory == MAP_FAILED) fail(path);
  counter_ = static_cast<std::atomic<uint64_t>*>(memory);
}

DirectoryVersion::~DirectoryVersion() {
  ::munmap(counter_, sizeof(uint64_t));
}

// Writers are one at a time, but one that has committed may not have come to its destructor when the next one begins:
// each leaves the counter odd for the other, and only the last one makes it even.
DirectoryVersion::Change::Change(DirectoryVersion& version) : counter_(*version.counter_) {
  uint64_t old = counter_.load(std::memory_order_acquire);
  do {
    mine_ = old + (stands_still(old) ? 1 : 2);
  } while (!counter_.compare_exchange_weak(old, mine_, std::memory_order_acq_rel));
}

DirectoryVersion::Change::~Change() {
  uint64_t expected = mine_;
  counter_.compare_exchange_strong(expected, mine_ + 1, std::memory_order_acq_rel);
}

}  // namespace postrider::store
