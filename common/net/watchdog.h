// Looks whether the loops still turn: nothing on a loop thread may block.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace postrider::net {

/// Puts a question into each loop every now and then and logs an answer that comes late.
class Watchdog {
 public:
  static constexpr std::chrono::milliseconds kPatience{50};

  /// The loops must outlive it.
  explicit Watchdog(std::vector<asio::io_context*> loops);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Answers that came late so far.
  size_t late() const;
  struct Held {
    size_t loop = 0;
    std::chrono::milliseconds time{0};
  };
  /// Which loop has not answered for longest, and for how long. From any thread.
  Held longest_held() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Loop;
  void watch();
  void look(Loop& loop, size_t number, Time now);

  std::vector<std::shared_ptr<Loop>> loops_;
  std::mutex mutex_;
  std::condition_variable ending_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace postrider::net
