// The time, handed in, so that a test can turn it.
#pragma once

#include <chrono>
#include <cstdint>

namespace postrider {

using Seconds = std::chrono::seconds;
using UnixTime = int64_t;  // seconds since 1970-01-01 UTC

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::system_clock::time_point now() const = 0;
  UnixTime unix_time() const { return std::chrono::duration_cast<Seconds>(now().time_since_epoch()).count(); }
};

class SystemClock final : public Clock {
 public:
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::now(); }
};

/// For tests: stands still until it is set.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(UnixTime start) : time_(std::chrono::system_clock::from_time_t(start)) {}
  std::chrono::system_clock::time_point now() const override { return time_; }
  void advance(std::chrono::milliseconds step) { time_ += step; }

 private:
  std::chrono::system_clock::time_point time_;
};

}  // namespace postrider
