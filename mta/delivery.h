// Local delivery: from the queue into mailboxes.
//
// A deliverer takes the waiting messages of one account, writes them in one transaction and tells who watches the
// mailbox. That is visible at once and not yet durable: the queue still holds the messages. A flusher makes accounts
// durable, many deliveries with one flush, and only then the recipients end. A crash in between delivers again, and the
// account knows the delivery by its key.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/net/hint.h"
#include "mta/delivery_queue.h"
#include "mta/delivery_settle.h"
#include "store/accounts.h"
#include "store/directory_service.h"

namespace postrider {

constexpr std::chrono::milliseconds kFlushInterval{1'000};  // how long a delivery waits for its flush at most
constexpr size_t kFlushCount = 5'000;                       // deliveries that are not waited with
// Deliverers pause above this. A power cut takes back what was not flushed, and the account skips 20,000 UIDs then
// (store/account.cc): there must never be as many.
constexpr size_t kMaxUnflushed = 10'000;
constexpr std::chrono::milliseconds kStuckWait{250};  // an account that waits longer for a thread gets a new one
constexpr size_t kMaxDeliverers = 32;

class LocalDelivery {
 public:
  /// Takes what is to be written to the queue; called from threads of this object.
  using Settled = std::function<void(Settlement)>;
  using SendHint = std::function<void(const net::Hint&)>;

  LocalDelivery(store::Accounts& accounts, store::DirectoryService& directory, Settler& settler, const Clock& clock,
                SendHint send_hint, Settled settled);
  ~LocalDelivery();
  LocalDelivery(const LocalDelivery&) = delete;
  LocalDelivery& operator=(const LocalDelivery&) = delete;

  /// threads: deliverers; more are made, up to kMaxDeliverers, while slow accounts hold those.
  void start(size_t threads);
  /// Finishes the batches that were begun, flushes and settles them. What is still waiting stays in the queue.
  void stop();
  /// Every account of them must be in this store. From any thread; never waits.
  void push(std::vector<Delivery> deliveries);

 private:
  /// In the mailbox; its recipient ends after the flush.
  struct Unflushed {
    store::RecipientUpdate update;
    std::optional<Delivery> reported;  // only where a report of success was asked for: others let go of their body
  };
  using Dirty = std::map<store::AccountId, std::vector<Unflushed>>;
  void run_deliverer();
  void deliver(AccountBatch batch);
  std::vector<Outcome> deliver_all(store::AccountId account, std::span<const Delivery> deliveries);
  std::vector<Outcome> deliver_each(store::AccountId account, std::span<const Delivery> deliveries, uint64_t quota);
  std::vector<Outcome> write(store::AccountId account, std::span<const Delivery> deliveries, uint64_t quota);
  std::optional<store::AccountInfo> account_info(store::AccountId account);
  void finish(store::AccountId account, std::span<const Delivery> deliveries, std::span<const Outcome> outcomes);

  void run_flusher();
  void flush(Dirty dirty);
  bool flush_account(store::AccountId account);
  void add_deliverer_if_stuck();

  store::Accounts& accounts_;
  store::DirectoryService& directory_;
  Settler& settler_;
  const Clock& clock_;
  const SendHint send_hint_;
  const Settled settled_;

  DeliveryQueue queue_;
  std::thread flusher_;

  std::mutex mutex_;
  std::vector<std::thread> deliverers_;
  std::condition_variable flusher_wake_;
  std::condition_variable room_;
  Dirty dirty_;
  size_t unflushed_ = 0;  // in dirty_ and in what the flusher has taken
  bool no_more_threads_ = true;
  bool stopping_ = false;
  bool flusher_sleeps_ = false;  // until there is something to do

  std::mutex info_mutex_;
  uint64_t info_version_ = 1;  // odd: nothing is known yet
  std::unordered_map<store::AccountId, std::optional<store::AccountInfo>> info_;
};

}  // namespace postrider
