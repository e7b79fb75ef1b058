// The text of one message on its way from the wire into a spool: our fields first, then what the client sends. Counts
// and limits; does not wait for anything.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/smtp/reply.h"
#include "store/message_source.h"

namespace postrider {

class IncomingMessage {
 public:
  static constexpr size_t kTail = store::kChunkSize;  // octets gathered before they go to the spool

  /// max_size: octets that the client may send.
  IncomingMessage(const std::string& spool_directory, uint64_t max_size)
      : directory_(spool_directory), spool_(std::make_shared<store::Spool>(spool_directory)), max_size_(max_size) {}

  /// Octets are appended to the tail, then took() looks at what has come. After a refusal they are dropped, so that
  /// memory stays small while the rest of the message is read away.
  std::string& tail() { return tail_; }
  void took();

  /// The first reason counts.
  void refuse(smtp::Reply reply);
  const std::optional<smtp::Reply>& refusal() const { return refusal_; }

  /// The header block, as far as it is in the tail; to be asked before begin().
  std::string_view head() const;
  /// The head has been looked at.
  bool begun() const { return begun_; }
  /// Once, before the first store(). fields: our own, which go in front at the end.
  void begin(std::string fields);
  /// Another head instead of head(), whose size has to be given, before the first store().
  void replace_head(size_t size, std::string_view head) { tail_.replace(0, size, head); }
  /// Fields above those of begin().
  void add_fields(std::string_view fields) { fields_.insert(0, fields); }

  /// Another content, once all is stored: head, then the octets of body from offset on. covered: octets of the lowest
  /// of our own fields, which are in the head now. Blocks where the message is or was not small.
  void rewrite(std::string_view head, const store::Spool& body, uint64_t offset, size_t covered, std::string& trouble);
  bool rewrite_blocks(uint64_t size) const { return !spool_->in_memory() || size > kTail; }

  /// Time to call store().
  bool wants_store() const { return tail_.size() >= kTail; }
  /// Whether store() writes to a file: not on a loop thread then.
  bool store_blocks() const { return spool_->will_write(tail_.size()); }
  /// Moves the tail to the spool. A failure of the file becomes the refusal; what() of it is put into trouble.
  void store(std::string& trouble);
  /// The message is whole: puts the fields in front and flushes the spool's file. Blocks unless in_memory().
  void complete(std::string& trouble);
  bool in_memory() const { return spool_->in_memory(); }

  /// Octets that the client sent, dots taken out.
  uint64_t size() const { return stored_ + tail_.size(); }
  bool eight_bit() const { return eight_bit_; }
  std::shared_ptr<const store::Spool> spool() const { return spool_; }

 private:
  void failed(int code, std::string_view what, std::string& trouble);

  const std::string directory_;
  std::shared_ptr<store::Spool> spool_;
  uint64_t max_size_;
  std::string tail_, fields_;
  uint64_t stored_ = 0;  // octets of the client that left the tail
  bool begun_ = false;
  bool eight_bit_ = false;
  std::optional<smtp::Reply> refusal_;
};

}  // namespace postrider
