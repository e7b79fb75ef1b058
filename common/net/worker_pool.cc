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
  std::deque<std::unique_ptr<Task>> tasks;
  bool ending = false;
  std::vector<std::thread> threads;

  void serve() {
    while (true) {
      std::unique_ptr<Task> task;
      {
        std::unique_lock lock(mutex);
        work_or_end.wait(lock, [this] { return ending || !tasks.empty(); });
        if (tasks.empty()) return;
        task = std::move(tasks.front());
        tasks.pop_front();
      }
      task->run();
    }
  }
};

WorkerPool::WorkerPool(size_t threads) : impl_(std::make_unique<Impl>()) {
  for (size_t i = 0; i < std::max<size_t>(threads, 1); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->work_or_end.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

void WorkerPool::enqueue(std::unique_ptr<Task> task) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->tasks.push_back(std::move(task));
  }
  impl_->work_or_end.notify_one();
}

void WorkerPool::post(std::function<void()> job) {
  class Posted final : public Task {
   public:
    explicit Posted(std::function<void()> job) : job_(std::move(job)) {}
    void run() noexcept override {
      try {
        job_();
      } catch (const std::exception& error) {
        log_error("job_failed", {{"error", error.what()}});
      }
    }

   private:
    std::function<void()> job_;
  };
  enqueue(std::make_unique<Posted>(std::move(job)));
}

}  // namespace postrider::net
