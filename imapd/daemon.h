// imapd as a whole: what it is made of, in which order it comes up, and how it goes down.
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
#include "common/net/server.h"
#include "imapd/service.h"
#include "store/maintenance.h"

namespace postrider::imap {

class ImapDaemon {
 public:
  /// options: where the configuration came from, to read it again at SIGHUP.
  ImapDaemon(config::LoadOptions options, Config config);
  ~ImapDaemon();

  /// Binds, drops privileges, opens the store. The error is a sentence that says what and where; nothing half-made
  /// stays.
  Result<void> open();
  /// Until SIGTERM and the end of the last session.
  void run();

 private:
  struct Port {
    std::string_view name;
    std::string address;
    uint16_t number;
    bool implicit_tls;
    bool operator==(const Port&) const = default;
  };
  std::vector<Port> ports() const;
  net::ConnectionLimits limits() const;
  Result<void> bind();
  Result<void> open_certificate(bool make_missing);
  Result<void> open_store();
  void reload();
  void stop();

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
  std::unique_ptr<ImapService> service_;
  std::unique_ptr<store::Maintenance> maintenance_;
  std::unique_ptr<Monitor> monitor_;  // null: nobody is told
};

}  // namespace postrider::imap
