// One link of the relay and the server that it talks to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/relay_client.h"
#include "tests/mta/relay_server.h"

namespace postrider {

class RelayLinkTest : public testing::Test {
 protected:
  using Kind = Outcome::Kind;

  RelayLinkTest() {
    settings_.hostname = "mx.example.org";
    settings_.spool_directory = state_.file("spool");
    settings_.connect_timeout = settings_.command_timeout = std::chrono::seconds(10);
    message_.reverse_path = "alice@example.org";
    set_body("Subject: x\r\n\r\n.dot\r\nhello\r\n");
    add_recipient("bob@example.net");
  }
  void set_body(const std::string& text) { message_.body = state_.spool(text); }
  void add_recipient(const std::string& address) {
    store::QueuedRecipient recipient;
    recipient.number = static_cast<int64_t>(message_.recipients.size()) + 1;
    recipient.address = address;
    message_.recipients.push_back(recipient);
  }
  /// A new link to that server; the loop keeps what the old one left behind.
  void make_link(const RelayServer& server) { make_link(target_of(server)); }
  void make_link(config::RouteTarget target) {
    RouterSettings router;
    router.hostname = settings_.hostname;
    router.dns.server = "127.0.0.1:1";  // nobody is asked
    router.smart_host = target;
    router.smart_host_tls = tls_level_;
    router.smart_host_login = login_;
    link_.reset();
    router_ = std::make_unique<Router>(loop_, router);
    link_ = std::make_unique<SmtpLink>(RelayParts{*router_, settings_, workers_, tls_, nullptr, forwarding_});
  }
  static config::RouteTarget target_of(const RelayServer& server) {
    config::RouteTarget target;
    target.host = "127.0.0.1";
    target.port = server.port();
    return target;
  }
  std::vector<Outcome> attempt() {
    if (link_ == nullptr) make_link(server_);
    std::vector<Outcome> outcomes;
    auto run = [&]() -> asio::awaitable<void> {
      std::vector<size_t> recipients;
      for (size_t i = 0; i < message_.recipients.size(); ++i) recipients.push_back(i);
      RoutePtr route = co_await router_->find("example.net");
      outcomes = co_await link_->attempt(route, message_, recipients);
    };
    run_to_end(run());
    return outcomes;
  }
  /// The outcome of the only recipient.
  Outcome attempt_one() {
    auto outcomes = attempt();
    EXPECT_EQ(outcomes.size(), 1u);
    return outcomes.at(0);
  }
  void run_to_end(asio::awaitable<void> task) {
    bool done = false;
    asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr error) {
      EXPECT_EQ(error, nullptr);
      done = true;
    });
    loop_.restart();
    while (!done) loop_.run_one();  // a connection that is kept has work on the loop
  }

  store::TempState state_;
  RelayServer server_;
  RelaySettings settings_;
  store::QueuedMessage message_;
  config::TlsLevel tls_level_ = config::TlsLevel::opportunistic;
  std::shared_ptr<const RelayLogin> login_;
  Forwarding* forwarding_ = nullptr;
  std::shared_ptr<net::TlsClientContext> tls_ = net::TlsClientContext::make();
  asio::io_context loop_;
  net::WorkerPool workers_{1};
  std::unique_ptr<Router> router_;
  std::unique_ptr<SmtpLink> link_;
};

}  // namespace postrider
