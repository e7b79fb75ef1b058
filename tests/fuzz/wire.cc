#include "tests/fuzz/wire.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "tests/fuzz/must.h"

namespace postrider::fuzz {

namespace {

constexpr int kBuffer = 1 << 20;

using Steady = std::chrono::steady_clock;

}  // namespace

Wire::Wire() {
  set_log_level(LogLevel::error);
  std::array<int, 2> ends{};
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0, "a socket pair");
  for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
  client_ = ends[0];
  server_ = ends[1];
}

Wire::~Wire() {
  ::close(client_);
  if (server_ >= 0) ::close(server_);
}

std::shared_ptr<net::Connection> Wire::connection() {
  // As connect_local() does it: any protocol's name will do for a stream.
  asio::ip::tcp::socket socket(loop, asio::ip::tcp::v4(), std::exchange(server_, -1));
  return std::make_shared<net::Connection>(std::move(socket));
}

void Wire::spawn(asio::awaitable<void> session) {
  ended_ = false;
  asio::co_spawn(loop, std::move(session), [this](const std::exception_ptr& trouble) {
    must(trouble == nullptr, "nothing escapes from a session");
    ended_ = true;
  });
}

bool Wire::read() {
  std::array<char, 65536> piece;
  bool some = false;
  for (;;) {
    const ssize_t got = ::recv(client_, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got <= 0) return some;
    received_.append(piece.data(), static_cast<size_t>(got));
    some = true;
  }
}

void Wire::run() {
  for (;;) {
    if (loop.stopped()) loop.restart();
    const size_t done = loop.poll();
    if (!read() && done == 0) return;
  }
}

void Wire::send(std::string_view octets) {
  run();
  for (bool was_full = false; !octets.empty();) {
    const ssize_t sent = ::send(client_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return;  // the session has closed
    must(sent > 0 || !was_full || ended_, "a session reads");
    if (ended_ && sent < 0) return;
    was_full = sent < 0;
    if (sent > 0) octets.remove_prefix(static_cast<size_t>(sent));
    run();
  }
}

void Wire::wait() {
  const auto end = Steady::now() + std::chrono::milliseconds(kPatience);
  const size_t before = received_.size();
  for (run(); received_.size() == before && !ended_; run()) {
    must(Steady::now() < end, "a session answers");
    loop.run_one_for(std::chrono::milliseconds(10));
  }
}

void Wire::hang_up() {
  ::shutdown(client_, SHUT_WR);
  const auto end = Steady::now() + std::chrono::milliseconds(kPatience);
  for (run(); !ended_; run()) {
    must(Steady::now() < end, "a session ends with its connection");
    loop.run_one_for(std::chrono::milliseconds(10));
  }
}

}  // namespace postrider::fuzz
