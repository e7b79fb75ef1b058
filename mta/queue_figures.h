// What the monitor shows of the queue: looked up in queue.db by a handle of its own.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "store/queue.h"

namespace postrider {

constexpr size_t kMaxShownDestinations = 20;  // those with most recipients; the others are shown as one
constexpr const char* kOtherDestinations = "(other)";
constexpr const char* kMailboxesHere = "(here)";

/// For one thread.
class QueueFigures {
 public:
  QueueFigures(std::string state, const Clock& clock) : state_(std::move(state)), clock_(clock) {}

  /// What a large queue costs to count is not paid at every question: what is shown may be as old as twenty times what
  /// it took to count. Throws SqliteError.
  void show(metrics::Page& page);

 private:
  void count();

  const std::string state_;
  const Clock& clock_;
  std::unique_ptr<store::Queue> queue_;
  store::QueueSummary summary_;
  std::vector<store::DestinationRow> destinations_;
  std::chrono::steady_clock::time_point good_until_;
};

}  // namespace postrider
