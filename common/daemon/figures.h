// What both daemons show on their monitor, and what they are well by.
#pragma once

#include <string>

#include "common/base/metrics.h"
#include "common/daemon/monitor.h"
#include "common/net/daemon.h"
#include "common/net/server.h"

namespace postrider {

constexpr uint64_t kLeastFreeDisk = 32 << 20;  // octets; with less the daemon is not well

/// Processor, memory, descriptors of this process.
void show_process(metrics::Page& page);
/// Of the disk that holds the state folder.
void show_disk(metrics::Page& page, const std::string& state);
/// Sessions and connections by listener, and how long a loop has been held.
void show_server(metrics::Page& page, const net::Server& server);
void show_certificate(metrics::Page& page, const net::TlsStore& certificates);

/// Checks as Monitor has them. name: of the daemon.
std::string loop_trouble(const net::Server& server);
/// Writes a file of one octet into STATE/run and removes it.
std::string disk_trouble(const std::string& state, const std::string& name);

/// All of these. Everything must outlive the monitor.
void watch_daemon(Monitor& monitor, const std::string& name, const std::string& state, const net::Server& server,
                  const net::TlsStore& certificates);

}  // namespace postrider
