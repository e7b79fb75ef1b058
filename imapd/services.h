// What all sessions of the daemon share.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/net/daemon.h"
#include "common/net/worker_pool.h"
#include "common/sasl/mechanism.h"
#include "common/sasl/password.h"
#include "imapd/login_cache.h"
#include "imapd/recents.h"
#include "imapd/registry.h"
#include "store/accounts.h"
#include "store/directory_service.h"
#include "store/login_guard.h"

namespace postrider::imap {

/// A configuration that SIGHUP replaces; a session takes the current one for each command. From any thread.
class CurrentConfig {
 public:
  explicit CurrentConfig(Config config) : config_(std::make_shared<const Config>(std::move(config))) {}
  std::shared_ptr<const Config> get() const {
    std::lock_guard lock(mutex_);
    return config_;
  }
  void set(Config config) {
    auto next = std::make_shared<const Config>(std::move(config));
    std::lock_guard lock(mutex_);
    config_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Config> config_;
};

struct Services {
  CurrentConfig& config;
  const Clock& clock;
  net::WorkerPool& workers;
  net::WorkerPool& hashing;  // few threads: passwords that strangers try must not keep mail waiting
  store::Accounts& accounts;
  store::DirectoryService& directory;
  LoginCache& logins;
  sasl::VerifiedCache& verified;
  const sasl::FakeRecords& fakes;
  std::shared_ptr<net::TlsStore> tls;  // null: no TLS
  Registry& registry;
  Recents& recents;
  store::LoginGuard& guard;
  std::string spool;                                 // folder for large messages on their way in
  bool loopback_is_private = true;                   // passwords may come from this machine without TLS
  std::chrono::milliseconds failure_delay{2'000};    // from a failed login to its answer
  std::chrono::milliseconds progress_every{10'000};  // between words on how far a long command has come (RFC 9585)
};

}  // namespace postrider::imap
