#include "mta/attempt_marks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/base/log.h"

namespace postrider {
namespace {

constexpr uint64_t kFormat = 0x706f737472310001;  // changes with the layout

/// Names this boot of the machine: after a power cut the file may hold anything.
void read_boot_id(char* to, size_t size) {
  std::memset(to, 0, size);
  int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  if (::read(file, to, size) < 0) std::memset(to, 0, size);
  ::close(file);
}

}  // namespace

struct AttemptMarks::File {
  struct Slot {
    int64_t account;
    std::atomic<int64_t> message;  // 0: free; written after account
  };
  uint64_t format;
  char boot_id[40];
  Slot slots[kMaxMarks];
};

AttemptMark::~AttemptMark() {
  if (marks_ != nullptr) marks_->end(slot_);
}

AttemptMarks::AttemptMarks(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (std::filesystem::create_directories(folder, ignored)) ::chmod(folder.c_str(), 02770);
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  // The space is taken now: a full disk must not be found out by a store to memory.
  int error = file < 0 ? errno : ::posix_fallocate(file, 0, sizeof(File));
  void* memory = error == 0 ? ::mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (memory == MAP_FAILED && error == 0) error = errno;
  if (file >= 0) ::close(file);
  if (memory == MAP_FAILED) {
    log_warn("attempt_marks", {{"file", path}, {"reason", std::strerror(error)}});
    return;
  }
  file_ = static_cast<File*>(memory);
  char boot_id[sizeof file_->boot_id];
  read_boot_id(boot_id, sizeof boot_id);
  bool ours = file_->format == kFormat && std::memcmp(file_->boot_id, boot_id, sizeof boot_id) == 0;
  for (size_t i = 0; i < kMaxMarks; ++i) {
    File::Slot& slot = file_->slots[i];
    int64_t message = slot.message.exchange(0);
    if (ours && message != 0) left_.push_back({message, slot.account});
    free_.push_back(kMaxMarks - 1 - i);
  }
  file_->format = kFormat;
  std::memcpy(file_->boot_id, boot_id, sizeof boot_id);
}

AttemptMarks::~AttemptMarks() {
  if (file_ == nullptr) return;
  for (File::Slot& slot : file_->slots) slot.message.store(0);
  ::munmap(file_, sizeof(File));
}

AttemptMark AttemptMarks::begin(store::QueueId message, store::AccountId account) {
  size_t place = 0;
  {
    std::lock_guard lock(mutex_);
    if (free_.empty()) return {};
    place = free_.back();
    free_.pop_back();
  }
  File::Slot& slot = file_->slots[place];
  slot.account = account;
  slot.message.store(message, std::memory_order_release);
  return {this, place};
}

void AttemptMarks::end(size_t slot) {
  file_->slots[slot].message.store(0, std::memory_order_release);
  std::lock_guard lock(mutex_);
  free_.push_back(slot);
}

}  // namespace postrider
