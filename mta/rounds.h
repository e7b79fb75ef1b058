// Work that comes round every minute or every hour and that nobody waits for: reports, keys. One thread, which may wait
// for the disk, with a loop for DNS.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace postrider {

class Rounds {
 public:
  using Job = std::function<asio::awaitable<void>()>;

  Rounds() = default;
  ~Rounds() { stop(); }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  asio::io_context& loop() { return loop_; }
  /// Before start(). Runs at the start and then as often; what it throws is logged. Everything that it uses must
  /// outlive stop().
  void add(std::string name, std::chrono::seconds every, Job job);
  void start();
  /// Waits for what is running on the thread, not for what waits for DNS.
  void stop();

 private:
  struct Entry {
    std::string name;
    std::chrono::seconds every;
    Job job;
  };
  asio::awaitable<void> run(const Entry& entry);

  std::vector<Entry> entries_;
  asio::io_context loop_{1};
  std::thread thread_;
};

}  // namespace postrider
