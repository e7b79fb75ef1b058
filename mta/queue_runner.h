// The owner of the queue: takes messages from sessions, gives recipients to those who deliver, and writes what became
// of them.
//
// One thread, the committer, has the handle. Everything that waits when it comes back from a flush goes into the next
// transaction, so the number of flushes follows the disk and not the number of sessions. It sleeps until somebody hands
// in something or the next recipient is due.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mta/acceptor.h"
#include "mta/attempt_marks.h"
#include "mta/delivery.h"
#include "mta/delivery_settle.h"
#include "mta/transport.h"
#include "store/accounts.h"
#include "store/directory_service.h"
#include "store/queue.h"

namespace postrider {

constexpr size_t kMaxGroup = 256;                 // messages in one commit
constexpr uint64_t kMaxGroupOctets = 16 << 20;    // of bodies in memory in one commit
constexpr size_t kMaxGroupUpdates = 500;          // ended recipients written while sessions wait
constexpr size_t kMaxRefill = 500;                // recipients read back at once
constexpr size_t kMaxReleaseStep = 5'000;         // recipients of a destination that are made due at once
constexpr size_t kMaxForgetStep = 500;            // messages of the ledger that are forgotten at once
constexpr std::chrono::hours kForgetInterval{1};  // between two rounds of that
constexpr uint64_t kMaxReadyOctets = 64 << 20;    // local messages in memory; what is beyond stays on the disk
constexpr uint64_t kMaxRemoteOctets = 64 << 20;   // the same for other servers' recipients

class QueueRunner final : public Acceptor {
 public:
  struct Options {
    std::string state;  // the state folder
    SystemMail system;  // its hostname is who reports
    Schedule schedule;
    Seconds history{14 * 86'400};  // how long the ledger is kept
    size_t deliverers = 2;
    Signer* signer = nullptr;  // of bounces; null: they go unsigned. Must outlive the runner
    Spread spread;             // of retries; empty: chance
  };

  /// Opens the queue. Throws SqliteError. Everything must outlive the runner.
  QueueRunner(Options options, store::Accounts& accounts, store::DirectoryService& directory,
              LocalDelivery::SendHint send_hint, const Clock& clock);
  ~QueueRunner() override;

  /// Who gets recipients of other servers; before start(). Without one they wait in the queue.
  void set_remote(std::unique_ptr<RemoteDelivery> remote) { remote_ = std::move(remote); }
  /// For what set_remote gets: settles outcomes, and takes what follows from them.
  Settler& settler() { return settler_; }
  void settled(Settlement settlement);

  /// A destination answers again, or somebody wants it tried: its recipients are due now. From any thread.
  void release(std::string destination);

  /// What an earlier process left is due at once.
  void start();
  /// Takes nothing new, ends what is under way, writes what is known and hands the rest back to the queue.
  void stop();
  /// New host name, separators and schedule. From any thread.
  void configure(const Options& options);
  /// Looks at the queue and the clock again: somebody else has changed one of them.
  void wake();
  /// Everything that was handed in is written, and the committer sleeps. From any thread.
  bool idle();
  /// A sentence that says what keeps the committer from committing; empty: nothing. From any thread.
  std::string trouble();
  /// Flushed transactions so far: a measure of how well sessions share them. From any thread.
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }

  store::QueueId next_id() override { return queue_.next_id(); }
  const std::string& spool_directory() const override { return queue_.spool_directory(); }
  asio::awaitable<Acceptance> accept(store::QueuedMessage message) override;
  /// The same for who is no coroutine; complete is called from the committer.
  void accept(store::QueuedMessage message, std::function<void(Acceptance)> complete);

 private:
  struct Pending {
    store::QueuedMessage message;
    std::function<void(Acceptance)> complete;
  };
  /// What one transaction takes.
  struct Group {
    std::vector<Pending> accepted;
    std::vector<Settlement> reported;             // each with reports: whole or not at all
    std::vector<store::RecipientUpdate> updates;  // others
    std::vector<store::QueuedMessage> told;       // reports about what is accepted, made for this transaction
    bool empty() const { return accepted.empty() && reported.empty() && updates.empty(); }
  };

  using Time = std::chrono::steady_clock::time_point;

  void hand_in(Pending pending);
  bool has_updates() const { return !updates_.empty() || !reported_.empty(); }
  std::optional<Time> updates_due() const;
  void note_trouble(const store::SqliteError& error);
  void note_success();
  void run();
  bool wait_for_work(Group& group);
  void take_group(Group& group);
  Time next_wake();
  void commit(Group group);
  store::Flushed commit_group(Group& group);
  void commit_one_by_one(Group group);
  void put_back(Group group);
  void plan(store::QueuedMessage& message);
  void go_on(store::QueuedMessage message);
  void release_destinations();
  void refill();
  void refill(bool local, UnixTime now);
  void grant_wishes(store::QueuedMessage& message);
  void complete_taken(Group& group);
  void forget_some();

  const Clock& clock_;
  const size_t deliverers_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Pending> pending_;
  std::deque<Settlement> reported_;
  std::deque<store::RecipientUpdate> updates_;
  std::vector<std::string> released_;
  Seconds history_;
  Time updates_gathered_;    // by then they have waited long enough for others
  Time updates_not_before_;  // after a failure
  bool poked_ = false;
  bool closed_ = true;
  bool stopping_ = false;
  std::atomic<uint64_t> commits_ = 0;
  Time busy_since_;  // when the committer began its round; nothing: it sleeps
  Time failed_at_;   // the last one that failed, unless one has succeeded since
  std::string failure_;

  AttemptMarks marks_;  // outlives what is in hand
  // From here on what may call wake() while it goes away.
  store::Queue queue_;
  MemoryBudget local_budget_;
  MemoryBudget remote_budget_;
  Settler settler_;
  LocalDelivery delivery_;
  std::unique_ptr<RemoteDelivery> remote_;
  std::thread committer_;

  // Of the committer alone: recipients that are due but not in memory. Until they are, new ones wait behind them, so
  // that messages of one account stay in order.
  bool local_backlog_ = true;
  bool remote_backlog_ = true;
  std::vector<Delivery> ready_local_;
  std::vector<std::shared_ptr<MessageInHand>> ready_remote_;
  std::chrono::steady_clock::time_point next_forget_;
};

}  // namespace postrider
