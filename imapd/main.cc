// imapd: the IMAP daemon.
#include "common/daemon/daemon_main.h"
#include "imapd/daemon.h"

namespace {

constexpr const char* kVersion = "imapd (Postrider) 0.1.0";

constexpr const char* kHelp = R"(imapd - show the mailboxes to mail programs by IMAP

SYNOPSIS
  imapd [--config FILE] [--state DIR]
  imapd --check [--config FILE] [--state DIR]
  imapd --help | --version

DESCRIPTION
  imapd serves the mailboxes that mta delivers into, by IMAP4rev2 (RFC 9051), IMAP4rev1 (RFC 3501) and the extensions
  in docs/imap.md, on ports 143 (with STARTTLS) and 993 (TLS from the first octet). What a program is told is done (APPEND, COPY, MOVE, STORE, EXPUNGE
  answered OK) is on disk. Programs that wait in IDLE hear of new mail as soon as mta has it. Passwords are taken under
  TLS, or from this machine itself. It runs in the foreground and writes its log to standard error, one line an event.

OPTIONS
  --config FILE   The configuration, in TOML. Without it: DIR/config.toml where --state is given and that file is
                  there, otherwise /etc/postrider/config.toml, otherwise the defaults alone. docs/configuration.md has
                  every key.
  --state DIR     The state folder, whatever the configuration says.
  --check         Read the configuration and the certificate, say what is wrong with them, and do nothing else.
  --help          This text.
  --version       The version.

ENVIRONMENT
  POSTRIDER_SECTION_KEY
                  Any key of the configuration, for instance POSTRIDER_IMAP_PORT=2143. It comes before the file.

SIGNALS
  SIGHUP          Read the configuration and the certificate again. Sessions go on; ports and the state folder change
                  with a restart only.
  SIGTERM, SIGINT Take no new connections, let sessions finish their command (at most server.drain_timeout), say goodbye
                  to those that wait, then end.

FILES
  STATE/directory.db      domains, accounts, aliases; see mailctl
  STATE/accounts/         the mailboxes, a file each
  STATE/spool/            large messages on their way in
  STATE/run/imapd.sock    where mta says that mail has come
  STATE/tls/              the certificate, self-signed unless tls.certificate and tls.key name another
  STATE/imapd.pid         the number of the process; server.pid_directory puts it elsewhere

EXIT STATUS
  0  It was told to end, or --check found nothing wrong.
  1  It could not start; one line on standard error says what and where.
  2  The command line was not understood.
)";

postrider::Result<void> serve(const postrider::config::LoadOptions& options, postrider::Config config) {
  postrider::imap::ImapDaemon daemon(options, std::move(config));
  if (auto opened = daemon.open(); !opened) return opened;
  daemon.run();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  return postrider::daemon_main(argc, argv, {"imapd", kVersion, kHelp, serve});
}
