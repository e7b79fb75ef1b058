#include "store/directory_service.h"

namespace postrider::store {
namespace {

constexpr size_t kMaxIdleHandles = 16;  // more threads than this at once make handles of their own

}  // namespace

DirectoryService::DirectoryService(std::string state, const Clock& clock)
    : state_(std::move(state)), clock_(clock), version_(state_) {
  idle_.push_back(std::make_unique<Directory>(state_, clock_));
}

std::unique_ptr<Directory> DirectoryService::take() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto directory = std::move(idle_.back());
      idle_.pop_back();
      return directory;
    }
  }
  return std::make_unique<Directory>(state_, clock_);
}

void DirectoryService::give_back(std::unique_ptr<Directory> directory) {
  std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdleHandles) idle_.push_back(std::move(directory));
}

}  // namespace postrider::store
