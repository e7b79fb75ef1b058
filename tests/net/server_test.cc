// Loops, ports, limits, and how a daemon ends.
#include "common/net/server.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "common/net/address_limits.h"
#include "common/net/watchdog.h"
#include "common/net/worker_pool.h"
#include "tests/net/loop.h"

namespace postrider::net {
namespace {

using testing::HasSubstr;

asio::awaitable<void> echo(std::shared_ptr<Connection> connection, size_t) {
  while (true) {
    co_await connection->read_more();
    connection->queue(connection->input());
    connection->consume(connection->input().size());
    co_await connection->flush();
  }
}

class ServerTest : public testing::Test {
 protected:
  void start(size_t loops, ConnectionLimits limits, Server::Session session) {
    server_ = std::make_unique<Server>(loops, limits);
    auto refusal = [](const std::string& reason) { return "421 " + reason + "\r\n"; };
    auto port = server_->listen({"smtp", "127.0.0.1", 0}, std::move(session), refusal);
    ASSERT_TRUE(port) << port.error().message;
    port_ = *port;
    thread_ = std::thread([this] { server_->run(); });
  }

  void TearDown() override {
    if (server_) server_->stop(std::chrono::seconds(0));
    if (thread_.joinable()) thread_.join();
  }

  asio::ip::tcp::socket dial() {
    asio::ip::tcp::socket socket(context_);
    socket.connect({asio::ip::address_v4::loopback(), port_});
    return socket;
  }

  static std::string ask(asio::ip::tcp::socket& socket, const std::string& text) {
    asio::write(socket, asio::buffer(text));
    std::string reply(text.size(), '\0');
    asio::read(socket, asio::buffer(reply));
    return reply;
  }

  static std::string read_to_end(asio::ip::tcp::socket& socket) {
    std::string all;
    std::error_code error;
    asio::read(socket, asio::dynamic_buffer(all), error);
    return all;
  }

