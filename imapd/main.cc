// imapd: the IMAP daemon.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "common/base/log.h"
#include "common/config/load.h"
#include "imapd/daemon.h"

namespace {

constexpr const char* kVersion = "imapd (Postrider) 0.1.0";

constexpr const char* kHelp = R"(imapd - show the mailboxes to mail programs by IMAP

SYNOPSIS
  imapd [--config FILE] [--state DIR]
  imapd --check [--config FILE] [--state DIR]
  imapd --help | --version

DESCRIPTION
  imapd serves the mailboxes that mta delivers into, by IMAP4rev1 (RFC 3501) and its usual extensions, on ports 143
  (with STARTTLS) and 993 (TLS from the first octet). What a program is told is done (APPEND, COPY, MOVE, STORE, EXPUNGE
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

int fail(const std::string& message) {
  std::fprintf(stderr, "imapd: %s\n", message.c_str());
  return 1;
}

int check(const postrider::Config& config, const std::string& file) {
  std::FILE* const certificate = std::fopen(config.tls.certificate.c_str(), "r");
  if (certificate != nullptr) {  // otherwise one will be made
    std::fclose(certificate);
    const auto tls = postrider::net::TlsStore::open(config.tls.certificate, config.tls.key);
    if (!tls) return fail(tls.error().message);
  }
  std::printf("%s: nothing is wrong\n", file.empty() ? "the defaults" : file.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace postrider;
  config::LoadOptions options;
  bool help = false, version = false, only_check = false;
  CLI::App app;
  app.set_help_flag();
  app.add_option("--config", options.file);
  app.add_option("--state", options.state);
  app.add_flag("--check", only_check);
  app.add_flag("--help,-h", help);
  app.add_flag("--version", version);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "imapd: %s; imapd --help says more\n", error.what());
    return 2;
  }
  if (help || version) {
    std::puts(help ? kHelp : kVersion);
    return 0;
  }

  set_log_program("imapd");
  std::signal(SIGPIPE, SIG_IGN);
  try {
    auto loaded = config::load(options);
    if (!loaded) return fail(loaded.error().message);
    if (only_check) return check(*loaded, config::file_of(options));
    set_log_level(loaded->log.level);
    imap::ImapDaemon daemon(options, std::move(*loaded));
    if (auto opened = daemon.open(); !opened) return fail(opened.error().message);
    daemon.run();
  } catch (const std::exception& error) {
    return fail(error.what());
  }
  return 0;
}
