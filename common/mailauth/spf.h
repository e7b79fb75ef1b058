// SPF (RFC 7208): may this client send mail in the name of this domain?
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/mailauth/dns.h"
#include "common/mailauth/ip.h"

namespace postrider::spf {

constexpr unsigned kMaxLookupTerms = 10;  // terms that ask DNS (4.6.4)
constexpr unsigned kMaxVoidLookups = 2;   // of them, those that find nothing
constexpr size_t kMaxMxNames = 10;        // hosts of an MX record set; more are an error
constexpr size_t kMaxPtrNames = 10;       // names of an address that are looked at
constexpr size_t kMaxExplanation = 400;   // octets of the domain's own words that are passed on

enum class Verdict { none, neutral, pass, fail, softfail, temperror, permerror };
/// As Authentication-Results writes it (RFC 8601 2.7.2).
std::string_view to_string(Verdict verdict);

struct Query {
  IpAddress client;
  std::string helo;      // the argument of HELO or EHLO
  std::string sender;    // MAIL FROM's address without brackets; empty: null
  std::string receiver;  // our host name, for %{r}
  UnixTime now = 0;      // for %{t}
};

struct Judgement {
  Verdict verdict = Verdict::none;
  std::string domain;       // whose record was asked for
  std::string reason;       // temperror, permerror: what is wrong
  std::string explanation;  // fail: the domain's own words, printable ASCII; empty: none
};

/// The identity of MAIL FROM; that of HELO with "postmaster" where the sender is null (2.4). Nothing: answers are
/// missing.
std::optional<Judgement> check_mail_from(const Query& query, DnsLookups& lookups);
/// The identity of HELO (2.3).
std::optional<Judgement> check_helo(const Query& query, DnsLookups& lookups);

}  // namespace postrider::spf
