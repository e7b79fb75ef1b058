// A message on its way into the store: read in pieces, never whole in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/mail/mime_index.h"
#include "store/types.h"

namespace postrider::store {

/// A message as it enters: memory up to kChunkSize, a file in the spool folder beyond that. The file is removed when
/// the last owner lets go, unless keep() was called.
class Spool {
 public:
  static constexpr uint64_t kFrontRoom = 16 << 10;  // octets that prepend() may put in front of a file

  /// directory: where a file may be made. Nothing is made until it is needed.
  explicit Spool(std::string directory);
  ~Spool();
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) noexcept;

  /// The octets of another one from offset on, which must be there; for reading. They are not copied.
  Spool(std::shared_ptr<const Spool> whole, uint64_t offset, uint64_t size);

  /// A file of the queue, opened for reading again; it stays. Throws std::system_error.
  static Spool adopt(std::string path);

  /// Appends; may write to the file, so it is not for a loop thread once size() + bytes.size() exceeds kChunkSize
  /// (see will_write()). Throws std::system_error (a full disk).
  void append(std::string_view bytes);
  bool will_write(size_t more) const;
  /// Puts octets in front, fields that are known only when the message is whole. A file gets another name by it, so
  /// this goes before sync() and keep(), and not onto a loop thread. Throws std::length_error for more than kFrontRoom
  /// in all.
  void prepend(std::string_view bytes);
  /// Flushes the file and its folder, if there is one. Throws std::system_error.
  void sync();
  uint64_t size() const { return size_; }
  bool in_memory() const { return path_.empty(); }
  const std::string& memory() const { return memory_; }
  const std::string& path() const { return path_; }
  /// Where a file is made, or may be.
  const std::string& directory() const { return whole_ != nullptr ? whole_->directory() : directory_; }
  /// The file stays when this object goes; its name is returned.
  std::string keep() const;
  /// Calls sink with pieces of at most kChunkSize from beginning to end.
  template <class Sink>
  void read(Sink&& sink) const {
    std::string buffer;
    for (uint64_t offset = 0; offset < size_;) {
      std::string_view piece = read_at(offset, buffer);
      sink(piece);
      offset += piece.size();
    }
  }

  /// One piece of at most kChunkSize from offset on, which is less than size(); may lie in buffer.
  std::string_view read_at(uint64_t offset, std::string& buffer) const;

 private:
  std::string_view read_at(uint64_t offset, size_t want, std::string& buffer) const;

  std::shared_ptr<const Spool> whole_;  // where the octets are, when they are not here
  uint64_t offset_ = 0;                 // in whole_
  std::string directory_, memory_, path_;
  int file_ = -1;
  uint64_t begin_ = 0;  // where the message begins in the file, as its name says
  uint64_t size_ = 0;
  mutable bool keep_ = false;
};

/// One body row, ready to be stored in any number of accounts.
struct PreparedChunk {
  uint32_t raw_size = 0;
  bool zstd = false;
  std::string data;
  int64_t checksum = 0;  // of data
};

/// A message that was read once: indexed, cut into chunks and compressed where that pays. Small ones hold their chunks,
/// large ones (more than one chunk) make them again from the spool for each account.
struct PreparedMessage {
  MimeSummary summary;
  std::string head;  // the root header (at most kMaxInlineHead of it)
  int64_t head_checksum = 0;
  std::vector<PreparedChunk> chunks;   // what follows, when it fits in one chunk
  std::shared_ptr<const Spool> spool;  // set when chunks is empty and there is more than head
  std::vector<int64_t> thread_keys;    // store/thread_keys.h
};

/// Binary parts that hold NUL are converted where that can be done (see without_nul()).
PreparedMessage prepare_message(std::shared_ptr<const Spool> spool);

/// Compresses one piece when that saves at least an eighth.
PreparedChunk prepare_chunk(std::string_view raw);
/// Throws std::runtime_error for a damaged chunk.
std::string restore_chunk(std::string_view data, bool zstd, size_t raw_size);

}  // namespace postrider::store