  asio::io_context context_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  uint16_t port_ = 0;
};

TEST_F(ServerTest, ServesManyConnectionsOnSeveralLoops) {
  start(2, {}, echo);
  std::vector<asio::ip::tcp::socket> sockets;
  for (int i = 0; i < 50; ++i) sockets.push_back(dial());
  for (auto& socket : sockets) EXPECT_EQ(ask(socket, "hello"), "hello");
  EXPECT_EQ(server_->sessions(), 50U);
}

TEST_F(ServerTest, ASessionStaysOnItsLoop) {
  std::promise<bool> same;
  auto pool = std::make_unique<WorkerPool>(1);
  start(2, {}, [&](std::shared_ptr<Connection> connection, size_t) -> asio::awaitable<void> {
    const auto here = std::this_thread::get_id();
    co_await connection->read_more();
    auto job = [] {};
    co_await pool->run(std::move(job));
    same.set_value(std::this_thread::get_id() == here);
  });
  auto socket = dial();
  asio::write(socket, asio::buffer("x", 1));
  EXPECT_TRUE(same.get_future().get());
  TearDown();
  pool.reset();  // before the loops that its results go to
}

TEST_F(ServerTest, ThoseAboveTheLimitOfAnAddressAreToldSo) {
  start(1, {100, 2}, echo);
  auto first = dial(), second = dial();
  EXPECT_EQ(ask(first, "a") + ask(second, "b"), "ab");
  auto third = dial();
  EXPECT_EQ(read_to_end(third), "421 too many connections from your address\r\n");
}

TEST_F(ServerTest, ThoseAboveTheLimitOfAllAreToldSo) {
  start(1, {1, 100}, echo);
  auto first = dial();
  EXPECT_EQ(ask(first, "a"), "a");
  auto second = dial();
  EXPECT_THAT(read_to_end(second), HasSubstr("too many connections, try again later"));
}

TEST_F(ServerTest, AnEndedSessionMakesRoom) {
  start(1, {1, 1}, echo);
  {
    auto first = dial();
    EXPECT_EQ(ask(first, "a"), "a");
    first.shutdown(asio::ip::tcp::socket::shutdown_send);
    EXPECT_EQ(read_to_end(first), "");  // the session ended
  }
  const auto end = std::chrono::steady_clock::now() + Loop::kLimit;
  while (server_->sessions() > 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  auto second = dial();
  EXPECT_EQ(ask(second, "b"), "b");
}

TEST_F(ServerTest, AnExceptionEndsOneSessionOnly) {
  start(1, {}, [](std::shared_ptr<Connection> connection, size_t) -> asio::awaitable<void> {
    co_await connection->read_more();
    if (connection->input() == "bad") throw std::runtime_error("a bug");
    co_await connection->write("good");
  });
  auto first = dial();
  asio::write(first, asio::buffer("bad", 3));
  EXPECT_EQ(read_to_end(first), "");
  auto second = dial();
  asio::write(second, asio::buffer("x", 1));
  EXPECT_EQ(read_to_end(second), "good");
}

TEST_F(ServerTest, WhenDescriptorsRunOutItPausesOnceAndGoesOn) {
  start(1, {}, echo);
  asio::ip::tcp::socket socket(context_, asio::ip::tcp::v4());
  testing::internal::CaptureStderr();
  const int next = ::dup(STDIN_FILENO);
  ::close(next);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  socket.connect({asio::ip::address_v4::loopback(), port_});
  asio::write(socket, asio::buffer("hello", 5));
  pollfd waited{socket.native_handle(), POLLIN, 0};
  EXPECT_EQ(::poll(&waited, 1, 300), 0) << "somebody answered without a descriptor";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  std::string reply(5, '\0');
  asio::read(socket, asio::buffer(reply));
  EXPECT_EQ(reply, "hello");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("event=accept_paused"));
  EXPECT_EQ(log.find("accept_paused"), log.rfind("accept_paused")) << "it was said more than once";
}

TEST_F(ServerTest, StopEndsIdleSessionsAtOnceWithAGoodbye) {
  std::promise<void> waiting;
  start(1, {}, [&](std::shared_ptr<Connection> connection, size_t) -> asio::awaitable<void> {
    bool going = false;
    try {
      waiting.set_value();
      co_await connection->read_more();
    } catch (const ConnectionEnded& end) {
      going = end.reason() == EndReason::shutting_down;
    }
    if (going) connection->queue("421 going\r\n");
  });
  auto socket = dial();
  waiting.get_future().get();
  server_->stop(std::chrono::seconds(60));
  EXPECT_EQ(read_to_end(socket), "421 going\r\n");
  thread_.join();
}

TEST_F(ServerTest, StopLetsABusySessionFinish) {
  std::promise<void> busy;
  start(1, {}, [&](std::shared_ptr<Connection> connection, size_t) -> asio::awaitable<void> {
    connection->set_busy(true);
    busy.set_value();
    const std::string body = co_await take(*connection, 4);
    connection->set_busy(false);
    co_await connection->write("250 " + body);
    co_await connection->read_more();
  });
  auto socket = dial();
  busy.get_future().get();
  server_->stop(std::chrono::seconds(60));
  asio::write(socket, asio::buffer("body", 4));
  EXPECT_EQ(read_to_end(socket), "250 body");
  thread_.join();
}

TEST_F(ServerTest, TheGracePeriodEndsABusySession) {
  std::promise<void> busy;
  start(1, {}, [&](std::shared_ptr<Connection> connection, size_t) -> asio::awaitable<void> {
    connection->set_busy(true);
    busy.set_value();
    co_await connection->read_more();
  });
  auto socket = dial();
  busy.get_future().get();
  server_->stop(std::chrono::seconds(0));
  EXPECT_EQ(read_to_end(socket), "");
  thread_.join();
}

TEST_F(ServerTest, NobodyIsTakenAfterStop) {
  start(2, {}, echo);
  server_->stop(std::chrono::seconds(0));
  thread_.join();
  asio::ip::tcp::socket socket(context_);
  std::error_code error;
  socket.connect({asio::ip::address_v4::loopback(), port_}, error);
  // The port may still answer while the server object lives; then the connection ends without a word.
  if (!error) EXPECT_EQ(read_to_end(socket), "");
}

TEST_F(ServerTest, AServerThatNeverRanGoesQuietly) {
  Server server(2, {});
  EXPECT_TRUE(server.listen({"smtp", "127.0.0.1", 0}, echo, {}));
}

TEST_F(ServerTest, AllAddressesAreListenedOnWithOneWord) {
  Server server(1, {});
  auto port = server.listen({"smtp", "::", 0}, echo, {});
  ASSERT_TRUE(port) << port.error().message;
  asio::ip::tcp::socket socket(context_);
  socket.connect({asio::ip::address_v4::loopback(), *port});
}

TEST_F(ServerTest, APortThatIsTakenIsNamed) {
  asio::ip::tcp::acceptor taken(context_, {asio::ip::address_v4::loopback(), 0});
  Server server(1, {});
  auto port = server.listen({"imap", "127.0.0.1", taken.local_endpoint().port()}, echo, {});
  ASSERT_FALSE(port);
  EXPECT_THAT(port.error().message, HasSubstr(std::to_string(taken.local_endpoint().port())));
  EXPECT_THAT(port.error().message, HasSubstr("imap"));
}

TEST(AddressLimits, CountAnIPv6NetworkAsOneClient) {
  EXPECT_EQ(network_of("2001:db8:1:2:3:4:5:6"), network_of("2001:db8:1:2::1"));
  EXPECT_NE(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
  EXPECT_EQ(network_of("192.0.2.1"), "192.0.2.1");
}

TEST(AddressLimits, ARefusedConnectionIsNotCounted) {
  AddressLimits limits({2, 1});
  EXPECT_EQ(limits.enter("192.0.2.1"), "");
  EXPECT_NE(limits.enter("192.0.2.1"), "");
  EXPECT_EQ(limits.enter("192.0.2.2"), "");
  EXPECT_EQ(limits.total(), 2U);
  limits.leave("192.0.2.1");
  EXPECT_EQ(limits.enter("192.0.2.1"), "");
}

TEST(Watchdog, NoticesALoopThatIsHeld) {
  asio::io_context context(1);
  auto work = asio::make_work_guard(context);
  std::thread thread([&] { context.run(); });
  Watchdog watchdog({&context});
  std::promise<void> noticed;
  asio::post(context, [&] {
    // Held until the watchdog must have asked and waited: what blocks is what is tested here.
    std::this_thread::sleep_for(4 * Watchdog::kPatience + std::chrono::milliseconds(100));
    asio::post(context, [&] { noticed.set_value(); });
  });
  noticed.get_future().get();
  EXPECT_GE(watchdog.late(), 1U);
  work.reset();
  context.stop();
  thread.join();
}

}  // namespace
}  // namespace postrider::net
