// One connection's octets through DEFLATE (RFC 1951), as IMAP's COMPRESS carries them (RFC 4978). About 75 KiB of
// memory for both directions.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace postrider::net {

class Compression {
 public:
  /// Throws std::bad_alloc.
  Compression();
  ~Compression();
  Compression(const Compression&) = delete;
  Compression& operator=(const Compression&) = delete;

  /// Appends what octets become; all of it can be read by the peer at once.
  void compress(std::string_view octets, std::string& out);

  /// What came from the peer and is to be inflated.
  void feed(std::string_view compressed) { held_ += compressed; }
  enum class Inflated { some, nothing, broken };
  /// Appends at most room octets to out, however much the peer's would become: the rest waits. nothing: feed more.
  Inflated inflate(size_t room, std::string& out);
  /// What was fed and not inflated: plain text where the peer has stopped compressing.
  std::string take_rest();

 private:
  struct Streams;
  std::unique_ptr<Streams> streams_;
  std::string held_;   // fed, not inflated yet
  size_t taken_ = 0;   // of held_
  bool more_ = false;  // the last call filled its room: there may be more without feeding
};

}  // namespace postrider::net
