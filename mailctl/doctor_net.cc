// The doctor's look at the network: daemons, ports, DNS.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/ascii.h"
#include "common/mailauth/ip.h"
#include "mailctl/dns_check.h"
#include "mailctl/doctor.h"
#include "mailctl/resolver.h"

namespace postrider::mailctl {
namespace {

constexpr int kPatience = 3'000;  // milliseconds for a connection, and for its greeting

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

bool wait_for(int fd, short what) {
  pollfd waited{fd, what, 0};
  return ::poll(&waited, 1, kPatience) == 1;
}

/// Where to knock for a listener: any address of this machine stands for all.
std::string reachable(const std::string& address) {
  if (address == "0.0.0.0" || address == "::") return "127.0.0.1";
  return address;
}

/// Connects and reads what comes first; the error is why not.
Result<std::string> greeting(const std::string& address, uint16_t port, bool tls) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return failure("it is no address");
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd < 0) return failure(std::strerror(errno));
  if (::connect(socket.fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS)
    return failure(std::strerror(errno));
  if (!wait_for(socket.fd, POLLOUT)) return failure("nothing answers");
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return failure(std::strerror(error));
  if (tls) return std::string();  // says nothing before the handshake
  std::array<char, 512> text{};
  if (!wait_for(socket.fd, POLLIN)) return failure("it says nothing");
  const ssize_t got = ::recv(socket.fd, text.data(), text.size(), 0);
  return std::string(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
}

struct Port {
  std::string_view key, daemon;
  const std::string& address;
  uint16_t port;
  bool tls;
  std::string_view expected;  // how the greeting begins
};

void check_port(const Port& port, Report& report) {
  const std::string subject = fmt::format("{}", port.key);
  if (port.port == 0) return report.fine(subject, "It is turned off.");
  const std::string where = fmt::format("{} port {}", port.address, port.port);
  const auto said = greeting(reachable(port.address), port.port, port.tls);
  if (!said) {
    return report.problem(subject, fmt::format("Nobody can connect to {}: {}.", where, said.error().message),
                          fmt::format("Start {}; its log says why it does not listen.", port.daemon));
  }
  if (!port.tls && !said->starts_with(port.expected)) {
    return report.problem(subject, fmt::format("On {} answers something else than {}.", where, port.daemon),
                          fmt::format("Stop what uses that port (`ss -ltnp`), or change {}.port.", port.key));
  }
  report.fine(subject, fmt::format("{} answers on {}.", port.daemon, where));
}

// --- DNS

/// False: DNS cannot be asked at all, and there is no use in going on.
bool check_host(Resolver& resolver, const std::string& host, Report& report) {
  if (host.find('.') == std::string::npos || host == "localhost.localdomain") {
    report.warning("host name",
                   fmt::format("\"{}\" is no full name, and other servers refuse mail from such a host.", host),
                   "Set server.hostname to a name that DNS knows, such as mail.example.org.");
    return true;
  }
  bool silent = false;
  const std::vector<std::string> addresses = addresses_of(resolver, host, silent);
  if (silent) {
    report.warning("DNS", "No name server answers, so that nothing could be looked up.",
                   "Look at /etc/resolv.conf, or set dns.server. Mail to other servers waits meanwhile.");
    return false;
  }
  if (addresses.empty()) {
    report.warning("host name", fmt::format("DNS has no address for {}.", host), "Add an A or AAAA record for it.");
    return true;
  }
  for (const std::string& address : addresses) {
    const auto ip = IpAddress::parse(address);
    const auto names =
        ip ? hosts_of(resolver.ask(ip->reverse_name(), DnsType::ptr), DnsType::ptr) : std::vector<std::string>();
    if (std::find(names.begin(), names.end(), lower(host)) != names.end()) {
      report.fine("host name", fmt::format("{} and {} name each other in DNS.", host, address));
    } else {
      report.warning("host name", fmt::format("The PTR record of {} does not name {}.", address, host),
                     "Ask whoever gave you the address to set it: many servers refuse mail without.");
    }
  }
  return true;
}

}  // namespace

void check_daemons(const Config& config, Report& report) {
  for (const char* daemon : {"mta", "imapd"}) {
    const std::string path = fmt::format("{}/{}.pid", config.server.pid_directory, daemon);
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const bool locked = file.fd >= 0 && ::flock(file.fd, LOCK_SH | LOCK_NB) != 0;
    if (!locked) {
      report.problem(daemon, "It does not run.", fmt::format("Start {}.", daemon));
      continue;
    }
    std::array<char, 32> text{};
    const ssize_t size = ::read(file.fd, text.data(), text.size() - 1);
    report.fine(daemon, fmt::format("It runs as process {}.",
                                    trim(std::string_view(text.data(), size > 0 ? static_cast<size_t>(size) : 0))));
  }
}

void check_ports(const Config& config, Report& report) {
  const Port ports[] = {
      {"smtp", "mta", config.smtp.address, config.smtp.port, false, "220"},
      {"submission", "mta", config.submission.address, config.submission.port, false, "220"},
      {"submissions", "mta", config.submissions.address, config.submissions.port, true, ""},
      {"imap", "imapd", config.imap.address, config.imap.port, false, "* OK"},
      {"imaps", "imapd", config.imaps.address, config.imaps.port, true, ""},
  };
  for (const Port& port : ports) check_port(port, report);
}

void check_dns(const Config& config, const std::vector<std::string>& domains, UnixTime now, Report& report) {
  constexpr size_t kMaxAsked = 20;  // domains
  Resolver resolver(config.dns.server);
  if (!check_host(resolver, config.server.hostname, report)) return;
  for (size_t i = 0; i < std::min(domains.size(), kMaxAsked); ++i)
    check_domain_dns(resolver, config, domains[i], now, report);
}

}  // namespace postrider::mailctl
