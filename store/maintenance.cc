#include "store/maintenance.h"

#include <exception>

#include "common/base/log.h"

namespace postrider::store {
namespace {

constexpr auto kCheckpointInterval = std::chrono::seconds(1);
constexpr UnixTime kPurgeInterval = 24 * 3600;
// Clients that were away for longer than this synchronise in full. Deliveries are remembered as long: longer than any
// queue lifetime, so that a replay always finds them.
constexpr UnixTime kLogKept = 90 * 24 * 3600;

}  // namespace

Maintenance::Maintenance(Accounts& accounts, const Clock& clock, Options options)
    : accounts_(accounts), clock_(clock), options_(std::move(options)), thread_([this] { run(); }) {}

Maintenance::~Maintenance() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool Maintenance::stopping() {
  std::lock_guard guard(mutex_);
  return stopping_;
}

void Maintenance::run() {
  UnixTime next_purge = clock_.unix_time() + 60;  // not while a daemon that crashed comes back
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kCheckpointInterval, [this] { return stopping_; })) return;
    }
    checkpoint_grown();
    if (options_.purge_accounts && clock_.unix_time() >= next_purge) {
      purge_all();
      next_purge = clock_.unix_time() + kPurgeInterval;
    }
  }
}

void Maintenance::checkpoint_grown() {
  for (AccountId id : accounts_.take_grown()) {
    try {
      accounts_.open(id)->checkpoint();
    } catch (const std::exception& error) {
      log_error("checkpoint_failed", {{"account", id}, {"reason", error.what()}});
    }
  }
}

void Maintenance::purge_all() {
  UnixTime now = clock_.unix_time();
  std::vector<AccountId> accounts;
  try {
    accounts = options_.purge_accounts();
  } catch (const std::exception& error) {
    log_error("purge_failed", {{"reason", error.what()}});
  }
  for (AccountId id : accounts) {
    if (stopping()) return;
    try {
      accounts_.open(id)->maintain(now - options_.undelete.count(), now - kLogKept);
    } catch (const std::exception& error) {
      log_error("purge_failed", {{"account", id}, {"reason", error.what()}});
    }
  }
}

}  // namespace postrider::store
