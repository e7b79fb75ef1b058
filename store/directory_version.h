// STATE/run/directory.version: eight octets that both daemons and mailctl map, so that asking whether the directory has
// changed is one read of memory.
//
// Odd: a change is being committed, and no answer may be remembered. Even: it stands still. A writer that died in
// between leaves it odd, which costs speed and never truth; the next Directory that is opened sets it right.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace postrider::store {

class DirectoryVersion {
 public:
  /// Maps the file, made when missing (0660). Throws std::system_error.
  explicit DirectoryVersion(const std::string& state);
  ~DirectoryVersion();
  DirectoryVersion(const DirectoryVersion&) = delete;
  DirectoryVersion& operator=(const DirectoryVersion&) = delete;

  uint64_t load() const { return counter_->load(std::memory_order_acquire); }
  static bool stands_still(uint64_t version) { return version % 2 == 0; }

  /// Held around a commit, under the directory's write lock.
  class Change {
   public:
    explicit Change(DirectoryVersion& version);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    std::atomic<uint64_t>& counter_;
    uint64_t mine_;
  };

 private:
  std::atomic<uint64_t>* counter_ = nullptr;
};

}  // namespace postrider::store
