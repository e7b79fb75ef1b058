// What this process is working on at this moment, kept where it outlives the process: a small file that is mapped into
// memory.
//
// A message that kills the process must not be tried for ever, and one that merely waited in memory is not to blame. A
// mark is a store to memory before the attempt and one after it; when the process dies in between the kernel still has
// the page, and the next start reads who was at work.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/queue.h"

namespace postrider {

constexpr size_t kMaxMarks = 4'096;  // at once; what is beyond is not marked

class AttemptMarks;

/// One attempt, from its beginning to its end.
class AttemptMark {
 public:
  AttemptMark() = default;
  AttemptMark(AttemptMarks* marks, size_t slot) : marks_(marks), slot_(slot) {}
  AttemptMark(AttemptMark&& other) noexcept : marks_(std::exchange(other.marks_, nullptr)), slot_(other.slot_) {}
  AttemptMark& operator=(AttemptMark&&) = delete;
  ~AttemptMark();

 private:
  AttemptMarks* marks_ = nullptr;
  size_t slot_ = 0;
};

/// Safe to use from any thread.
class AttemptMarks {
 public:
  /// path: the file, in a folder that is made where it is missing. Where it cannot be had nothing is marked, and the
  /// log says so: mail goes on.
  explicit AttemptMarks(const std::string& path);
  ~AttemptMarks();  // in good order: nothing is left
  AttemptMarks(const AttemptMarks&) = delete;
  AttemptMarks& operator=(const AttemptMarks&) = delete;

  /// What the process before was at when it died, on this boot of the machine.
  const std::vector<store::InAttempt>& left() const { return left_; }
  AttemptMark begin(store::QueueId message, store::AccountId account);

 private:
  friend class AttemptMark;
  struct File;
  void end(size_t slot);

  File* file_ = nullptr;
  std::mutex mutex_;
  std::vector<size_t> free_;
  std::vector<store::InAttempt> left_;
};

}  // namespace postrider
