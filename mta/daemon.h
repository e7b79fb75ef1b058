// The mta as a whole: what it is made of, in which order it comes up, and how it goes down.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/load.h"
#include "common/daemon/monitor.h"
#include "common/daemon/pam_helper.h"
#include "common/net/daemon.h"
#include "common/net/hint.h"
#include "common/net/server.h"
#include "common/net/worker_pool.h"
#include "mta/dmarc_reporter.h"
#include "mta/drop_reader.h"
#include "mta/forwarding.h"
#include "mta/key_rotation.h"
#include "mta/own_mail.h"
#include "mta/policy_server.h"
#include "mta/queue_runner.h"
#include "mta/relay.h"
#include "mta/relay_route.h"
#include "mta/report_reader.h"
#include "mta/reporter.h"
#include "mta/rounds.h"
#include "mta/smtp_service.h"
#include "mta/sts_policies.h"
#include "mta/tls_reporter.h"
#include "store/accounts.h"
#include "store/directory_service.h"
#include "store/maintenance.h"

namespace postrider {

constexpr size_t kPasswordThreads = 2;  // 19 MiB each, at work

class MtaDaemon {
 public:
  /// options: where the configuration came from, to read it again at SIGHUP.
  MtaDaemon(config::LoadOptions options, Config config);
  ~MtaDaemon();

  /// Binds, drops privileges, opens the store. The error is a sentence that says what and where; nothing half-made
  /// stays.
  Result<void> open();
  /// Until SIGTERM and the end of the last session.
  void run();

 private:
  struct Port {
    Role role;
    std::string address;
    uint16_t number;
  };
  Result<void> listen();
  Result<void> listen_for_policies();
  Result<void> open_certificate(bool make_missing);
  Result<void> open_store();
  void reload();
  void stop();
  QueueRunner::Options queue_options() const;
  DropReader::Options drop_options() const;
  SystemMail system_mail() const;
  OwnMail own_mail();
  ReportIdentity report_identity();
  void start_rounds();
  void start_monitor();
  store::Maintenance::Options maintenance_options();
  net::ConnectionLimits limits() const;
  std::vector<Port> ports() const;

  const config::LoadOptions options_;
  std::mutex
      mutex_;  // of config_ and stopping_, once there are threads; a worker that reloads may be the last to let go
  Config config_;
  bool stopping_ = false;
  SystemClock clock_;
  // In the order in which they come up: sessions need what is below, and are gone before it goes.
  std::optional<net::PidFile> pid_file_;
  std::unique_ptr<PamHelper> pam_;
  net::Server server_;
  std::shared_ptr<net::TlsStore> tls_;
  std::unique_ptr<net::HintSender> hints_;
  std::unique_ptr<store::Accounts> accounts_;
  std::unique_ptr<store::DirectoryService> directory_;
  std::unique_ptr<store::Maintenance> maintenance_;
  std::unique_ptr<Forwarding> forwarding_;
  std::unique_ptr<TlsReporter> tls_reporter_;
  std::unique_ptr<DmarcReporter> dmarc_reporter_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Signer> signer_;
  std::unique_ptr<QueueRunner> queue_;
  std::unique_ptr<CheckDns> check_dns_;
  Relay* relay_ = nullptr;  // queue_'s
  std::unique_ptr<DropReader> drop_;
  std::unique_ptr<net::WorkerPool> workers_, password_workers_;
  std::unique_ptr<InboundChecks> checks_;
  std::unique_ptr<ReportReader> report_reader_;
  std::unique_ptr<SmtpService> service_;
  std::unique_ptr<PolicyServer> policy_server_;
  std::unique_ptr<Rounds> rounds_;
  // Of its loop.
  std::unique_ptr<Router> rounds_router_;
  std::unique_ptr<StsPolicies> idle_policies_;
  std::unique_ptr<KeyRotation> key_rotation_;
  std::unique_ptr<Monitor> monitor_;  // null: nobody is told
};

}  // namespace postrider
