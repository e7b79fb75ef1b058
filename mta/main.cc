// mta: the SMTP daemon.
#include "common/daemon/daemon_main.h"
#include "mta/daemon.h"

namespace {

constexpr const char* kVersion = "mta (Postrider) 0.1.0";

constexpr const char* kHelp = R"(mta - take mail by SMTP, keep it safe, deliver it

SYNOPSIS
  mta [--config FILE] [--state DIR]
  mta --check [--config FILE] [--state DIR]
  mta --help | --version

DESCRIPTION
  mta takes mail from other servers (port 25) and from the users' programs (submission, ports 587 and 465), writes it into
  its queue, and delivers it into the mailboxes that imapd shows. Its 250 after a message means that the message is on
  disk. It runs in the foreground and writes its log to standard error, one line an event.

OPTIONS
  --config FILE   The configuration, in TOML. Without it: DIR/config.toml where --state is given and that file is there,
                  otherwise /etc/postrider/config.toml, otherwise the defaults alone. docs/configuration.md has every key.
  --state DIR     The state folder, whatever the configuration says.
  --check         Read the configuration and the certificate, say what is wrong with them, and do nothing else.
  --help          This text.
  --version       The version.

ENVIRONMENT
  POSTRIDER_SECTION_KEY
                  Any key of the configuration, for instance POSTRIDER_SMTP_PORT=2525. It comes before the file.

SIGNALS
  SIGHUP          Read the configuration and the certificate again. Sessions that are open keep what they have; ports and
                  the state folder change with a restart only.
  SIGTERM, SIGINT Take no new connections, let sessions finish their command (at most server.drain_timeout), then end.

FILES
  STATE/directory.db      domains, accounts, aliases; see mailctl
  STATE/queue.db          accepted messages that are still on their way
  STATE/spool/            bodies of large ones
  STATE/accounts/         the mailboxes, a file each
  STATE/dkim/             the keys that sign what users send; see mailctl dkim
  STATE/tls/              the certificate, self-signed unless tls.certificate and tls.key name another
  STATE/mta.pid           the number of the process; server.pid_directory puts it elsewhere

EXIT STATUS
  0  It was told to end, or --check found nothing wrong.
  1  It could not start; one line on standard error says what and where.
  2  The command line was not understood.
)";

postrider::Result<void> serve(const postrider::config::LoadOptions& options, postrider::Config config) {
  postrider::MtaDaemon daemon(options, std::move(config));
  if (auto opened = daemon.open(); !opened) return opened;
  daemon.run();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  return postrider::daemon_main(argc, argv, {"mta", kVersion, kHelp, serve});
}
