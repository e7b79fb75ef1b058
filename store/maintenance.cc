#include "store/maintenance.h"

#include <algorithm>
#include <exception>
#include <filesystem>

#include "common/base/log.h"

namespace postrider::store {
namespace {

constexpr auto kCheckpointInterval = std::chrono::seconds(1);
constexpr UnixTime kPurgeInterval = 24 * 3600;
constexpr UnixTime kLookAtDisk = 600;
constexpr Seconds kKeptWhenLow{24 * 3600};
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
  UnixTime next_look = next_purge;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kCheckpointInterval, [this] { return stopping_; })) return;
    }
    checkpoint_grown();
    if (!options_.purge_accounts || clock_.unix_time() < next_look) continue;
    next_look = clock_.unix_time() + kLookAtDisk;
    const bool low = options_.disk_is_low && options_.disk_is_low();
    if (!low && clock_.unix_time() < next_purge) continue;
    if (low) log_warn("disk_nearly_full", {{"expunged_mail_kept_seconds", kKeptWhenLow.count()}});
    purge_all(low ? std::min(options_.undelete, kKeptWhenLow) : options_.undelete);
    next_purge = clock_.unix_time() + kPurgeInterval;
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

void Maintenance::purge_all(Seconds kept) {
  UnixTime now = clock_.unix_time();
  std::vector<AccountInfo> accounts;
  try {
    accounts = options_.purge_accounts();
  } catch (const std::exception& error) {
    log_error("purge_failed", {{"reason", error.what()}});
  }
  std::vector<AccountId> ids;
  for (const AccountInfo& account : accounts) ids.push_back(account.id);
  std::sort(ids.begin(), ids.end());
  for (const AccountInfo& account : accounts) {
    if (stopping()) return;
    Retention retention{now - kept.count(), now - kLogKept};
    retention.accounts = ids;
    if (account.quota != 0) retention.max_kept = account.quota;
    try {
      accounts_.open(account.id)->maintain(retention);
    } catch (const std::exception& error) {
      log_error("purge_failed", {{"account", account.id}, {"reason", error.what()}});
    }
  }
}

bool disk_is_low(const std::string& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  return !error && space.available < space.capacity / 20;
}

}  // namespace postrider::store
