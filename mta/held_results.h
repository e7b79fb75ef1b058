// What sessions count for reports, until a thread that may wait for the disk writes it down.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace postrider {

/// Result: has key(), which is the same for those that add up, and total(), the number that does.
template <class Result>
class HeldResults {
 public:
  static constexpr size_t kMaxHeld = 10'000;  // different ones; what is beyond is not counted

  /// From any thread; costs memory alone.
  void add(int64_t day, Result result) {
    std::pair key(day, result.key());
    std::lock_guard lock(mutex_);
    if (auto found = held_.find(key); found != held_.end()) {
      found->second.total() += result.total();
    } else if (held_.size() < kMaxHeld) {
      held_.emplace(std::move(key), std::move(result));
    }
  }
  /// By day; nothing is held afterwards.
  std::map<int64_t, std::vector<Result>> take() {
    std::map<std::pair<int64_t, std::string>, Result> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    std::map<int64_t, std::vector<Result>> days;
    for (auto& [key, result] : held) days[key.first].push_back(std::move(result));
    return days;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int64_t, std::string>, Result> held_;
};

}  // namespace postrider
