#include "common/net/worker_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/log.h"

namespace postrider::net {

struct WorkerPool::Impl {
  std::mutex mutex;
  std::condition_variable work_or_end;
  std::deque<Task*> tasks;
  bool ending = false;
  std::vector<std::thread> threads;

  void end() {
    {
      std::lock_guard lock(mutex);
      ending = true;
    }
    work_or_end.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }

  void serve() {
    while (true) {
      Task* task = nullptr;
      {
        std::unique_lock lock(mutex);
        work_or_end.wait(lock, [this] { return ending || !tasks.empty(); });
        if (tasks.empty()) return;
        task = tasks.front();
        tasks.pop_front();
      }
      task->run();
    }
  }
};

WorkerPool::WorkerPool(size_t threads) : impl_(std::make_unique<Impl>()) {
  try {
    for (size_t i = 0; i < threads; ++i) {
      impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
    }
  } catch (...) {
    impl_->end();  // those that began
    throw;
  }
}

WorkerPool::~WorkerPool() {
  end();
}

void WorkerPool::end() {
  impl_->end();
}

void WorkerPool::enqueue(Task& task) {
  if (impl_->threads.empty()) {
    task.run();
    return;
  }
  {
    std::lock_guard lock(impl_->mutex);
    impl_->tasks.push_back(&task);
  }
  impl_->work_or_end.notify_one();
}

namespace {

/// Runs another task and then hands the coroutine that waits for it back to its loop.
template <class Task, class Handler>
class Waking final : public Task {
 public:
  Waking(Task& task, asio::any_io_executor executor, Handler handler)
      : task_(task), work_(std::move(executor)), handler_(std::move(handler)) {}

  void run() noexcept override {
    std::unique_ptr<Waking> self(this);
    task_.run();
    // From here on the coroutine, with its task, belongs to its loop again.
    asio::any_io_executor executor = work_.get_executor();
    asio::post(executor, [handler = std::move(handler_), work = std::move(work_)]() mutable { std::move(handler)(); });
  }

 private:
  Task& task_;
  asio::executor_work_guard<asio::any_io_executor> work_;  // the loop does not end while this is under way
  Handler handler_;
};

}  // namespace

asio::awaitable<void> WorkerPool::finish(Task& task) {
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  auto begin = [&](auto handler) {
    enqueue(*new Waking<Task, decltype(handler)>(task, executor, std::move(handler)));  // deletes itself
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(begin, asio::use_awaitable);
}

void WorkerPool::post(std::function<void()> job) {
  class Posted final : public Task {
   public:
    explicit Posted(std::function<void()> job) : job_(std::move(job)) {}
    void run() noexcept override {
      std::unique_ptr<Posted> self(this);
      try {
        job_();
      } catch (const std::exception& error) {
        log_error("job_failed", {{"error", error.what()}});
      }
    }

   private:
    std::function<void()> job_;
  };
  enqueue(*new Posted(std::move(job)));  // deletes itself
}

}  // namespace postrider::net
