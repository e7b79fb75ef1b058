#include "store/accounts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/base/log.h"
#include "store/small_file.h"

namespace postrider::store {
namespace {

// A log of this many pages (4 KiB) is worth a checkpoint.
constexpr int kGrownPages = 1'000;
// Of a file that nobody here keeps open a much shorter one: whoever opens it next may have to read all of its log.
constexpr int kGrownPagesOfClosed = 100;
// How long an end may take longer for the sake of the next start.
constexpr std::chrono::seconds kMostClosing{2};
// Seconds in which each idle handle is looked at once.
constexpr int64_t kTurns = 16;

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 02770) == 0) {
    ::chmod(path.c_str(), 02770);  // whatever the umask says: the other daemon may be another user of the group
  } else if (errno != EEXIST) {
    throw SqliteError(0, fmt::format("{}: cannot be made: {}", path, std::strerror(errno)));
  }
  // Whoever made it: the name must survive a power cut as what is put into it will.
  flush_folder(path.substr(0, path.rfind('/')));
}

}  // namespace

Accounts::Accounts(std::string state, size_t kept_handles, const Clock& clock)
    : state_(std::move(state)), kept_handles_(kept_handles), clock_(clock) {}

/// Whoever opens the files next, after a start, has little to read of their logs.
Accounts::~Accounts() {
  const auto end = std::chrono::steady_clock::now() + kMostClosing;
  for (const std::unique_ptr<Account>& account : idle_) {
    if (std::chrono::steady_clock::now() >= end) break;
    account->shorten_wal();
  }
}

std::string Accounts::path_of(AccountId id) const {
  return fmt::format("{}/accounts/{:02x}/{}.db", state_, static_cast<uint64_t>(id) & 0xff, id);
}

Accounts::Lease Accounts::open(AccountId id, AccountId reader) {
  std::unique_ptr<Account> account = take(id);
  account->read_as(reader);
  account->limit_messages(most_messages_);
  return {*this, std::move(account)};
}

/// An idle handle, or a new one.
std::unique_ptr<Account> Accounts::take(AccountId id) {
  if (std::unique_ptr<Account> idle = take_idle(id); idle != nullptr && !idle->has_moved()) return idle;
  const std::string path = path_of(id);
  const ino_t file = identity_of(path);
  try {
    return std::make_unique<Account>(path, id, OpenMode::must_exist, clock_);
  } catch (const SqliteError& error) {
    if (error.is_corrupt()) set_aside(id, file, error.what());
    // Where it was not there somebody else may have made it meanwhile.
    if (file != 0 && identity_of(path) != 0) throw;
  }
  if (is_set_aside(path)) {
    throw damaged_account(path,
                          "the account's file was damaged and is set aside; `mailctl recover` brings back what "
                          "can be read of it");
  }
  make_directory(state_ + "/accounts");
  make_directory(path.substr(0, path.rfind('/')));
  return std::make_unique<Account>(path, id, OpenMode::create, clock_);
}

std::unique_ptr<Account> Accounts::take_idle(AccountId id) {
  std::lock_guard guard(mutex_);
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  std::unique_ptr<Account> account = std::move(*found->second);
  idle_.erase(found->second);
  by_id_.erase(found);
  return account;
}

/// What cannot be set aside stays where it is: whoever opens it next finds it damaged as well.
void Accounts::set_aside(AccountId id, ino_t file, std::string_view reason) {
  const std::string path = path_of(id);
  log_error("account_damaged", {{"account", id}, {"file", path}, {"reason", reason}});
  try {
    const std::string kept = store::set_aside(path, file, "damaged", clock_.unix_time());
    if (kept.empty()) return;
    log_error("account_set_aside",
              {{"account", id},
               {"file", path},
               {"kept_as", kept},
               {"advice", "mailctl recover brings back what can be read of it; mail that comes meanwhile waits"}});
  } catch (const std::exception& error) {
    log_error("account_not_set_aside", {{"account", id}, {"file", path}, {"reason", error.what()}});
  }
}

Accounts::Lease::~Lease() {
  if (account_ == nullptr) return;
  if (account_->damaged()) {
    owner_->set_aside(account_->id(), account_->file_identity(), "found while it was used");
  } else {
    owner_->give_back(std::move(account_));
  }
}

void Accounts::give_back(std::unique_ptr<Account> account) {
  account->release_memory();
  std::unique_ptr<Account> dropped;  // closed outside the lock
  std::lock_guard guard(mutex_);
  AccountId id = account->id();
  note_log(*account, kGrownPages);
  idle_.push_front(std::move(account));
  by_id_.emplace(id, idle_.begin());
  if (idle_.size() <= kept_handles_) return;
  auto last = std::prev(idle_.end());
  auto [begin, end] = by_id_.equal_range((*last)->id());
  by_id_.erase(std::find_if(begin, end, [&](const auto& item) { return item.second == last; }));
  dropped = std::move(*last);
  idle_.erase(last);
  note_log(*dropped, kGrownPagesOfClosed);
}

void Accounts::note_log(const Account& account, int grown_pages) {
  if (account.wal_pages() >= grown_pages && std::find(grown_.begin(), grown_.end(), account.id()) == grown_.end())
    grown_.push_back(account.id());
}

void Accounts::forget(AccountId id) {
  std::lock_guard guard(mutex_);
  auto [begin, end] = by_id_.equal_range(id);
  for (auto it = begin; it != end; ++it) idle_.erase(it->second);
  by_id_.erase(begin, end);
}

std::vector<AccountId> Accounts::take_grown() {
  std::lock_guard guard(mutex_);
  // Who opens one whose log was deleted drops it first, and that puts what was in the log into the file.
  const int64_t turn = clock_.unix_time() % kTurns;
  for (const std::unique_ptr<Account>& account : idle_) {
    if (account->id() % kTurns == turn && account->has_moved()) grown_.push_back(account->id());
  }
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  return std::exchange(grown_, {});
}

}  // namespace postrider::store
