#include "common/net/watchdog.h"

#include "common/base/log.h"
#include "common/base/metrics.h"

namespace postrider::net {
namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr std::chrono::seconds kStuck{5};
constexpr std::chrono::seconds kBetweenLines{1};  // of the log, for one loop

metrics::Histogram answer_seconds(
    "postrider_loop_answer_seconds",
    "How long event loops took to answer the watchdog, which asks each ten times a second.", metrics::kDurations);

int64_t milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

/// Shared with the question that is in the loop, which may be answered after the watchdog is gone.
struct Watchdog::Loop {
  explicit Loop(asio::io_context& io) : context(io) {}
  asio::io_context& context;
  std::atomic<bool> asked = false;
  std::atomic<Time> asked_at = Time();  // the watchdog's thread writes it before it asks
  Time last_line;                       // the loop's thread
  bool called_stuck = false;            // the watchdog's thread
  std::atomic<size_t> late = 0;
};

Watchdog::Watchdog(std::vector<asio::io_context*> loops) {
  for (asio::io_context* loop : loops) loops_.push_back(std::make_shared<Loop>(*loop));
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    end_ = true;
  }
  ending_.notify_all();
  thread_.join();
}

size_t Watchdog::late() const {
  size_t sum = 0;
  for (const auto& loop : loops_) sum += loop->late;
  return sum;
}

Watchdog::Held Watchdog::longest_held() const {
  Held longest;
  const Time now = std::chrono::steady_clock::now();
  for (size_t i = 0; i < loops_.size(); ++i) {
    if (!loops_[i]->asked.load(std::memory_order_acquire)) continue;
    const auto held = std::chrono::duration_cast<std::chrono::milliseconds>(now - loops_[i]->asked_at.load());
    if (held > longest.time) longest = {i, held};
  }
  return longest;
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, kInterval, [this] { return end_; })) {
    const Time now = std::chrono::steady_clock::now();
    for (size_t i = 0; i < loops_.size(); ++i) look(*loops_[i], i, now);
  }
}

void Watchdog::look(Loop& loop, size_t number, Time now) {
  if (loop.asked.load(std::memory_order_acquire)) {
    const auto held = now - loop.asked_at.load();
    if (held > kStuck && !loop.called_stuck) {
      loop.called_stuck = true;
      log_error("loop_stuck", {{"loop", number}, {"milliseconds", milliseconds(held)}});
    }
    return;
  }
  loop.called_stuck = false;
  loop.asked_at = now;
  loop.asked.store(true, std::memory_order_release);
  asio::post(loop.context, [shared = loops_[number], number] {
    const Time answered = std::chrono::steady_clock::now();
    const auto held = answered - shared->asked_at.load();
    answer_seconds.observe(held);
    if (held > kPatience) {
      ++shared->late;
      if (answered - shared->last_line > kBetweenLines) {
        shared->last_line = answered;
        log_warn("loop_held", {{"loop", number}, {"milliseconds", milliseconds(held)}});
      }
    }
    shared->asked.store(false, std::memory_order_release);
  });
}

}  // namespace postrider::net
