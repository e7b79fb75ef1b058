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
  /// threads: how many jobs run at once; 0: each caller runs its own, as tests on one thread want it. Jobs wait in
  /// order; each session has at most one, so the queue is bounded by the number of sessions.
  /// Throws std::system_error where the system has no thread for it.
  explicit WorkerPool(size_t threads);
  ~WorkerPool();  // end()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Finishes what was handed in, before what those jobs use goes. Nobody hands in anything meanwhile or afterwards.
  void end();

  /// Runs job on a pool thread; the caller goes on with its result, on its own loop. Exceptions come back too.
  /// Name the job first, then move it in: auto job = [..] {..}; co_await pool.run(std::move(job));
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&>> run(Job job);

  /// Runs job on a pool thread some time; nobody waits. Exceptions are logged.
  void post(std::function<void()> job);

 private:
  /// A piece of work in the queue.
  class Task {
   public:
    virtual ~Task() = default;
    virtual void run() noexcept = 0;
  };
  template <class Job>
  class JobTask;
  void enqueue(Task& task);  // task must live until it has run
  /// Goes on when a pool thread has run task. Not a template: what each job would bring along again costs most of the
  /// time it takes to compile a session.
  asio::awaitable<void> finish(Task& task);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Lives in the coroutine that waits; the pool thread writes the outcome before it wakes that one.
template <class Job>
class WorkerPool::JobTask final : public Task {
 public:
  using Value = std::invoke_result_t<Job&>;

  explicit JobTask(Job job) : job_(std::move(job)) {}

  void run() noexcept override {
    try {
      if constexpr (std::is_void_v<Value>) {
        job_();
      } else {
        value_.emplace(job_());
      }
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  Value take() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }

 private:
  Job job_;
  std::exception_ptr error_;
  std::optional<std::conditional_t<std::is_void_v<Value>, std::monostate, Value>> value_;
};

template <class Job>
asio::awaitable<std::invoke_result_t<Job&>> WorkerPool::run(Job job) {
  JobTask<Job> task(std::move(job));
  co_await finish(task);
  co_return task.take();
}

}  // namespace postrider::net
