#include "common/daemon/daemon_main.h"

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "common/base/log.h"
#include "common/config/values.h"
#include "common/net/tls.h"

namespace postrider {
namespace {

constexpr int kAllocatorPad = 256 << 10;  // octets

bool is_there(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

int fail(const DaemonProgram& program, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program.name, message.c_str());
  return 1;
}

int check(const DaemonProgram& program, const Config& config, const std::string& file) {
  if (auto certificate = open_certificate(config, false); !certificate)
    return fail(program, certificate.error().message);
  std::printf("%s: nothing is wrong\n", file.empty() ? "the defaults" : file.c_str());
  return 0;
}

}  // namespace

int daemon_main(int argc, char** argv, const DaemonProgram& program) {
  config::LoadOptions options;
  bool help = false;
  bool version = false;
  bool only_check = false;
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
    std::fprintf(stderr, "%s: %s; %s --help says more\n", program.name, error.what(), program.name);
    return 2;
  }
  if (help || version) {
    std::puts(help ? program.help : program.version);
    return 0;
  }
  set_log_program(program.name);
  // Threads that allocate and free at once must not ask the kernel for each page of it.
  ::mallopt(M_TOP_PAD, kAllocatorPad);
  ::mallopt(M_TRIM_THRESHOLD, 4 * kAllocatorPad);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    auto loaded = config::load(options);
    if (!loaded) return fail(program, loaded.error().message);
    if (only_check) return check(program, *loaded, config::file_of(options));
    set_log_level(loaded->log.level);
    set_log_format(loaded->log.format_of());
    if (auto served = program.serve(options, std::move(*loaded)); !served) return fail(program, served.error().message);
  } catch (const std::exception& error) {
    return fail(program, error.what());
  }
  return 0;
}

size_t loops_of(const Config& config) {
  if (config.server.loops > 0) return config.server.loops;
  return std::max<size_t>(1, std::thread::hardware_concurrency());
}

std::function<bool(const std::string& address)> proxies_of(const Config& config) {
  const auto networks = config::NetworkSet::parse(config.proxy.networks);  // was looked at when it was loaded
  if (!networks || networks->empty()) return nullptr;
  return [set = *networks](const std::string& address) { return set.contains(address); };
}

std::string pid_path(const Config& config, const std::string& name) {
  std::string file = name + ".pid";
  return config.server.pid_directory.empty() ? config.in_state(file) : config.server.pid_directory + "/" + file;
}

std::vector<net::CertificateFiles> certificate_files(const Config& config) {
  std::vector<net::CertificateFiles> files;
  for (auto& [certificate, key] : config.certificates()) files.push_back({certificate, key});
  return files;
}

Result<std::shared_ptr<net::TlsStore>> open_certificate(const Config& config, bool make_missing) {
  const Config::Tls& files = config.tls;
  // One of the two may be there because the other daemon is at it: make_self_signed() waits for that, and makes nothing
  // then.
  if (!is_there(files.certificate) || !is_there(files.key)) {
    if (!make_missing) return std::shared_ptr<net::TlsStore>();
    if (auto made = net::make_self_signed(files.certificate, files.key, config.server.hostname); !made) {
      return tl::unexpected(made.error());
    }
  }
  return net::TlsStore::open(certificate_files(config), config.tls.client_ca);
}

}  // namespace postrider
