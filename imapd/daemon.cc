#include "imapd/daemon.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/daemon/confine.h"
#include "common/daemon/daemon_main.h"
#include "common/daemon/figures.h"

namespace postrider::imap {

ImapDaemon::ImapDaemon(config::LoadOptions options, Config config)
    : options_(std::move(options)), config_(std::move(config)), server_(loops_of(config_), limits()) {}

ImapDaemon::~ImapDaemon() = default;

net::ConnectionLimits ImapDaemon::limits() const {
  net::ConnectionLimits limits;
  limits.total = config_.imap.max_connections;
  limits.per_address = config_.imap.max_connections_per_address;
  return limits;
}

std::vector<ImapDaemon::Port> ImapDaemon::ports() const {
  return {{"imap", config_.imap.address, config_.imap.port, false},
          {"imaps", config_.imaps.address, config_.imaps.port, true}};
}

Result<void> ImapDaemon::open() {
  net::raise_descriptor_limit();
  const auto& server = config_.server;
  if (auto made = net::prepare_state_folder(server.state, server.user, server.group); !made) return made;
  auto pid_file = net::PidFile::take(pid_path(config_, "imapd"));
  if (!pid_file) return tl::unexpected(pid_file.error());
  pid_file_.emplace(std::move(*pid_file));
  if (!config_.login.pam_service.empty()) {
    auto helper = PamHelper::start(config_.login.pam_service);
    if (!helper) return tl::unexpected(helper.error());
    pam_ = std::move(*helper);
  }
  if (auto bound = bind(); !bound) return bound;
  // A key that only root may read is read now; a certificate of our own making is to be the user's.
  if (auto opened = open_certificate(false); !opened) return opened;
  if (auto dropped = net::drop_privileges(server.user, server.group); !dropped) return dropped;
  if (auto opened = open_certificate(true); !opened) return opened;
  confine_daemon(config_);
  return open_store();
}

Result<void> ImapDaemon::bind() {
  size_t open = 0;
  server_.set_proxies(proxies_of(config_));
  for (const Port& port : ports()) {
    if (port.number == 0) continue;
    auto bound = listen(server_, service_, port.address, port.number, port.implicit_tls);
    if (!bound) return tl::unexpected(bound.error());
    ++open;
  }
  if (open == 0) return failure("Every port is off (imap.port and imaps.port are 0); turn one on.");
  if (config_.metrics.imapd_port == 0) return {};
  auto monitor = Monitor::listen(config_.metrics, config_.metrics.imapd_port);
  if (!monitor) return tl::unexpected(monitor.error());
  monitor_ = std::move(*monitor);
  return {};
}

Result<void> ImapDaemon::open_certificate(bool make_missing) {
  if (tls_) return {};
  auto opened = postrider::open_certificate(config_, make_missing);
  if (!opened) return tl::unexpected(opened.error());
  tls_ = std::move(*opened);
  return {};
}

Result<void> ImapDaemon::open_store() {
  try {
    service_ = std::make_unique<ImapService>(config_, server_, tls_, clock_);
    service_->services().verified.ask_outside(pam_.get());
    // The purge of what was expunged long ago is mta's.
    maintenance_ =
        std::make_unique<store::Maintenance>(service_->services().accounts, clock_, store::Maintenance::Options());
    service_->start();
  } catch (const std::exception& error) {
    return failure(fmt::format("The store in {} cannot be opened: {}", config_.server.state, error.what()));
  }
  return {};
}

void ImapDaemon::run() {
  const net::Signals signals(
      server_.loop(0), [this] { service_->services().workers.post([this] { reload(); }); }, [this] { stop(); });
  tls_->watch(server_.loop(0));
  for (const Port& port : ports()) {
    if (port.number == 0) continue;
    log_info("listening", {{"role", port.name}, {"address", port.address}, {"port", port.number}});
  }
  if (monitor_) {
    watch_daemon(*monitor_, "imapd", config_.server.state, server_, *tls_);
    monitor_->start();
  }
  net::notify_service_manager("READY=1");
  server_.run();
  if (monitor_) monitor_->stop();
  log_info("stopped", {});
}

/// SIGHUP: for commands that begin from now on. What is bound stays bound.
void ImapDaemon::reload() {
  std::lock_guard lock(mutex_);
  if (stopping_) return;  // what it would change is going away
  net::notify_service_manager("RELOADING=1");
  auto loaded = config::load(options_);
  if (!loaded) {
    log_error("reload_failed", {{"reason", loaded.error().message}});
    net::notify_service_manager("READY=1");
    return;
  }
  const auto before = ports();
  const std::string state = config_.server.state;
  config_ = std::move(*loaded);
  if (before != ports() || state != config_.server.state) {
    log_warn("reload", {{"reason", "ports, addresses and the state folder change with a restart only"}});
    config_.server.state = state;
  }
  if (auto used = tls_->use(certificate_files(config_), config_.tls.client_ca); !used) {
    log_error("reload_failed", {{"reason", used.error().message}});
  }
  set_log_level(config_.log.level);
  set_log_format(config_.log.format_of());
  if (monitor_) monitor_->configure(config_.metrics);
  server_.set_limits(limits());
  server_.set_proxies(proxies_of(config_));
  service_->set_config(config_);
  log_info("reloaded", {});
  net::notify_service_manager("READY=1");
}

void ImapDaemon::stop() {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  stopping_ = true;
  net::notify_service_manager("STOPPING=1");
  log_info("stopping", {{"sessions", server_.sessions()}, {"grace_seconds", config_.server.drain_timeout.count()}});
  server_.stop(config_.server.drain_timeout);
}

}  // namespace postrider::imap
