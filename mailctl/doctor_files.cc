// The doctor's look at files: the state folder, disk space, the certificate.
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/config/values.h"
#include "common/net/tls.h"
#include "mailctl/doctor.h"

namespace postrider::mailctl {
namespace {

constexpr uint64_t kLittleSpace = uint64_t{1} << 30;  // octets
constexpr uint64_t kHardlyAnySpace = 100ULL << 20;
constexpr double kFewFiles = 0.05;                 // of the file system's inodes
constexpr UnixTime kSoon = 21 * UnixTime{86'400};  // a certificate should have been renewed by then

bool usable(const std::string& path, int mode) {
  return ::access(path.c_str(), mode) == 0;
}

void check_file(const std::string& path, Report& report) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return;  // not made yet
  if (!usable(path, R_OK | W_OK)) {
    report.problem("permissions", fmt::format("{} cannot be written by the user {}.", path, ::geteuid()),
                   fmt::format("chown it to the user of the daemons and chmod 660 {}", path));
  }
  if ((facts.st_mode & S_IRWXO) != 0) {
    report.problem("permissions",
                   fmt::format("{} can be read or written by everybody (mode {:o}).", path, facts.st_mode & 07777),
                   fmt::format("chmod 660 {}", path));
  }
}

}  // namespace

void check_state_folder(const Config& config, Report& report) {
  const std::string& state = config.server.state;
  struct stat facts {};
  if (::stat(state.c_str(), &facts) != 0) {
    return report.problem("state folder", fmt::format("{} is not there: {}.", state, std::strerror(errno)),
                          "`mailctl domain add` makes it; or set server.state.");
  }
  if (!S_ISDIR(facts.st_mode)) {
    return report.problem("state folder", fmt::format("{} is no folder.", state), "Set server.state to a folder.");
  }
  if (!usable(state, R_OK | W_OK | X_OK)) {
    return report.problem("state folder", fmt::format("{} cannot be used by the user {}.", state, ::geteuid()),
                          "chown it to the user of the daemons (server.user).");
  }
  if ((facts.st_mode & S_IWOTH) != 0) {
    report.problem("state folder", fmt::format("Everybody can write to {}.", state),
                   fmt::format("chmod o-rwx {}", state));
  } else {
    report.fine("state folder", fmt::format("{} is there and can be used.", state));
  }
  for (const char* name : {"directory.db", "queue.db"}) check_file(config.in_state(name), report);
}

void check_disk(const Config& config, Report& report) {
  struct statvfs facts {};
  if (::statvfs(config.server.state.c_str(), &facts) != 0) return;  // said already
  const uint64_t free = uint64_t{facts.f_bavail} * facts.f_frsize;
  const std::string message = fmt::format("{} MiB are free for {}.", free >> 20, config.server.state);
  const std::string advice = "Make room: when the disk is full, mail is refused for the time being.";
  if (free < kHardlyAnySpace) {
    report.problem("disk", message, advice);
  } else if (free < kLittleSpace) {
    report.warning("disk", message, advice);
  } else {
    report.fine("disk", message);
  }
  if (facts.f_files > 0 && static_cast<double>(facts.f_favail) < kFewFiles * static_cast<double>(facts.f_files)) {
    report.warning("disk", fmt::format("Only {} more files can be made.", facts.f_favail),
                   "Remove files, or make a larger file system.");
  }
}

void check_certificate(const Config& config, UnixTime now, Report& report) {
  const std::string& file = config.tls.certificate;
  if (!usable(file, F_OK) && !usable(config.tls.key, F_OK)) {
    return report.warning("certificate", fmt::format("{} is not there yet.", file),
                          "The daemons make a self-signed one when they start.");
  }
  if (auto loaded = net::TlsServerContext::load({{file, config.tls.key}}, config.tls.client_ca); !loaded) {
    return report.problem("certificate", loaded.error().message,
                          "Without it there is no TLS, and nobody can log in from elsewhere.");
  }
  if (struct stat facts{}; ::stat(config.tls.key.c_str(), &facts) == 0 && (facts.st_mode & S_IRWXO) != 0) {
    report.problem("certificate", fmt::format("Everybody can read the key {}.", config.tls.key),
                   fmt::format("chmod 640 {}, and better get a new one", config.tls.key));
  }
  const auto facts = net::inspect_certificate(file, config.server.hostname);
  if (!facts) return report.problem("certificate", facts.error().message, "Put a PEM certificate there.");
  const std::string until = format_time(facts->not_after);
  if (facts->not_after < now) {
    report.problem("certificate", fmt::format("It expired on {}.", until),
                   fmt::format("Renew it and put it into {}.", file));
  } else if (facts->not_after - now < kSoon) {
    report.warning("certificate", fmt::format("It expires on {}.", until),
                   fmt::format("Renew it and put it into {}.", file));
  } else {
    report.fine("certificate", fmt::format("It fits its key and is valid until {}.", until));
  }
  if (!facts->covers_host) {
    report.problem("certificate", fmt::format("It is not for {}, so mail programs refuse it.", config.server.hostname),
                   "Set server.hostname to a name of the certificate, or get one for that name.");
  }
  if (facts->self_signed) {
    report.warning("certificate", "It is self-signed: mail programs ask before they trust it.",
                   "Get one from an authority (Let's Encrypt is free) and set tls.certificate and tls.key.");
  }
}

}  // namespace postrider::mailctl
