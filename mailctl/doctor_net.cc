// The doctor's look at the network: daemons, ports, DNS.
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/ascii.h"
#include "common/config/values.h"
#include "mailctl/doctor.h"

namespace postrider::mailctl {
namespace {

constexpr int kPatience = 3'000;  // milliseconds for a connection, and for its greeting
constexpr size_t kMaxAnswer = 64 << 10;

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

class Resolver {
 public:
  explicit Resolver(const std::string& server) {
    ready_ = ::res_ninit(&state_) == 0;
    state_.retrans = 2;
    state_.retry = 1;
    if (server.empty()) return;
    auto endpoint = config::parse_endpoint(server);
    in_addr address{};
    if (!endpoint || ::inet_pton(AF_INET, endpoint->host.c_str(), &address) != 1) return;
    state_.nscount = 1;
    state_.nsaddr_list[0].sin_family = AF_INET;
    state_.nsaddr_list[0].sin_addr = address;
    state_.nsaddr_list[0].sin_port = htons(endpoint->port);
  }
  ~Resolver() {
    if (ready_) ::res_nclose(&state_);
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  enum class Answer { found, none, unreachable };

  /// Records of one type, as text: host names of MX and PTR, addresses of A and AAAA, the octets of TXT.
  Answer ask(const std::string& name, ns_type type, std::vector<std::string>& records) {
    std::vector<unsigned char> answer(kMaxAnswer);
    const int size =
        ready_ ? ::res_nquery(&state_, name.c_str(), ns_c_in, type, answer.data(), static_cast<int>(answer.size()))
               : -1;
    if (size < 0)
      return state_.res_h_errno == HOST_NOT_FOUND || state_.res_h_errno == NO_DATA ? Answer::none : Answer::unreachable;
    ns_msg message;
    if (::ns_initparse(answer.data(), size, &message) != 0) return Answer::unreachable;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
      ns_rr record;
      if (::ns_parserr(&message, ns_s_an, i, &record) != 0 || ns_rr_type(record) != type) continue;
      records.push_back(text_of(message, record, type));
    }
    return records.empty() ? Answer::none : Answer::found;
  }

 private:
  static std::string text_of(const ns_msg& message, const ns_rr& record, ns_type type) {
    const unsigned char* data = ns_rr_rdata(record);
    const size_t size = ns_rr_rdlen(record);
    std::array<char, NS_MAXDNAME> text{};
    if (type == ns_t_a && size == 4) return ::inet_ntop(AF_INET, data, text.data(), text.size());
    if (type == ns_t_aaaa && size == 16) return ::inet_ntop(AF_INET6, data, text.data(), text.size());
    if (type == ns_t_txt) {
      std::string whole;
      for (size_t at = 0; at < size && at + 1 + data[at] <= size; at += 1 + data[at]) {
        whole.append(reinterpret_cast<const char*>(data) + at + 1, data[at]);
      }
      return whole;
    }
    const size_t skipped = type == ns_t_mx ? 2 : 0;  // the preference
    if (size <= skipped) return {};
    ::ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), data + skipped, text.data(), text.size());
    return lower(text.data());
  }

  struct __res_state state_ {};
  bool ready_ = false;
};

std::string reverse_name(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    return fmt::format("{}.{}.{}.{}.in-addr.arpa", bytes[3], bytes[2], bytes[1], bytes[0]);
  }
  std::string name;
  ::inet_pton(AF_INET6, address.c_str(), bytes.data());
  for (size_t i = bytes.size(); i-- > 0;) name += fmt::format("{:x}.{:x}.", bytes[i] & 15, bytes[i] >> 4);
  return name + "ip6.arpa";
}

/// False: DNS cannot be asked at all, and there is no use in going on.
bool check_host(Resolver& resolver, const std::string& host, Report& report) {
  if (host.find('.') == std::string::npos || host == "localhost.localdomain") {
    report.warning("host name",
                   fmt::format("\"{}\" is no full name, and other servers refuse mail from such a host.", host),
                   "Set server.hostname to a name that DNS knows, such as mail.example.org.");
    return true;
  }
  std::vector<std::string> addresses;
  const auto v4 = resolver.ask(host, ns_t_a, addresses);
  const auto v6 = resolver.ask(host, ns_t_aaaa, addresses);
  if (v4 == Resolver::Answer::unreachable && v6 == Resolver::Answer::unreachable) {
    report.warning("DNS", "No name server answers, so that nothing could be looked up.",
                   "Look at /etc/resolv.conf, or set dns.server. Mail to other servers waits meanwhile.");
    return false;
  }
  if (addresses.empty()) {
    report.warning("host name", fmt::format("DNS has no address for {}.", host), "Add an A or AAAA record for it.");
    return true;
  }
  for (const std::string& address : addresses) {
    std::vector<std::string> names;
    resolver.ask(reverse_name(address), ns_t_ptr, names);
    if (std::find(names.begin(), names.end(), lower(host)) != names.end()) {
      report.fine("host name", fmt::format("{} and {} name each other in DNS.", host, address));
    } else {
      report.warning("host name", fmt::format("The PTR record of {} does not name {}.", address, host),
                     "Ask whoever gave you the address to set it: many servers refuse mail without.");
    }
  }
  return true;
}

void check_domain(Resolver& resolver, const std::string& domain, const std::string& host, Report& report) {
  std::vector<std::string> exchangers;
  const auto answer = resolver.ask(domain, ns_t_mx, exchangers);
  if (answer == Resolver::Answer::found &&
      std::find(exchangers.begin(), exchangers.end(), lower(host)) != exchangers.end()) {
    report.fine("MX", fmt::format("Mail for {} comes here.", domain));
  } else {
    report.warning("MX",
                   fmt::format("The MX records of {} {}.", domain,
                               exchangers.empty() ? std::string("are missing")
                                                  : fmt::format("name {}, not {}", fmt::join(exchangers, ", "), host)),
                   fmt::format("Add: {}. MX 10 {}.", domain, host));
  }
  std::vector<std::string> texts;
  resolver.ask(domain, ns_t_txt, texts);
  const bool has_spf =
      std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return istarts_with(text, "v=spf1"); });
  if (!has_spf) {
    report.warning("SPF", fmt::format("{} has no SPF record, so others cannot tell its mail from forgeries.", domain),
                   fmt::format("Add: {}. TXT \"v=spf1 mx -all\"", domain));
  }
  std::vector<std::string> policies;
  if (resolver.ask("_dmarc." + domain, ns_t_txt, policies) != Resolver::Answer::found) {
    report.warning("DMARC", fmt::format("{} has no DMARC record; large providers ask for one.", domain),
                   fmt::format("Add: _dmarc.{}. TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{}\"", domain, domain));
  }
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

void check_dns(const Config& config, const std::vector<std::string>& domains, Report& report) {
  constexpr size_t kMaxAsked = 20;  // domains
  Resolver resolver(config.dns.server);
  if (!check_host(resolver, config.server.hostname, report)) return;
  for (size_t i = 0; i < std::min(domains.size(), kMaxAsked); ++i)
    check_domain(resolver, domains[i], config.server.hostname, report);
}

}  // namespace postrider::mailctl
