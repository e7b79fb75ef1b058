// The port where a daemon tells of itself: what it answers, whom, and when the daemon is well.
#include "common/daemon/monitor.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <asio.hpp>
#include <future>

#include "common/daemon/figures.h"
#include "common/http/http.h"
#include "tests/net/loop.h"

namespace postrider {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class MonitorTest : public testing::Test {
 protected:
  void listen(const Config::Metrics& metrics = {}) {
    auto monitor = Monitor::listen(metrics, 0);
    ASSERT_TRUE(monitor) << monitor.error().message;
    monitor_ = std::move(*monitor);
  }
  asio::ip::tcp::socket dial() {
    asio::ip::tcp::socket socket(context_);
    socket.connect({asio::ip::address_v4::loopback(), monitor_->port()});
    return socket;
  }
  std::string ask(const std::string& request) {
    auto socket = dial();
    std::error_code ignored;  // it may be closed already
    asio::write(socket, asio::buffer(request), ignored);
    return rest(socket);
  }
  static std::string rest(asio::ip::tcp::socket& socket) {
    std::string answer;
    std::error_code error;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    return answer;
  }
  std::string get(const std::string& path) { return ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"); }

  asio::io_context context_;
  std::unique_ptr<Monitor> monitor_;
};

TEST_F(MonitorTest, MetricsAreWhatTheProcessCountsAndWhatSourcesSay) {
  listen();
  monitor_->add([](metrics::Page& page) {
    page.family("looked_up", metrics::Type::gauge, "Looked up.");
    page.value(int64_t{17});
  });
  monitor_->add([](metrics::Page&) { throw std::runtime_error("its file is gone"); });
  monitor_->add(&show_process);
  monitor_->start();
  const std::string answer = get("/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("# TYPE postrider_loop_answer_seconds histogram\n"));
  EXPECT_THAT(answer, HasSubstr("\nlooked_up 17\n"));
  EXPECT_THAT(answer, HasSubstr("\n# TYPE process_open_fds gauge\nprocess_open_fds "))
      << "one that fails takes no other along";
}

TEST_F(MonitorTest, HealthHasALineForEachCheck) {
  listen();
  std::atomic<bool> broken = false;
  monitor_->add("loops", [] { return std::string(); });
  monitor_->add("disk", [&] { return broken ? std::string("It is full; make room.") : std::string(); });
  monitor_->start();
  std::string answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nloops: well\ndisk: well\n"));
  broken = true;
  answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nloops: well\ndisk: It is full; make room.\n"));
}

TEST_F(MonitorTest, ACheckThatFailsIsTrouble) {
  listen();
  monitor_->add("queue", []() -> std::string { throw std::runtime_error("No such file."); });
  monitor_->start();
  const std::string answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("queue: No such file.\n"));
}

TEST_F(MonitorTest, OtherQuestionsAreToldSo) {
  listen();
  monitor_->start();
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask("EHLO you.example\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  std::string endless = "GET / HTTP/1.1\r\nA: ";
  endless.resize(http::kMaxHead, 'x');
  EXPECT_THAT(ask(endless), StartsWith("HTTP/1.1 400 "));
}

TEST_F(MonitorTest, WhoKeepsConnectionsKeepsThoseThatThereAre) {
  listen();
  monitor_->start();
  std::vector<asio::ip::tcp::socket> idle;
  for (size_t i = 0; i < kMaxMonitorClients; ++i) {
    idle.push_back(dial());
    // Answered in part: it was taken before the next one comes.
    asio::write(idle.back(), asio::buffer(std::string("GET /")));
  }
  auto late = dial();
  EXPECT_EQ(rest(late), "") << "closed without a word";
  asio::write(idle.front(), asio::buffer(std::string(" HTTP/1.1\r\n\r\n")));
  EXPECT_THAT(rest(idle.front()), StartsWith("HTTP/1.1 404 "));
  std::string answer;
  while (answer.empty()) answer = get("/healthz");  // its place is given back when its coroutine has ended
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

TEST_F(MonitorTest, APortInUseIsSaid) {
  listen();
  const auto second = Monitor::listen(Config::Metrics(), monitor_->port());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("cannot be listened on for metrics: Address already in use"));
}

TEST(Health, ALoopThatDoesNotAnswerIsTrouble) {
  net::Server server(2, {});
  ASSERT_TRUE(server.listen({"smtp", "127.0.0.1", 0},
                            [](std::shared_ptr<net::Connection>, size_t) -> asio::awaitable<void> { co_return; }, {}));
  EXPECT_EQ(loop_trouble(server), "");
  std::thread running([&] { server.run(); });
  std::promise<void> release;
  std::promise<void> held;
  asio::post(server.loop(1), [&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  EXPECT_EQ(loop_trouble(server), "") << "not for a moment";
  while (server.longest_held().time < std::chrono::milliseconds(50)) std::this_thread::yield();
  EXPECT_EQ(server.longest_held().loop, 1u);
  metrics::Page page;
  show_server(page, server);
  EXPECT_THAT(page.text(), HasSubstr("postrider_sessions{listener=\"smtp\"} 0\n"));
  release.set_value();
  server.stop(std::chrono::seconds(0));
  EXPECT_EQ(loop_trouble(server), "The daemon is going down.");
  running.join();
}

TEST(Health, ADiskThatCannotBeWrittenIsTrouble) {
  net::TemporaryFolder folder;
  EXPECT_THAT(disk_trouble(folder / ".", "mta"), HasSubstr("cannot be written: No such file or directory"));
  std::filesystem::create_directory(folder / "run");
  EXPECT_EQ(disk_trouble(folder / ".", "mta"), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder / "run"));
  EXPECT_THAT(disk_trouble("/proc/self", "mta"), testing::Not(testing::IsEmpty()));
}

}  // namespace
}  // namespace postrider
