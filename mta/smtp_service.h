// What all SMTP sessions of the daemon share, and the way into a session.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/net/connection.h"
#include "common/net/worker_pool.h"
#include "common/sasl/mechanism.h"
#include "common/sasl/password.h"
#include "mta/acceptor.h"
#include "mta/inbound_checks.h"
#include "mta/session_settings.h"
#include "mta/signer.h"
#include "store/accounts.h"
#include "store/directory_cache.h"
#include "store/directory_service.h"
#include "store/greylist.h"
#include "store/login_guard.h"
#include "store/rate_limits.h"

namespace postrider {

class Forwarding;
class ReportReader;

class SmtpService {
 public:
  /// Everything must outlive the service. state: the state folder. loops: of the server that calls run(). The password
  /// pool is one of its own, so that guessing passwords delays nobody's mail.
  SmtpService(const std::string& state, const Clock& clock, store::DirectoryService& directory,
              store::Accounts& accounts, net::WorkerPool& workers, net::WorkerPool& password_workers,
              Acceptor& acceptor, size_t loops);

  /// For sessions that begin from now on. From any thread.
  void configure(std::shared_ptr<const SessionSettings> settings);
  std::shared_ptr<const SessionSettings> settings() const;

  /// Before the first session; both must outlive the service.
  void authenticate_with(InboundChecks* incoming, Signer* outgoing) {
    checks = incoming;
    signer = outgoing;
  }

  void read_reports_with(ReportReader* reader) { reports = reader; }
  /// Likewise: what looks names up for sessions.
  void look_up_with(CheckDns* resolver) { dns = resolver; }

  /// Likewise: who knows whose reports come to rewritten senders.
  void restore_senders_with(Forwarding* restorer) { forwarding = restorer; }

  /// Likewise: who knows the passwords of the system's users.
  void ask_for_passwords(sasl::PasswordSource* source) { verified.ask_outside(source); }

  /// One session, to its end. loop: the number of the loop that this runs on.
  asio::awaitable<void> run(std::shared_ptr<net::Connection> connection, size_t loop, Role role);
  /// What a connection above a limit is told.
  std::string refusal(const std::string& reason) const;

  // --- for sessions
  const Clock& clock;
  store::DirectoryService& directory;
  store::Accounts& accounts;
  net::WorkerPool& workers;
  net::WorkerPool& password_workers;
  Acceptor& acceptor;
  InboundChecks* checks = nullptr;   // null: nothing is checked
  Signer* signer = nullptr;          // null: nothing is signed
  ReportReader* reports = nullptr;   // null: reports of others are mail like any other
  CheckDns* dns = nullptr;           // null: nothing is looked up
  Forwarding* forwarding = nullptr;  // null: no sender was rewritten
  store::LoginGuard guard;
  store::RateLimits rates;
  store::Greylist greylist;
  std::chrono::milliseconds failure_delay{2'000};  // from a failed login to its answer
  sasl::VerifiedCache verified;
  const sasl::FakeRecords fake_records;

  /// The answers that a loop remembers; on that loop only.
  std::shared_ptr<store::DirectoryCache> answers(size_t loop, const std::string& separators);
  uint64_t next_connection() { return connections_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  struct LoopState {
    std::string separators;
    std::shared_ptr<store::DirectoryCache> answers;
  };
  std::vector<LoopState> loops_;
  std::atomic<uint64_t> connections_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const SessionSettings> settings_;
};

}  // namespace postrider
