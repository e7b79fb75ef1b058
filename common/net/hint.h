// "Something changed in this account": a Unix datagram from the process that committed to the one that tells clients.
//
// A hint may be lost (the receiver is away); the database is the truth. While the receiver's socket is full, the
// accounts that are to be told are kept, each once, and sent when there is room.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace postrider::net {

struct Hint {
  int64_t account = 0;
  int64_t mailbox = 0;  // 0: any
  int64_t modseq = 0;
};

class HintSender {
 public:
  /// path: the receiver's socket, which need not be there yet.
  explicit HintSender(std::string path);
  ~HintSender();
  /// From any thread; never blocks, never throws.
  void send(const Hint& hint);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HintReceiver {
 public:
  /// Binds path (an old socket file is replaced, mode 0660) on the loop of that context; received runs there. Throws
  /// std::system_error.
  HintReceiver(asio::io_context& loop, std::string path, std::function<void(const Hint&)> received);
  ~HintReceiver();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace postrider::net
