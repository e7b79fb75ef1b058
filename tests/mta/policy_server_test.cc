// The web server of our MTA-STS policy against clients that take their time.
#include "mta/policy_server.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/net/server.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

class PolicyServerTest : public testing::Test {
 protected:
  PolicyServerTest() {
    directory_.with([](store::Directory& directory) { return bool(directory.add_domain("example.org")); });
    EXPECT_TRUE(net::make_self_signed(certificate_, key_, "mta-sts.example.org"));
    tls_ = *net::TlsStore::open({{certificate_, key_}});
    policies_ = std::make_unique<PolicyServer>(directory_, workers_, tls_, std::chrono::milliseconds(300));
    Config config;
    config.server.hostname = "mx.example.org";
    policies_->configure(config);
    auto session = [this](std::shared_ptr<net::Connection> connection, size_t) {
      return policies_->run(std::move(connection));
    };
    port_ = server_.listen({"policies", "127.0.0.1", 0}, session, {}).value();
    thread_ = std::thread([this] { server_.run(); });
  }
  ~PolicyServerTest() override {
    server_.stop(std::chrono::seconds(0));
    thread_.join();
  }
  /// What a client gets that says this, and nothing more.
  std::string ask(const std::string& request, bool handshake = true) {
    asio::io_context loop;
    std::string answer;
    auto talk = [&]() -> asio::awaitable<void> {
      auto connection = co_await net::connect({asio::ip::make_address("127.0.0.1"), port_}, std::chrono::seconds(10));
      connection->set_deadline(std::chrono::seconds(20));
      try {
        if (handshake) co_await connection->start_tls_client(trusting_, "mta-sts.example.org");
        if (handshake) EXPECT_TRUE(connection->tls().verified);
        connection->queue(request);
        co_await connection->flush();
        for (;;) {
          co_await connection->read_more();
          answer += connection->input();
          connection->consume(connection->input().size());
        }
      } catch (const net::ConnectionEnded& end) {
        EXPECT_NE(end.reason(), net::EndReason::timed_out) << "the server has to end it";
      }
    };
    auto trust = net::TlsClientContext::make();
    EXPECT_TRUE(trust->trust(certificate_));
    trusting_ = trust;
    asio::co_spawn(loop, talk(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
    return answer;
  }

  store::TempState state_;
  const std::string certificate_ = state_.file("certificate.pem"), key_ = state_.file("key.pem");
  SystemClock clock_;
  net::WorkerPool workers_{1};
  store::DirectoryService directory_{state_.path(), clock_};
  std::shared_ptr<net::TlsStore> tls_;
  std::shared_ptr<net::TlsClientContext> trusting_;
  std::unique_ptr<PolicyServer> policies_;
  net::Server server_{1, {}};
  uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(PolicyServerTest, OneQuestionOneAnswer) {
  const std::string answer = ask("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.org\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("mode: testing\r\nmx: mx.example.org\r\nmax_age: 604800\r\n")) << answer;
}

TEST_F(PolicyServerTest, WhoDawdlesIsCutOff) {
  EXPECT_EQ(ask("", false), "");
  EXPECT_EQ(ask("\x16\x03\x01", false), "");
  EXPECT_EQ(ask("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: "), "");
}

TEST_F(PolicyServerTest, WhoSendsTooMuchIsToldSo) {
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nA: " + std::string(20'000, 'x')).starts_with("HTTP/1.1 400 "));
}

}  // namespace
}  // namespace postrider
