// Blocking work behind one co_await.
#include "common/net/worker_pool.h"

#include <atomic>
#include <future>
#include <set>
#include <stdexcept>
#include <thread>

#include "tests/net/loop.h"

namespace postrider::net {
namespace {

TEST(WorkerPool, GivesTheResultBackOnTheCallersLoop) {
  Loop loop;
  WorkerPool pool(2);
  auto talk = [&]() -> asio::awaitable<void> {
    const auto here = std::this_thread::get_id();
    auto job = [] { return std::this_thread::get_id(); };
    const auto there = co_await pool.run(std::move(job));
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
  };
  loop.run(talk());
}

TEST(WorkerPool, RunsJobsThatGiveNothing) {
  Loop loop;
  WorkerPool pool(1);
  bool ran = false;
  auto talk = [&]() -> asio::awaitable<void> {
    auto job = [&ran] { ran = true; };
    co_await pool.run(std::move(job));
    EXPECT_TRUE(ran);
  };
  loop.run(talk());
}

TEST(WorkerPool, TakesAndGivesWhatCanOnlyBeMoved) {
  Loop loop;
  WorkerPool pool(1);
  auto talk = [&]() -> asio::awaitable<void> {
    auto job = [owned = std::make_unique<int>(42)]() mutable { return std::move(owned); };
    auto back = co_await pool.run(std::move(job));
    EXPECT_EQ(*back, 42);
  };
  loop.run(talk());
}

TEST(WorkerPool, CarriesExceptionsToTheCallerOnItsLoop) {
  Loop loop;
  WorkerPool pool(1);
  std::string message;
  auto talk = [&]() -> asio::awaitable<void> {
    const auto here = std::this_thread::get_id();
    auto job = []() -> int { throw std::runtime_error("the disk is full"); };
    try {
      co_await pool.run(std::move(job));
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    EXPECT_EQ(std::this_thread::get_id(), here);
  };
  loop.run(talk());
  EXPECT_EQ(message, "the disk is full");
}

TEST(WorkerPool, JobsOfManySessionsRunSideBySide) {
  Loop loop;
  WorkerPool pool(2);
  std::promise<void> second_began;
  auto first = [&]() -> asio::awaitable<void> {
    auto job = [&] { second_began.get_future().wait(); };
    co_await pool.run(std::move(job));
  };
  auto second = [&]() -> asio::awaitable<void> {
    auto job = [&] { second_began.set_value(); };
    co_await pool.run(std::move(job));
  };
  loop.spawn(first());
  loop.run(second());
}

TEST(WorkerPool, FinishesWhatWasPostedBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) pool.post([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(WorkerPool, AnExceptionOfAPostedJobEndsNothing) {
  std::promise<void> next;
  WorkerPool pool(1);
  pool.post([] { throw std::runtime_error("logged"); });
  pool.post([&] { next.set_value(); });
  EXPECT_EQ(next.get_future().wait_for(Loop::kLimit), std::future_status::ready);
}

TEST(WorkerPool, EndsWhenWhatWasHandedInIsDone) {
  WorkerPool pool(2);
  std::atomic<size_t> done = 0;
  for (size_t i = 0; i < 1'000; ++i) pool.post([&] { ++done; });
  pool.end();
  EXPECT_EQ(done, 1'000U);
}

}  // namespace
}  // namespace postrider::net
