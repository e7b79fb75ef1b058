// What mta and imapd do alike: the command line, the way up to the first session, the certificate.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/config/load.h"
#include "common/net/daemon.h"

namespace postrider {

struct DaemonProgram {
  const char* name;     // "mta"; must outlive the process
  const char* version;  // one line
  const char* help;     // the whole of --help
  /// Opens and runs until it is told to end. The error says why it could not begin.
  std::function<Result<void>(const config::LoadOptions& options, Config config)> serve;
};

/// Gives the exit status: 0, 1 after one line on standard error, 2 for a command line that was not understood.
int daemon_main(int argc, char** argv, const DaemonProgram& program);

/// How many loops: server.loops, or one for each core.
size_t loops_of(const Config& config);
/// Who speaks the PROXY protocol, for net::Server::set_proxies().
std::function<bool(const std::string& address)> proxies_of(const Config& config);
/// Where the process id is written.
std::string pid_path(const Config& config, const std::string& name);

/// The certificate of tls.certificate and tls.key. Where neither file is there a self-signed one is made; with
/// make_missing false nothing is opened unless both are there, and the result is null.
Result<std::shared_ptr<net::TlsStore>> open_certificate(const Config& config, bool make_missing);
/// All that the configuration names, that of server.hostname first.
std::vector<net::CertificateFiles> certificate_files(const Config& config);

}  // namespace postrider
