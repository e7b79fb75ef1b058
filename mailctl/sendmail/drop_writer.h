// Leaves a message in STATE/drop: whole and on the disk, or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider::sendmail {

/// Files of one user that may wait: while mta is down a program that runs wild must not fill the disk.
constexpr int kMaxWaitingDrops = 1'000;

class DropWriter {
 public:
  /// folder: must be there, and be writable for this process; it need not be readable. max_size: octets of the whole
  /// file. The error is a sentence.
  static Result<DropWriter> begin(const std::string& folder, uint64_t max_size);
  ~DropWriter();  // removes what was not committed
  DropWriter(DropWriter&& other) noexcept;
  DropWriter& operator=(DropWriter&&) = delete;

  /// Which message of all this is.
  const std::string& key() const { return key_; }
  Result<void> write(std::string_view text);
  /// Flushes and makes it visible to mta.
  Result<void> commit();

 private:
  DropWriter(std::string folder, std::string key, std::string path, int file, uint64_t max_size);
  Result<void> flush_buffer();

  std::string folder_, key_, path_, buffer_;
  int file_ = -1;
  uint64_t max_size_ = 0, size_ = 0;
};

}  // namespace postrider::sendmail
