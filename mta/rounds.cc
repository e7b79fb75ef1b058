#include "mta/rounds.h"

#include "common/base/log.h"

namespace postrider {

void Rounds::add(std::string name, std::chrono::seconds every, Job job) {
  entries_.push_back({std::move(name), every, std::move(job)});
}

asio::awaitable<void> Rounds::run(const Entry& entry) {
  asio::steady_timer timer(loop_);
  for (;;) {
    try {
      co_await entry.job();
    } catch (const std::exception& error) {
      log_error("round_failed", {{"work", entry.name}, {"reason", error.what()}});
    }
    timer.expires_after(entry.every);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void Rounds::start() {
  for (const Entry& entry : entries_) asio::co_spawn(loop_, run(entry), [](const std::exception_ptr&) {});
  thread_ = std::thread([this] { loop_.run(); });
}

void Rounds::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

}  // namespace postrider
