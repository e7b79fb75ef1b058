// The account files of a state folder, and the handles that are kept open. Safe to use from any thread.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/account.h"

namespace postrider::store {

class Accounts {
 public:
  /// state: the state folder. kept_handles: how many idle handles stay open (about 140 KiB each).
  Accounts(std::string state, size_t kept_handles, const Clock& clock);
  ~Accounts();

  /// An account, for one thread, until the lease ends; then the handle goes back to the cache.
  class Lease {
   public:
    Lease(Accounts& owner, std::unique_ptr<Account> account) : owner_(&owner), account_(std::move(account)) {}
    ~Lease();
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    Account* operator->() const { return account_.get(); }
    Account& operator*() const { return *account_; }

   private:
    Accounts* owner_;
    std::unique_ptr<Account> account_;
  };

  /// Opens the account; makes its file when it is not there yet (its row in the directory is what makes an account
  /// exist). One that is damaged is set aside, and then there is none until an administrator did something about it:
  /// SqliteError, is_corrupt().
  /// reader: who reads it, when that is not the owner (Account::read_as).
  Lease open(AccountId id, AccountId reader = 0);
  /// The most messages that an account may hold, from its next opening on; 0: any number. From any thread.
  void limit_messages(uint64_t most) { most_messages_ = most; }
  /// Drops idle handles of an account, for instance before its file is removed.
  void forget(AccountId id);
  /// Where an account's file lies: accounts/xx/ID.db.
  std::string path_of(AccountId id) const;
  /// Accounts whose log has grown enough for a checkpoint or was deleted, each once; for the background thread.
  std::vector<AccountId> take_grown();

 private:
  friend class Lease;
  std::unique_ptr<Account> take(AccountId id);
  std::unique_ptr<Account> take_idle(AccountId id);
  void set_aside(AccountId id, ino_t file, std::string_view reason);
  void give_back(std::unique_ptr<Account> account);
  void note_log(const Account& account, int grown_pages);

  std::string state_;
  size_t kept_handles_;
  const Clock& clock_;
  std::atomic<uint64_t> most_messages_ = 0;
  std::mutex mutex_;
  std::list<std::unique_ptr<Account>> idle_;  // most recently used first
  std::unordered_multimap<AccountId, std::list<std::unique_ptr<Account>>::iterator> by_id_;
  std::vector<AccountId> grown_;
};

}  // namespace postrider::store
