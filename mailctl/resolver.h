// DNS for a command that may wait: one question after the other, by the C library.
#pragma once

#include <netinet/in.h>
#include <resolv.h>

#include <string>
#include <vector>

#include "common/mailauth/dns.h"

namespace postrider::mailctl {

class Resolver {
 public:
  /// server: "address:port" of an IPv4 address; empty: those of /etc/resolv.conf.
  explicit Resolver(const std::string& server);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Four seconds at most. RDATA as mailauth wants it: names in it are uncompressed.
  DnsAnswer ask(const std::string& name, DnsType type);

  /// Runs evaluate(DnsLookups&), which gives an optional, and answers what it misses.
  template <class Evaluate>
  auto run(Evaluate evaluate) {
    DnsLookups lookups;
    for (;;) {
      if (auto result = evaluate(lookups)) return *result;
      const auto missing = lookups.take_missing();
      if (missing.empty()) lookups.give_up();
      for (const DnsQuestion& question : missing) {
        lookups.supply(question, std::make_shared<const DnsAnswer>(ask(question.name, question.type)));
      }
    }
  }

 private:
  struct __res_state state_ {};
  bool ready_ = false;
};

/// The addresses of a host as text; failed() of the answers is put into silent.
std::vector<std::string> addresses_of(Resolver& resolver, const std::string& host, bool& silent);
/// The hosts of MX or PTR records, lower case.
std::vector<std::string> hosts_of(const DnsAnswer& answer, DnsType type);
std::vector<std::string> texts_of(const DnsAnswer& answer);

}  // namespace postrider::mailctl
