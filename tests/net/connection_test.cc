// Reading, writing, waiting and ending on one connection.
#include "common/net/connection.h"

#include "tests/net/loop.h"

namespace postrider::net {
namespace {

using namespace std::chrono_literals;

class ConnectionTest : public testing::Test {
 protected:
  Loop loop_;
  Loop::Pair pair_ = loop_.connection_pair();
  Connection& server_ = *pair_.server;
  Connection& client_ = *pair_.client;
  std::optional<EndReason> reason_;

  asio::awaitable<void> read_once(Connection& connection) { co_await connection.read_more(); }
  asio::awaitable<void> send(Connection& connection, std::string text) { co_await connection.write(text); }

  void exchange(Connection& from, Connection& to, const std::string& text) {
    std::string got;
    auto receive = [&]() -> asio::awaitable<void> { got = co_await take(to, text.size()); };
    loop_.spawn(send(from, text));
    loop_.run(receive());
    EXPECT_TRUE(got == text) << "what arrived is not what was sent";
  }
};

TEST_F(ConnectionTest, KnowsBothEnds) {
  EXPECT_EQ(server_.remote_address(), "127.0.0.1");
  EXPECT_EQ(server_.remote_port(), client_.local_port());
  EXPECT_EQ(server_.local_port(), client_.remote_port());
  EXPECT_TRUE(server_.from_loopback());
  EXPECT_FALSE(server_.encrypted());
}

TEST_F(ConnectionTest, ReadsWhatWasSent) {
  exchange(client_, server_, "EHLO client.example\r\n");
}

TEST_F(ConnectionTest, SendsMoreThanTheSocketsHold) {
  exchange(server_, client_, std::string(8 << 20, 'x'));
}

TEST_F(ConnectionTest, IsQuietUntilSomethingComesOrTheOtherSideGoes) {
  EXPECT_TRUE(client_.is_quiet());
  exchange(client_, server_, "asked");
  EXPECT_TRUE(client_.is_quiet());
  loop_.run(send(server_, "unasked"));
  EXPECT_FALSE(client_.is_quiet());
  EXPECT_EQ(client_.input(), "unasked") << "it is not lost";
  EXPECT_FALSE(client_.is_quiet());
  client_.consume(7);
  EXPECT_TRUE(client_.is_quiet());
  server_.close();
  EXPECT_FALSE(client_.is_quiet());
}

TEST_F(ConnectionTest, QueuedOutputGoesBeforeWhatIsWritten) {
  std::string got;
  auto talk = [&]() -> asio::awaitable<void> {
    server_.queue("first ");
    server_.queue("second ");
    std::string large(100'000, 'z');
    co_await server_.write(large);
    server_.queue(" last");
    co_await server_.flush();
    EXPECT_EQ(server_.queued(), 0U);
    got = co_await take(client_, 13 + 100'000 + 5);
  };
  loop_.run(talk());
  EXPECT_EQ(got, "first second " + std::string(100'000, 'z') + " last");
}

TEST_F(ConnectionTest, HoldsNoMoreInputThanItIsTold) {
  auto talk = [&]() -> asio::awaitable<void> {
    co_await client_.write(std::string(1'000, 'a'));
    co_await server_.read_more(100);
    EXPECT_EQ(server_.input().size(), 100U);
    EXPECT_THROW(co_await server_.read_more(100), std::length_error);
    server_.consume(60);
    co_await server_.read_more(100);
    EXPECT_EQ(server_.input().size(), 100U);
  };
  loop_.run(talk());
}

TEST_F(ConnectionTest, ThePeersEndIsThrown) {
  client_.close();
  loop_.run(catch_end(read_once(server_), reason_));
  EXPECT_EQ(reason_, EndReason::peer_closed);
}

TEST_F(ConnectionTest, WhatThePeerSentBeforeItsEndIsRead) {
  auto talk = [&]() -> asio::awaitable<void> {
    co_await client_.write("QUIT\r\n");
    client_.close();
    co_await server_.read_more();
    EXPECT_EQ(server_.input(), "QUIT\r\n");
  };
  loop_.run(talk());
}

TEST_F(ConnectionTest, WritingToAPeerThatIsGoneIsThrown) {
  client_.close();
  auto talk = [&]() -> asio::awaitable<void> {
    while (true) co_await server_.write(std::string(64 << 10, 'x'));
  };
  loop_.run(catch_end(talk(), reason_));
  EXPECT_TRUE(reason_ == EndReason::reset || reason_ == EndReason::peer_closed);
}

TEST_F(ConnectionTest, ADeadlineEndsAWaitingRead) {
  server_.set_deadline(20ms);
  loop_.run(catch_end(read_once(server_), reason_));
  EXPECT_EQ(reason_, EndReason::timed_out);
}

TEST_F(ConnectionTest, ADeadlineEndsAWaitingWrite) {
  server_.set_deadline(20ms);
  loop_.run(catch_end(send(server_, std::string(64 << 20, 'x')), reason_));
  EXPECT_EQ(reason_, EndReason::timed_out);
}

TEST_F(ConnectionTest, ALaterDeadlineReplacesAnEarlierOne) {
  const auto begin = std::chrono::steady_clock::now();
  server_.set_deadline(20ms);
  server_.set_deadline(120ms);
  loop_.run(catch_end(read_once(server_), reason_));
  EXPECT_EQ(reason_, EndReason::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 120ms);
}

TEST_F(ConnectionTest, AnEarlierDeadlineReplacesALaterOne) {
  server_.set_deadline(1h);
  server_.set_deadline(20ms);
  loop_.run(catch_end(read_once(server_), reason_));
  EXPECT_EQ(reason_, EndReason::timed_out);
}

TEST_F(ConnectionTest, AClearedDeadlineDoesNothing) {
  server_.set_deadline(10ms);
  server_.clear_deadline();
  auto talk = [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(loop_.context(), 60ms);
    co_await timer.async_wait(asio::use_awaitable);
    co_await client_.write("NOOP\r\n");
  };
  loop_.spawn(talk());
  loop_.run(catch_end(read_once(server_), reason_));
  EXPECT_EQ(reason_, std::nullopt);
}

TEST_F(ConnectionTest, StopWakesAReaderAndNothingWorksAfterwards) {
  auto stop = [&]() -> asio::awaitable<void> {
    server_.stop(EndReason::shutting_down);
    co_return;
  };
  loop_.spawn(catch_end(read_once(server_), reason_));
  loop_.run(stop());
  EXPECT_EQ(reason_, EndReason::shutting_down);
  reason_.reset();
  loop_.run(catch_end(send(server_, "late"), reason_));
  EXPECT_EQ(reason_, EndReason::shutting_down);
}

TEST_F(ConnectionTest, AGoodbyeIsSentByClose) {
  server_.stop(EndReason::timed_out);
  server_.queue("421 4.4.2 timed out\r\n");
  server_.close();
  std::string got;
  auto receive = [&]() -> asio::awaitable<void> { got = co_await take_all(client_); };
  loop_.run(receive());
  EXPECT_EQ(got, "421 4.4.2 timed out\r\n");
}

TEST_F(ConnectionTest, TheGoodbyeArrivesThoughInputIsLeftUnread) {
  std::string got;
  auto talk = [&]() -> asio::awaitable<void> {
    co_await client_.write("one\r\ntwo\r\nthree\r\n");
    co_await server_.read_more(5);
    server_.queue("421 too much\r\n");
    server_.close();
    got = co_await take_all(client_);
  };
  loop_.run(talk());
  EXPECT_EQ(got, "421 too much\r\n");
}

TEST_F(ConnectionTest, ASessionThatNeverWaitsLetsOthersRun) {
  bool others_ran = false;
  auto talk = [&]() -> asio::awaitable<void> {
    co_await client_.write(std::string(1'000, 'x'));
    asio::post(loop_.context(), [&] { others_ran = true; });
    for (int i = 0; i < 100; ++i) {
      co_await server_.read_more(1);
      server_.consume(1);
    }
    EXPECT_TRUE(others_ran);
  };
  loop_.run(talk());
}

// --- input or a word from somebody else

TEST_F(ConnectionTest, NotifyWakesAndInputWakes) {
  std::vector<Connection::Wake> wakes;
  auto idle = [&]() -> asio::awaitable<void> {
    wakes.push_back(co_await server_.wait_input_or_notify());
    wakes.push_back(co_await server_.wait_input_or_notify());
    co_await server_.read_more();
    EXPECT_EQ(server_.input(), "DONE\r\n");
  };
  auto others = [&]() -> asio::awaitable<void> {
    server_.notify();
    co_await asio::post(loop_.context(), asio::use_awaitable);
    co_await client_.write("DONE\r\n");
  };
  loop_.spawn(idle());
  loop_.run(others());
  EXPECT_EQ(wakes, (std::vector{Connection::Wake::notified, Connection::Wake::input}));
}

TEST_F(ConnectionTest, AWordBeforeTheWaitIsNotLost) {
  server_.notify();
  auto idle = [&]() -> asio::awaitable<void> {
    EXPECT_EQ(co_await server_.wait_input_or_notify(), Connection::Wake::notified);
  };
  loop_.run(idle());
}

TEST_F(ConnectionTest, NeitherIsLostWhenBothComeTogether) {
  constexpr int kRounds = 500;
  int notified = 0;
  std::string got;
  auto idle = [&]() -> asio::awaitable<void> {
    while (got.size() < kRounds || notified < kRounds) {
      const auto wake = co_await server_.wait_input_or_notify();
      if (wake == Connection::Wake::notified) {
        ++notified;
        continue;
      }
      co_await server_.read_more();
      got += server_.input();
      server_.consume(server_.input().size());
    }
  };
  auto others = [&]() -> asio::awaitable<void> {
    for (int i = 1; i <= kRounds; ++i) {
      co_await client_.write("x");
      server_.notify();
      // The word before was heard before the next one is given: it is one flag, not a count.
      while (notified < i) co_await asio::post(loop_.context(), asio::use_awaitable);
    }
  };
  loop_.spawn(idle());
  loop_.run(others());
  EXPECT_EQ(notified, kRounds);
  EXPECT_EQ(got, std::string(kRounds, 'x'));
}

TEST_F(ConnectionTest, InputThatWasAnnouncedNeedNotBeAskedForAgain) {
  auto idle = [&]() -> asio::awaitable<void> {
    co_await client_.write("DONE\r\n");
    EXPECT_EQ(co_await server_.wait_input_or_notify(), Connection::Wake::input);
    EXPECT_EQ(server_.input(), "DONE\r\n");
    server_.consume(6);
    server_.notify();
    EXPECT_EQ(co_await server_.wait_input_or_notify(), Connection::Wake::notified);
  };
  loop_.run(idle());
}

TEST_F(ConnectionTest, TheDeadlineEndsAnIdlingSessionToo) {
  server_.set_deadline(20ms);
  auto idle = [&]() -> asio::awaitable<void> { co_await server_.wait_input_or_notify(); };
  loop_.run(catch_end(idle(), reason_));
  EXPECT_EQ(reason_, EndReason::timed_out);
}

// --- draining

TEST_F(ConnectionTest, DrainEndsASessionThatWaitsForACommand) {
  auto drain = [&]() -> asio::awaitable<void> {
    server_.drain();
    co_return;
  };
  loop_.spawn(catch_end(read_once(server_), reason_));
  loop_.run(drain());
  EXPECT_EQ(reason_, EndReason::shutting_down);
}

TEST_F(ConnectionTest, DrainWaitsForTheEndOfABusyCommand) {
  std::string got;
  auto session = [&]() -> asio::awaitable<void> {
    server_.set_busy(true);
    got = co_await take(server_, 4);
    server_.set_busy(false);
    co_await server_.read_more();
  };
  auto others = [&]() -> asio::awaitable<void> {
    server_.drain();
    co_await client_.write("body");
  };
  loop_.spawn(catch_end(session(), reason_));
  loop_.run(others());
  EXPECT_EQ(got, "body");
  EXPECT_EQ(reason_, EndReason::shutting_down);
}

TEST_F(ConnectionTest, CommandsThatCameBeforeTheDrainAreStillRead) {
  std::string got;
  auto session = [&]() -> asio::awaitable<void> {
    co_await client_.write("NOOP\r\n");
    server_.drain();
    co_await server_.read_more();
    got = server_.input();
    server_.consume(got.size());
    co_await server_.read_more();
  };
  loop_.run(catch_end(session(), reason_));
  EXPECT_EQ(got, "NOOP\r\n");
  EXPECT_EQ(reason_, EndReason::shutting_down);
}

// --- connecting

TEST(Connect, GivesAConnection) {
  Loop loop;
  asio::ip::tcp::acceptor acceptor(loop.context(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  auto talk = [&]() -> asio::awaitable<void> {
    auto client = co_await connect(acceptor.local_endpoint(), 5s);
    EXPECT_EQ(client->remote_port(), acceptor.local_endpoint().port());
  };
  loop.run(talk());
}

TEST(Connect, SaysWhyItFailed) {
  Loop loop;
  asio::ip::tcp::endpoint nobody;
  {
    asio::ip::tcp::acceptor acceptor(loop.context(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    nobody = acceptor.local_endpoint();
  }
  std::error_code error;
  auto talk = [&]() -> asio::awaitable<void> {
    try {
      co_await connect(nobody, 5s);
    } catch (const std::system_error& failure) {
      error = failure.code();
    }
  };
  loop.run(talk());
  EXPECT_EQ(error, std::errc::connection_refused);
}

}  // namespace
}  // namespace postrider::net
