// Logins that were looked up before, so that a client that comes again costs no reading of the directory. From any
// thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "store/directory.h"

namespace postrider::imap {

constexpr size_t kMaxCachedLogins = 10'000;

class LoginCache {
 public:
  /// version: DirectoryService::version() now; an answer of another version is none.
  std::optional<store::Directory::Login> find(uint64_t version, const std::string& user) const {
    std::lock_guard lock(mutex_);
    if (version != version_) return std::nullopt;
    auto found = logins_.find(user);
    if (found == logins_.end()) return std::nullopt;
    return found->second;
  }

  /// version: from before the directory was asked, so that what changes meanwhile makes the answer an old one.
  void put(uint64_t version, const std::string& user, const store::Directory::Login& login) {
    std::lock_guard lock(mutex_);
    if (version != version_ || logins_.size() >= kMaxCachedLogins) logins_.clear();
    version_ = version;
    logins_.insert_or_assign(user, login);
  }

  /// The names mean other accounts from now on (login.default_domain).
  void clear() {
    std::lock_guard lock(mutex_);
    logins_.clear();
  }

 private:
  mutable std::mutex mutex_;
  uint64_t version_ = 0;
  std::unordered_map<std::string, store::Directory::Login> logins_;
};

}  // namespace postrider::imap
