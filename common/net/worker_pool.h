// Blocking work (SQLite, flushes, password hashing) off the loops, behind one co_await.
#pragma once

#include <asio.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace postrider::net {

/// Must end before the loops whose sessions wait for it: what it finishes goes back to them.
class WorkerPool {
 public:
  /// threads: how many jobs run at once. Jobs wait in order; each session has at most one, so the queue is bounded by
  /// the number of sessions.
  explicit WorkerPool(size_t threads);
  ~WorkerPool();  // finishes what was handed in
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Runs job on a pool thread; the caller goes on with its result, on its own loop. Exceptions come back too.
  /// Name the job first, then move it in: auto job = [..] {..}; co_await pool.run(std::move(job));
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&>> run(Job job);

  /// Runs job on a pool thread some time; nobody waits. Exceptions are logged.
  void post(std::function<void()> job);

 private:
  /// A piece of work in the queue; a class of its own because a coroutine's handler can be moved only.
  class Task {
   public:
    virtual ~Task() = default;
    virtual void run() noexcept = 0;
  };
  template <class Job>
  struct Outcome;
  template <class Job, class Handler>
  class JobTask;
  void enqueue(std::unique_ptr<Task> task);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Lives in the coroutine that waits; the task writes it before it wakes that one.
template <class Job>
struct WorkerPool::Outcome {
  using Value = std::invoke_result_t<Job&>;
  using Stored = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;
  std::exception_ptr error;
  std::optional<Stored> value;

  void fill(Job& job) noexcept {
    try {
      if constexpr (std::is_void_v<Value>) {
        job();
        value.emplace();
      } else {
        value.emplace(job());
      }
    } catch (...) {
      error = std::current_exception();
    }
  }
};

template <class Job, class Handler>
class WorkerPool::JobTask final : public Task {
 public:
  JobTask(Job& job, Outcome<Job>& outcome, asio::any_io_executor executor, Handler handler)
      : job_(job), outcome_(outcome), work_(executor), handler_(std::move(handler)) {}

  void run() noexcept override {
    outcome_.fill(job_);
    // From here on the coroutine, with job and outcome, belongs to its loop again.
    asio::any_io_executor executor = work_.get_executor();
    asio::post(executor, [handler = std::move(handler_), work = std::move(work_)]() mutable { std::move(handler)(); });
  }

 private:
  Job& job_;
  Outcome<Job>& outcome_;
  asio::executor_work_guard<asio::any_io_executor> work_;  // the loop does not end while this is under way
  Handler handler_;
};

template <class Job>
asio::awaitable<std::invoke_result_t<Job&>> WorkerPool::run(Job job) {
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  Outcome<Job> outcome;
  auto begin = [&](auto handler) {
    enqueue(std::make_unique<JobTask<Job, decltype(handler)>>(job, outcome, executor, std::move(handler)));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(begin, asio::use_awaitable);
  if (outcome.error) std::rethrow_exception(outcome.error);
  if constexpr (!std::is_void_v<std::invoke_result_t<Job&>>) co_return std::move(*outcome.value);
}

}  // namespace postrider::net
