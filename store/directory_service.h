// The directory for a whole daemon: handles for any number of threads, and the version that caches look at.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "store/directory.h"
#include "store/directory_version.h"

namespace postrider::store {

class DirectoryService {
 public:
  /// state: the state folder. Opens one handle at once, so that a broken directory is found at the start. Throws
  /// SqliteError.
  DirectoryService(std::string state, const Clock& clock);

  /// Runs use(Directory&) with a handle that nobody else has meanwhile and gives what it gives. Reads the disk: for
  /// worker threads, from any of them.
  template <class Use>
  auto with(Use&& use) {
    Lease lease(*this);
    return std::forward<Use>(use)(*lease.directory);
  }

  /// One read of memory; see DirectoryVersion. From any thread, a loop's too.
  uint64_t version() const { return version_.load(); }

 private:
  struct Lease {
    explicit Lease(DirectoryService& service) : owner(service), directory(service.take()) {}
    ~Lease() { owner.give_back(std::move(directory)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    DirectoryService& owner;
    std::unique_ptr<Directory> directory;
  };
  std::unique_ptr<Directory> take();
  void give_back(std::unique_ptr<Directory> directory);

  const std::string state_;
  const Clock& clock_;
  DirectoryVersion version_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Directory>> idle_;
};

}  // namespace postrider::store
