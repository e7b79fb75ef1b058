// A name server on the loopback for tests: Debian's unbound with the records that it is given, and NXDOMAIN for the
// rest.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/store/temp_state.h"

namespace postrider {

class NameServer {
 public:
  /// records: "example.test. MX 10 mx.example.test."; refused: names below which every question is refused, which a
  /// resolver takes for a failure; in_zone: lines for the signed zone, below signed.test.
  explicit NameServer(const std::vector<std::string>& records, const std::vector<std::string>& refused = {},
                      const std::vector<std::string>& in_zone = {}) {
    sign(in_zone);
    for (int tries = 0; tries < 5; ++tries) {
      start(records, refused);
      if (wait_until_it_answers()) return;
      stop();
    }
    throw std::runtime_error("unbound does not start; scripts/setup test installs it");
  }
  ~NameServer() { stop(); }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  /// A file with the key by which signed.test is validated; and one with a key that is not the zone's. Its mail host is
  /// mx.signed.test, 127.0.0.5.
  std::string trust_anchor() const { return folder_.file("right.key"); }
  std::string wrong_anchor() const { return folder_.file("wrong.key"); }

 private:
  /// Signs a small zone with keys of this moment.
  void sign(const std::vector<std::string>& lines) {
    std::string more;
    for (const std::string& line : lines) more += fmt::format(" '{}'", line);
    const std::string script = fmt::format(
        "cd {} && right=$(ldns-keygen -a ECDSAP256SHA256 -k signed.test) && wrong=$(ldns-keygen -a ECDSAP256SHA256 -k "
        "signed.test)"
        " && cp $right.key right.key && cp $wrong.key wrong.key && printf '%s\\n'"
        " 'signed.test. 300 IN SOA ns.signed.test. a.signed.test. 1 300 300 300 300' 'signed.test. 300 IN NS "
        "ns.signed.test.'"
        " 'ns.signed.test. 300 IN A 127.0.0.1' 'signed.test. 300 IN MX 10 mx.signed.test.' 'mx.signed.test. 300 IN A "
        "127.0.0.5'"
        "{} > zone && ldns-signzone -f zone.signed zone $right",
        folder_.path(), more);
    if (std::system(script.c_str()) != 0)
      throw std::runtime_error("ldns-signzone does not work; scripts/setup test installs it");
  }

  void start(const std::vector<std::string>& records, const std::vector<std::string>& refused) {
    {
      asio::io_context loop;
      port_ = asio::ip::udp::socket(loop, {asio::ip::address_v4::loopback(), 0}).local_endpoint().port();
    }
    std::string text = fmt::format(
        "server:\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n"
        " directory: \"{}\"\n interface: 127.0.0.1@{}\n access-control: 127.0.0.0/8 allow\n module-config: "
        "\"iterator\"\n"
        " num-threads: 1\n so-reuseport: no\n local-zone: \".\" static\n local-data: \"up.test. A 127.0.0.1\"\n",
        folder_.path(), port_);
    for (const std::string& record : records) text += fmt::format(" local-data: \"{}\"\n", record);
    for (const std::string& name : refused) text += fmt::format(" local-zone: \"{}\" always_refuse\n", name);
    text += fmt::format(
        " local-zone: \"signed.test.\" transparent\nauth-zone:\n name: \"signed.test.\"\n zonefile: \"{}\"\n "
        "for-downstream: yes\n"
        " for-upstream: yes\n fallback-enabled: no\nremote-control:\n control-enable: no\n",
        folder_.file("zone.signed"));
    const std::string file = folder_.file("unbound.conf");
    std::FILE* out = std::fopen(file.c_str(), "we");
    std::fputs(text.c_str(), out);
    std::fclose(out);
    const std::string log = folder_.file("log");
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ != 0) return;
    // Nothing is left behind when the test is killed; nobody waits for a pipe that it would hold open.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT, 0644);
    ::dup2(output, 1);
    ::dup2(output, 2);
    if (::getppid() == parent) ::execl("/usr/sbin/unbound", "unbound", "-d", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }

  void stop() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

  /// Asks for up.test until it answers, ten seconds at most.
  bool wait_until_it_answers() {
    asio::io_context loop;
    asio::ip::udp::socket socket(loop, {asio::ip::address_v4::loopback(), 0});
    socket.connect({asio::ip::address_v4::loopback(), port_});
    timeval each{0, 100'000};
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &each, sizeof each);
    const std::string question("\x12\x34\1\0\0\1\0\0\0\0\0\0\2up\4test\0\0\1\0\1", 25);
    for (int tries = 0; tries < 100 && ::waitpid(process_, nullptr, WNOHANG) == 0; ++tries) {
      std::string answer(512, '\0');
      std::ignore = ::send(socket.native_handle(), question.data(), question.size(), 0);
      if (::recv(socket.native_handle(), answer.data(), answer.size(), 0) > 0) return true;
      ::usleep(20'000);  // it refuses at once while nobody listens
    }
    return false;
  }

  store::TempState folder_;
  uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace postrider
