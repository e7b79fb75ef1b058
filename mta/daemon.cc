#include "mta/daemon.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/daemon/confine.h"
#include "common/daemon/daemon_main.h"
#include "common/daemon/figures.h"
#include "mta/filter_changes.h"
#include "mta/metrics.h"
#include "mta/queue_figures.h"
#include "mta/relay.h"
#include "mta/relay_dns.h"

namespace postrider {
namespace {

/// Where imapd waits to hear that a mailbox has changed.
std::string hint_path(const Config& config) {
  return config.in_state("run/imapd.sock");
}

}  // namespace

MtaDaemon::MtaDaemon(config::LoadOptions options, Config config)
    : options_(std::move(options)), config_(std::move(config)), server_(loops_of(config_), limits()) {}

MtaDaemon::~MtaDaemon() {
  // These use all the rest.
  if (rounds_) rounds_->stop();
  if (workers_) workers_->end();
  if (password_workers_) password_workers_->end();
}

net::ConnectionLimits MtaDaemon::limits() const {
  net::ConnectionLimits limits;
  limits.total = config_.smtp.max_connections;
  limits.per_address = config_.smtp.max_connections_per_address;
  return limits;
}

std::vector<MtaDaemon::Port> MtaDaemon::ports() const {
  return {{Role::smtp, config_.smtp.address, config_.smtp.port},
          {Role::submission, config_.submission.address, config_.submission.port},
          {Role::submissions, config_.submissions.address, config_.submissions.port}};
}

SystemMail MtaDaemon::system_mail() const {
  return {config_.server.hostname, config_.address.separators, config_.system.root, is_system_user, forwarding_.get()};
}

OwnMail MtaDaemon::own_mail() {
  std::lock_guard lock(mutex_);
  auto accept = [this](store::QueuedMessage message, std::function<void(Acceptance)> complete) {
    queue_->accept(std::move(message), std::move(complete));
  };
  return {system_mail(), config_.reports.from, *directory_, *queue_, accept, *signer_, clock_};
}

ReportIdentity MtaDaemon::report_identity() {
  OwnMail mail = own_mail();
  std::lock_guard lock(mutex_);
  ReportIdentity identity{config_.server.hostname, mail.sender(), {}, {}};
  identity.sends = [reports = config_.reports](std::string_view kind) {
    return (kind == "tls" ? reports.tls : reports.dmarc) == "on";
  };
  identity.is_ours = [this](const std::string& domain) {
    return directory_->with([&](store::Directory& directory) { return directory.has_domain(domain); });
  };
  return identity;
}

/// What is done now and then, on a thread of its own.
void MtaDaemon::start_rounds() {
  const auto tls = net::TlsClientContext::make();
  auto ask = [this](std::string name, DnsType type) { return rounds_router_->resolver().ask(std::move(name), type); };
  auto post = [this, tls](std::string url, std::string type, std::string octets) {
    return rounds_router_->post(std::move(url), std::move(type), std::move(octets), tls);
  };
  auto send = [this](const OutgoingReport& report) { return own_mail().send(report); };
  rounds_->add("reports_written", Reporter::kWriteInterval, [this]() -> asio::awaitable<void> {
    reporter_->write();
    co_return;
  });
  rounds_->add("reports_sent", Reporter::kSendInterval,
               [this, ways = Reporter::Ways{ask, send, post}]() -> asio::awaitable<void> {
                 const ReportIdentity identity = report_identity();
                 co_await reporter_->send_due(identity, ways);
               });
  auto fetch = [this, tls](std::string domain) { return rounds_router_->fetch_policy(std::move(domain), tls); };
  idle_policies_ = std::make_unique<StsPolicies>(tls_reporter_->records(), *workers_, clock_, ask, fetch);
  rounds_->add("policies_kept", StsPolicies::kIdleInterval, [this] { return idle_policies_->refresh_idle(); });
  key_rotation_ = std::make_unique<KeyRotation>(config_.server.state, clock_);
  rounds_->add("keys_rotated", KeyRotation::kInterval, [this, ask] {
    std::unique_lock lock(mutex_);
    const Seconds period = config_.dkim.rotate;
    lock.unlock();
    return key_rotation_->run(period, ask);
  });
  rounds_->start();
}

DropReader::Options MtaDaemon::drop_options() const {
  DropReader::Options options;
  options.folder = config_.in_state("drop");
  options.max_message_size = config_.smtp.max_message_size;
  options.trusted_users = config_.system.trusted_users;
  options.lifetime = config_.queue.lifetime;
  options.system = system_mail();
  auto targets = config::parse_milters(config_.milter.list);  // the configuration was looked at when it was loaded
  if (!targets || targets->empty()) return options;
  DropFilterSettings filters{std::move(*targets), filter_surroundings(config_)};
  filters.surroundings.dns = check_dns_.get();
  filters.surroundings.spool_directory = queue_->spool_directory();
  options.filters = std::make_shared<const DropFilterSettings>(std::move(filters));
  return options;
}

QueueRunner::Options MtaDaemon::queue_options() const {
  QueueRunner::Options options;
  options.state = config_.server.state;
  options.system = system_mail();
  if (!config_.queue.retry.empty()) options.schedule.retry = config_.queue.retry;
  options.schedule.lifetime = config_.queue.lifetime;
  options.schedule.delay_warning = config_.queue.delay_warning;
  options.history = config_.queue.history;
  options.deliverers = config_.queue.deliverers;
  options.signer = signer_.get();
  return options;
}

/// Checkpoints of what mta writes, and, for both daemons, the purge of what was expunged long ago, and the audit.
store::Maintenance::Options MtaDaemon::maintenance_options() {
  store::Maintenance::Options options;
  options.undelete = config_.store.undelete;
  options.purge_accounts = [this] {
    return directory_->with([](store::Directory& directory) { return directory.accounts(); });
  };
  options.disk_is_low = [state = config_.server.state] { return store::disk_is_low(state); };
  options.audit_interval = config_.audit.interval;
  options.state = config_.server.state;
  options.audit.history = config_.queue.history;
  options.audit.texts = store::AuditTexts::some;
  options.audited = [this](const store::AuditCounts& counts) {
    counted::audit_findings.set(counts.findings);
    counted::audit_messages.set(counts.messages);
    counted::audit_time.set(clock_.unix_time());
  };
  return options;
}

void MtaDaemon::start_monitor() {
  if (!monitor_) return;
  counted::audit_findings.set(-1);
  watch_daemon(*monitor_, "mta", config_.server.state, server_, *tls_);
  auto figures = std::make_shared<QueueFigures>(config_.server.state, clock_);
  monitor_->add([figures](metrics::Page& page) { figures->show(page); });
  monitor_->add("queue", [this] { return queue_->trouble(); });
  monitor_->start();
}

Result<void> MtaDaemon::open() {
  net::raise_descriptor_limit();
  const auto& server = config_.server;
  if (auto made = net::prepare_state_folder(server.state, server.user, server.group); !made) return made;
  auto pid_file = net::PidFile::take(pid_path(config_, "mta"));
  if (!pid_file) return tl::unexpected(pid_file.error());
  pid_file_.emplace(std::move(*pid_file));
  if (!config_.login.pam_service.empty()) {
    auto helper = PamHelper::start(config_.login.pam_service);
    if (!helper) return tl::unexpected(helper.error());
    pam_ = std::move(*helper);
  }
  if (auto bound = listen(); !bound) return bound;
  // A key that only root may read is read now; a certificate of our own making is to be the user's.
  if (auto opened = open_certificate(false); !opened) return opened;
  if (auto dropped = net::drop_privileges(server.user, server.group); !dropped) return dropped;
  if (auto opened = open_certificate(true); !opened) return opened;
  confine_daemon(config_);
  return open_store();
}

Result<void> MtaDaemon::listen() {
  size_t open = 0;
  server_.set_proxies(proxies_of(config_));
  for (const Port& port : ports()) {
    if (port.number == 0) continue;
    net::ListenOptions options;
    options.name = to_string(port.role);
    options.address = port.address;
    options.port = port.number;
    auto session = [this, role = port.role](std::shared_ptr<net::Connection> connection, size_t loop) {
      return service_->run(std::move(connection), loop, role);
    };
    net::Server::Refusal refusal;
    if (port.role != Role::submissions)
      refusal = [this](const std::string& reason) { return service_->refusal(reason); };
    auto bound = server_.listen(options, std::move(session), std::move(refusal));
    if (!bound) return tl::unexpected(bound.error());
    ++open;
  }
  if (open == 0) return failure("Every port is off (smtp.port, submission.port, submissions.port are 0); turn one on.");
  if (config_.metrics.mta_port != 0) {
    auto monitor = Monitor::listen(config_.metrics, config_.metrics.mta_port);
    if (!monitor) return tl::unexpected(monitor.error());
    monitor_ = std::move(*monitor);
  }
  return listen_for_policies();
}

Result<void> MtaDaemon::listen_for_policies() {
  if (config_.mta_sts.port == 0) return {};
  net::ListenOptions options;
  options.name = "mta_sts";
  options.address = config_.mta_sts.address;
  options.port = config_.mta_sts.port;
  auto session = [this](std::shared_ptr<net::Connection> connection, size_t) {
    return policy_server_->run(std::move(connection));
  };
  auto bound = server_.listen(options, std::move(session), {});
  if (!bound) return tl::unexpected(bound.error());
  return {};
}

Result<void> MtaDaemon::open_certificate(bool make_missing) {
  if (tls_) return {};
  auto opened = postrider::open_certificate(config_, make_missing);
  if (!opened) return tl::unexpected(opened.error());
  tls_ = std::move(*opened);
  return {};
}

Result<void> MtaDaemon::open_store() {
  auto settings = make_settings(config_, tls_);
  if (!settings) return tl::unexpected(settings.error());
  try {
    hints_ = std::make_unique<net::HintSender>(hint_path(config_));
    accounts_ = std::make_unique<store::Accounts>(config_.server.state, config_.store.kept_handles, clock_);
    accounts_->limit_messages(config_.store.max_messages);
    directory_ = std::make_unique<store::DirectoryService>(config_.server.state, clock_);
    forwarding_ = std::make_unique<Forwarding>(config_.server.state, *directory_, clock_);
    forwarding_->configure({config_.server.hostname, config_.forward.srs == "on"});
    maintenance_ = std::make_unique<store::Maintenance>(*accounts_, clock_, maintenance_options());
    signer_ = std::make_unique<Signer>(config_.server.state, clock_);
    queue_ = std::make_unique<QueueRunner>(
        queue_options(), *accounts_, *directory_, [this](const net::Hint& hint) { hints_->send(hint); }, clock_);
    tls_reporter_ = std::make_unique<TlsReporter>(config_.server.state, clock_);
    dmarc_reporter_ = std::make_unique<DmarcReporter>(config_.server.state, clock_);
    reporter_ =
        std::make_unique<Reporter>(clock_, std::vector<ReportSource*>{tls_reporter_.get(), dmarc_reporter_.get()});
    auto relay = Relay::make(config_, *queue_, *tls_reporter_, *forwarding_, clock_);
    if (!relay) return tl::unexpected(relay.error());
    relay_ = relay->get();
    queue_->set_remote(std::move(*relay));
    workers_ = std::make_unique<net::WorkerPool>(config_.server.workers);
    password_workers_ = std::make_unique<net::WorkerPool>(kPasswordThreads);
    service_ = std::make_unique<SmtpService>(config_.server.state, clock_, *directory_, *accounts_, *workers_,
                                             *password_workers_, *queue_, server_.loops());
    check_dns_ = std::make_unique<CheckDns>([this](asio::io_context& loop) {
      auto resolver = std::make_shared<Resolver>(loop, dns_settings(config_.dns.server, config_.dns.trust_anchor));
      return [resolver](std::string name, DnsType type) { return resolver->ask(std::move(name), type); };
    });
    auto accept = [this](store::QueuedMessage message, std::function<void(Acceptance)> complete) {
      queue_->accept(std::move(message), std::move(complete));
    };
    drop_ = std::make_unique<DropReader>(drop_options(), *directory_, *queue_, accept, clock_, system_user_name);
    checks_ = std::make_unique<InboundChecks>(*check_dns_, *workers_, clock_);
    checks_->count_with(dmarc_reporter_.get());
    service_->authenticate_with(checks_.get(), signer_.get());
    report_reader_ = std::make_unique<ReportReader>(tls_reporter_->records(), *directory_, *workers_, clock_);
    service_->read_reports_with(report_reader_.get());
    service_->look_up_with(check_dns_.get());
    service_->restore_senders_with(forwarding_.get());
    service_->ask_for_passwords(pam_.get());
    auto router = router_settings(config_);
    if (!router) return tl::unexpected(router.error());
    rounds_ = std::make_unique<Rounds>();
    rounds_router_ = std::make_unique<Router>(rounds_->loop(), std::move(*router));
  } catch (const std::exception& error) {
    return failure(fmt::format("The daemon cannot begin to work in {}: {}", config_.server.state, error.what()));
  }
  service_->configure(std::move(*settings));
  policy_server_ = std::make_unique<PolicyServer>(*directory_, *workers_, tls_);
  policy_server_->configure(config_);
  return {};
}

void MtaDaemon::run() {
  const net::Signals signals(
      server_.loop(0), [this] { workers_->post([this] { reload(); }); }, [this] { stop(); });
  tls_->watch(server_.loop(0));
  // Whoever changes the queue beside us says so; the queue itself says what has changed.
  const net::HintReceiver wake(server_.loop(0), config_.in_state(store::kQueueSocket),
                               [this](const net::Hint&) { queue_->wake(); });
  queue_->start();
  drop_->start();
  start_rounds();
  for (const Port& port : ports()) {
    if (port.number == 0) continue;
    log_info("listening", {{"role", to_string(port.role)}, {"address", port.address}, {"port", port.number}});
  }
  start_monitor();
  net::notify_service_manager("READY=1");
  server_.run();
  if (monitor_) monitor_->stop();
  rounds_->stop();
  try {
    reporter_->write();
  } catch (const std::exception& error) {
    log_error("reports_lost", {{"reason", error.what()}});
  }
  drop_->stop();
  queue_->stop();
  log_info("stopped", {});
}

/// SIGHUP: for sessions that begin from now on. What is bound stays bound.
void MtaDaemon::reload() {
  std::lock_guard lock(mutex_);
  if (stopping_) return;  // what it would change is going away
  net::notify_service_manager("RELOADING=1");
  auto loaded = config::load(options_);
  auto settings = loaded ? make_settings(*loaded, tls_) : Result<std::shared_ptr<const SessionSettings>>();
  if (!loaded || !settings) {
    log_error("reload_failed", {{"reason", loaded ? settings.error().message : loaded.error().message}});
    net::notify_service_manager("READY=1");
    return;
  }
  const auto before = ports();
  const std::string state = config_.server.state;
  config_ = std::move(*loaded);
  const auto now = ports();
  const bool same_ports = std::equal(before.begin(), before.end(), now.begin(), [](const Port& a, const Port& b) {
    return a.address == b.address && a.number == b.number;
  });
  if (!same_ports || state != config_.server.state) {
    log_warn("reload", {{"reason", "ports, addresses and the state folder change with a restart only"}});
    config_.server.state = state;
  }
  if (auto used = tls_->use(certificate_files(config_), config_.tls.client_ca); !used) {
    log_error("reload_failed", {{"reason", used.error().message}});
  }
  set_log_level(config_.log.level);
  set_log_format(config_.log.format_of());
  if (monitor_) monitor_->configure(config_.metrics);
  accounts_->limit_messages(config_.store.max_messages);
  server_.set_limits(limits());
  server_.set_proxies(proxies_of(config_));
  forwarding_->configure({config_.server.hostname, config_.forward.srs == "on"});
  queue_->configure(queue_options());
  if (auto done = relay_->configure(config_); !done) log_error("reload_failed", {{"reason", done.error().message}});
  if (auto router = router_settings(config_)) {
    asio::post(rounds_->loop(), [this, settings = std::move(*router)] { rounds_router_->configure(settings); });
  }
  drop_->configure(drop_options());
  service_->configure(std::move(*settings));
  policy_server_->configure(config_);
  log_info("reloaded", {});
  net::notify_service_manager("READY=1");
}

void MtaDaemon::stop() {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  stopping_ = true;
  net::notify_service_manager("STOPPING=1");
  log_info("stopping", {{"sessions", server_.sessions()}, {"grace_seconds", config_.server.drain_timeout.count()}});
  server_.stop(config_.server.drain_timeout);
}

}  // namespace postrider
