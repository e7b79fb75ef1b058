#include "common/daemon/figures.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>

#include "common/base/number.h"

namespace postrider {
namespace {

using metrics::Page;
using metrics::Type;

constexpr std::chrono::seconds kLoopPatience{5};  // held for longer, a loop is stuck
const int64_t kStarted = std::time(nullptr);

double processor_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

/// Octets in memory; 0 where the system does not say.
uint64_t resident_octets() {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), &std::fclose);
  std::array<char, 128> line{};
  if (!file || std::fgets(line.data(), line.size(), file.get()) == nullptr) return 0;
  std::string_view numbers = line.data();  // pages: of the whole, resident, ...
  numbers.remove_prefix(std::min(numbers.size(), numbers.find(' ') + 1));
  return parse_number(numbers.substr(0, numbers.find(' '))).value_or(0) *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint64_t entries_of(const char* folder) {
  std::error_code error;
  uint64_t count = 0;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    ++count;
  return count;
}

}  // namespace

void show_process(Page& page) {
  page.family("process_cpu_seconds_total", Type::counter, "Processor time of this process.");
  page.value(processor_seconds());
  page.family("process_resident_memory_bytes", Type::gauge, "Memory of this process that is in use.");
  page.value(resident_octets());
  page.family("process_open_fds", Type::gauge, "Open file descriptors.");
  page.value(entries_of("/proc/self/fd"));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  page.family("process_max_fds", Type::gauge, "File descriptors that it may have open.");
  page.value(static_cast<uint64_t>(limit.rlim_cur));
  page.family("process_threads", Type::gauge, "Threads.");
  page.value(entries_of("/proc/self/task"));
  page.family("process_start_time_seconds", Type::gauge, "When it was started, as unix time.");
  page.value(kStarted);
}

void show_disk(Page& page, const std::string& state) {
  std::error_code error;
  const auto space = std::filesystem::space(state, error);
  if (error) return;
  page.family("postrider_disk_free_bytes", Type::gauge, "What is free on the disk of the state folder.");
  page.value(static_cast<uint64_t>(space.available));
  page.family("postrider_disk_size_bytes", Type::gauge, "How large that disk is.");
  page.value(static_cast<uint64_t>(space.capacity));
}

void show_server(Page& page, const net::Server& server) {
  const auto listeners = server.listeners();
  page.family("postrider_sessions", Type::gauge, "Sessions now, by listener.");
  for (const auto& one : listeners) page.value(static_cast<uint64_t>(one.sessions), "listener", one.name);
  page.family("postrider_sessions_total", Type::counter, "Sessions so far, by listener.");
  for (const auto& one : listeners) page.value(one.accepted, "listener", one.name);
  page.family("postrider_connections_refused_total", Type::counter, "Connections above a limit, by listener.");
  for (const auto& one : listeners) page.value(one.refused, "listener", one.name);
  page.family("postrider_loop_held_seconds", Type::gauge,
              "How long the watchdog has waited for the event loop that has owed it an answer for longest.");
  page.value(static_cast<double>(server.longest_held().time.count()) / 1e3);
}

void show_certificate(Page& page, const net::TlsStore& certificates) {
  page.family("postrider_certificate_expiry_seconds", Type::gauge,
              "When the first of the certificates in use expires, as unix time.");
  page.value(certificates.expires());
}

std::string loop_trouble(const net::Server& server) {
  if (server.stopping()) return "The daemon is going down.";
  const auto held = server.longest_held();
  if (held.time < kLoopPatience) return {};
  return fmt::format("Event loop {} has not answered for {} s; restart the daemon if it stays so.", held.loop,
                     held.time.count() / 1'000);
}

std::string disk_trouble(const std::string& state, const std::string& name) {
  std::error_code error;
  const auto space = std::filesystem::space(state, error);
  if (!error && space.available < kLeastFreeDisk) {
    return fmt::format("The disk of {} has {} MiB left; make room.", state, space.available >> 20);
  }
  const std::string path = state + "/run/health." + name;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
  int failed = file < 0 || ::write(file, "\n", 1) != 1 ? errno : 0;
  if (file >= 0) ::close(file);
  if (file >= 0 && ::unlink(path.c_str()) != 0 && failed == 0) failed = errno;
  if (failed == 0) return {};
  return fmt::format("{} cannot be written: {}. Look at the disk, and at the folder's owner.", state,
                     std::strerror(failed));
}

void watch_daemon(Monitor& monitor, const std::string& name, const std::string& state, const net::Server& server,
                  const net::TlsStore& certificates) {
  monitor.add(&show_process);
  monitor.add([state](Page& page) { show_disk(page, state); });
  monitor.add([&server](Page& page) { show_server(page, server); });
  monitor.add([&certificates](Page& page) { show_certificate(page, certificates); });
  monitor.add("loops", [&server] { return loop_trouble(server); });
  monitor.add("disk", [state, name] { return disk_trouble(state, name); });
}

}  // namespace postrider
