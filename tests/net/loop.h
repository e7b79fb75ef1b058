// A loop for tests: coroutines run to their end or fail after a time limit, over sockets on the loopback.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <asio.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "common/net/connection.h"

namespace postrider::net {

class Loop {
 public:
  static constexpr std::chrono::seconds kLimit{20};

  asio::io_context& context() { return context_; }

  /// Begins a coroutine; run() waits for it. What it throws fails the test.
  void spawn(asio::awaitable<void> coroutine) {
    ++running_;
    asio::co_spawn(context_, std::move(coroutine), [this](const std::exception_ptr& failure) {
      --running_;
      if (failure && !failure_) failure_ = failure;
      if (running_ == 0 || failure_) context_.stop();
    });
  }

  /// Until all coroutines have ended, whatever else still waits on the loop.
  void run() {
    context_.restart();
    if (running_ > 0) context_.run_for(kLimit);
    if (failure_) {
      std::exception_ptr failure = std::exchange(failure_, nullptr);
      std::rethrow_exception(failure);
    }
    EXPECT_EQ(running_, 0) << "a coroutine did not come to its end in time";
  }

  void run(asio::awaitable<void> coroutine) {
    spawn(std::move(coroutine));
    run();
  }

  /// Two ends of a connection.
  std::pair<asio::ip::tcp::socket, asio::ip::tcp::socket> socket_pair() {
    const asio::ip::tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
    asio::ip::tcp::acceptor acceptor(context_, any);
    asio::ip::tcp::socket here(context_), there(context_);
    there.connect(acceptor.local_endpoint());
    acceptor.accept(here);
    return {std::move(here), std::move(there)};
  }

  struct Pair {
    std::shared_ptr<Connection> server, client;
  };
  Pair connection_pair() {
    auto [here, there] = socket_pair();
    return {std::make_shared<Connection>(std::move(here)), std::make_shared<Connection>(std::move(there))};
  }

 private:
  asio::io_context context_{1};
  int running_ = 0;
  std::exception_ptr failure_;
};

/// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = testing::TempDir() + "postrider-net-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

/// The reason that a coroutine's connection ended for; nothing where it did not.
inline asio::awaitable<void> catch_end(asio::awaitable<void> coroutine, std::optional<EndReason>& reason) {
  try {
    co_await std::move(coroutine);
  } catch (const ConnectionEnded& end) {
    reason = end.reason();
  }
}

/// Takes exactly that many octets.
inline asio::awaitable<std::string> take(Connection& connection, size_t octets) {
  while (connection.input().size() < octets) co_await connection.read_more(std::max(octets, Connection::kMaxInput));
  std::string taken(connection.input().substr(0, octets));
  connection.consume(octets);
  co_return taken;
}

/// Takes everything until the other side closes.
inline asio::awaitable<std::string> take_all(Connection& connection) {
  std::string all;
  try {
    while (true) {
      co_await connection.read_more();
      all += connection.input();
      connection.consume(connection.input().size());
    }
  } catch (const ConnectionEnded&) {
  }
  co_return all;
}

}  // namespace postrider::net
