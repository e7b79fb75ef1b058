// DNS for the checks of incoming mail, shared by all sessions: one loop of its own, answers kept for as long as DNS
// lets us, a question that many sessions have asked once, and a quick "no" while no name server answers at all.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/mailauth/dns.h"

namespace postrider {

class CheckDns {
 public:
  using Steady = std::chrono::steady_clock;
  using Answer = DnsLookups::Answer;
  /// Asks DNS; on the loop. Never throws for what a name server does.
  using Ask = std::function<asio::awaitable<DnsAnswer>(std::string name, DnsType type)>;

  static constexpr size_t kMaxKept = 100'000;        // answers
  static constexpr size_t kMaxKeptOctets = 4 << 10;  // of one answer; larger ones are asked for again
  static constexpr size_t kMaxUnderWay = 2'000;      // questions
  static constexpr size_t kMaxTriedInSilence = 20;
  static constexpr std::chrono::seconds kMinAge{5};
  static constexpr std::chrono::seconds kMaxAge{3'600};
  static constexpr std::chrono::seconds kFailureAge{10};
  // How long a name server may take to answer anything at all, when nothing else has been heard of it.
  static constexpr std::chrono::milliseconds kProbePatience{1'500};
  // How long nothing is asked when none does; then it is tried again.
  static constexpr std::chrono::seconds kSilence{15};

  /// make: makes what asks, for the loop that it runs on; it lives until this goes. Throws what make throws.
  explicit CheckDns(const std::function<Ask(asio::io_context&)>& make);
  ~CheckDns();
  CheckDns(const CheckDns&) = delete;
  CheckDns& operator=(const CheckDns&) = delete;

  /// An answer that is at hand, or null. From any thread.
  Answer kept(const DnsQuestion& question);
  /// The answers, in the order of the questions; null for those that have none by the deadline, or at once where no
  /// name server answers. From any loop, and comes back there.
  asio::awaitable<std::vector<Answer>> ask(std::vector<DnsQuestion> questions, Steady::time_point deadline);
  /// No name server answers.
  bool silent() const { return silent_.load(std::memory_order_relaxed); }

 private:
  struct Kept {
    Answer answer;
    Steady::time_point until;
  };
  struct Hash {
    size_t operator()(const DnsQuestion& question) const {
      return std::hash<std::string>()(question.name) ^ static_cast<size_t>(question.type);
    }
  };
  using Table = std::unordered_map<DnsQuestion, Kept, Hash>;
  class Batch;

  // On the loop.
  void begin(const std::shared_ptr<Batch>& batch);
  void start(const DnsQuestion& question);
  asio::awaitable<void> look_up(DnsQuestion question);
  void answered(const DnsQuestion& question, DnsAnswer answer);
  void end(const std::shared_ptr<Batch>& batch);
  void heard(const DnsAnswer& answer);
  void probe();
  void fall_silent();
  void keep(const DnsQuestion& question, const Answer& answer);

  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  Ask ask_;
  std::map<DnsQuestion, std::vector<std::weak_ptr<Batch>>> under_way_;
  std::map<uint64_t, std::shared_ptr<Batch>> batches_;
  uint64_t last_batch_ = 0;
  asio::steady_timer probe_timer_;
  bool probing_ = false;
  Steady::time_point last_heard_{};  // when any name server last answered
  std::atomic<bool> silent_ = false;
  std::atomic<size_t> tried_ = 0;  // questions under way

  std::mutex mutex_;    // of what is kept
  Table young_, old_;   // when the young ones are many they become the old ones, and those go
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace postrider
