// One connection without a network, and the one thread that both its ends are used on: what a session does between two
// words of its client happens within run(), and nothing else happens then.
#pragma once

#include <asio.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/net/connection.h"

namespace postrider::fuzz {

constexpr int kPatience = 5'000;  // milliseconds, until a session that should say something is taken to hang

class Wire {
 public:
  /// Logs nothing below an error from now on.
  Wire();
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  asio::io_context loop;

  /// The server's end, once. It counts as one of this machine.
  std::shared_ptr<net::Connection> connection();
  /// Runs a coroutine on the loop; ended() from when it has come to its end. Aborts on what escapes from it.
  void spawn(asio::awaitable<void> session);
  bool ended() const { return ended_; }

  /// Everything that can happen without more input.
  void run();
  /// Sends, and runs. What the session does not take any more is dropped once it has ended; aborts where a session that
  /// goes on does not read.
  void send(std::string_view octets);
  /// Runs until there is more to read, or the session has ended: timers that are due take their time. Aborts after
  /// kPatience.
  void wait();
  /// The client hangs up, and the session has to come to its end. Aborts after kPatience.
  void hang_up();

  /// What came of the session and was not taken yet.
  std::string_view received() const { return std::string_view(received_).substr(taken_); }
  void take(size_t octets) { taken_ += octets; }
  size_t octets_received() const { return received_.size(); }

 private:
  bool read();
  int client_ = -1, server_ = -1;
  std::string received_;
  size_t taken_ = 0;
  bool ended_ = true;
};

}  // namespace postrider::fuzz
