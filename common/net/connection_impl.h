// The inside of a Connection: the socket, what was read, the deadline, and how it ended. For connection.cc.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/net/compression.h"
#include "common/net/connection.h"
#include "common/net/stream.h"

namespace postrider::net {

/// Kept alive by the deadline's handler; everything else waits inside the session, which owns the Connection.
class Connection::Impl : public std::enable_shared_from_this<Impl> {
 public:
  explicit Impl(asio::ip::tcp::socket socket);

  asio::ip::tcp::socket& socket() { return socket_; }
  Stream& stream() { return stream_; }
  const Stream& stream() const { return stream_; }

  // --- input
  std::string_view input() const { return std::string_view(input_).substr(consumed_); }
  void consume(size_t octets);
  void discard_input();
  void release_empty_input();
  void start_compression();
  void stop_compression();
  /// Appends what is there now. True: something was. False: wait first, for what direction() says.
  bool read_now(size_t max_buffered);

  // --- waiting
  /// Until the socket is ready or somebody cancels; done: until others had their turn. Throws ConnectionEnded when that
  /// was the end.
  asio::awaitable<void> wait(Stream::Status wanted);
  /// Called after something went on without waiting: lets others run when that happened many times in a row.
  asio::awaitable<void> be_fair();
  Stream::Status wanted() const { return wanted_; }
  void wake() { cancel(); }

  // --- end
  void throw_if_ended() const;
  /// Throws for an outcome that is the end of the connection; otherwise notes what to wait for.
  void expect_more(const Stream::Outcome& outcome);
  [[noreturn]] void fail(EndReason reason, const std::string& detail = {});
  bool ended() const { return ended_.has_value(); }
  void stop(EndReason reason);
  void close(std::string_view output);
  void throw_if_drained();

  void set_deadline(std::chrono::steady_clock::time_point when);

  std::unique_ptr<Compression> compression;
  std::string remote_address, local_address;
  uint16_t remote_port = 0, local_port = 0;
  bool loopback = false;
  bool notified = false;
  bool waiting_for_notify = false;
  bool fresh_input = false;  // read by wait_input_or_notify(), not yet asked for
  bool idle = false;         // waits for input
  bool busy = false;         // see Connection::set_busy()
  bool draining = false;
  bool write_interrupted = false;  // part of a write() was sent: nothing sensible can follow it

 private:
  bool inflate_now(size_t room);
  void cancel();
  void arm();

  asio::ip::tcp::socket socket_;
  Stream stream_;
  std::string input_;
  size_t consumed_ = 0;
  Stream::Status wanted_ = Stream::Status::want_read;
  int without_waiting_ = 0;
  std::optional<EndReason> ended_;
  bool closed_ = false;

  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  std::chrono::steady_clock::time_point armed_for_;
  bool armed_ = false;
};

}  // namespace postrider::net
