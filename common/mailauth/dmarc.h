// DMARC (RFC 7489): does the domain that a reader sees in From stand behind the message, and what does it ask for if
// not?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/mailauth/dkim_verify.h"
#include "common/mailauth/dns.h"
#include "common/mailauth/spf.h"

namespace postrider::dmarc {

constexpr size_t kMaxAuthorDomains = 4;  // different domains in From that are looked at

enum class Policy { none, quarantine, reject };
std::string_view to_string(Policy policy);

struct Record {
  Policy policy = Policy::none;
  std::optional<Policy> subdomain_policy;        // sp=
  bool strict_dkim = false, strict_spf = false;  // adkim=s, aspf=s
  unsigned percent = 100;
  std::string reports;                // rua=, as it was written
  std::string failure_options = "0";  // fo=
};
/// Whether a TXT record is a DMARC record at all (6.6.3).
bool is_record(std::string_view text);
Result<Record> parse_record(std::string_view text);

/// The shortest domain below a public suffix ("example.co.uk"); the domain itself where it is a public suffix (3.2).
std::string organizational_domain(std::string_view domain);
/// Identifier alignment (3.1).
bool is_aligned(std::string_view author, std::string_view other, bool strict);

enum class Verdict { none, pass, fail, temperror, permerror };
std::string_view to_string(Verdict verdict);

/// What is known of a domain in From.
struct AuthorPolicy {
  std::string domain;               // as From has it, A-label
  Verdict verdict = Verdict::none;  // temperror and permerror are final
  std::optional<Record> record;
  std::string record_domain;     // that has the record: the domain, or its organizational domain
  Policy policy = Policy::none;  // that holds for this domain: p= or sp=
  std::string reason;
};
/// Looks for the record of the domain, then for that of its organizational domain (6.6.3). Nothing: answers are
/// missing.
std::optional<AuthorPolicy> find_policy(const std::string& author_domain, DnsLookups& lookups);

/// What was authenticated; only what passed counts, except that a failure of DNS leaves the matter open.
struct Authenticated {
  const spf::Judgement& spf;  // of MAIL FROM, or of HELO where that is null
  const std::vector<dkim::SignatureResult>& dkim;
};
struct Judgement {
  std::string domain;
  Verdict verdict = Verdict::none;
  Policy policy = Policy::none;                  // what the domain publishes
  Policy disposition = Policy::none;             // what it asks for here, after pct=; fail and temperror only
  bool sampled_out = false;                      // pct= made the disposition a weaker one
  bool dkim_passed = false, spf_passed = false;  // with alignment
  std::string reason;
  std::string local_policy;  // for reports: why the disposition is none whatever the domain asks for; empty: it is not
};
/// dice: 0 to 99, by chance, for pct=.
Judgement judge(const AuthorPolicy& author, const Authenticated& authenticated, unsigned dice);

/// The domains of the addresses in all From fields, A-labels, each once; those that cannot be read are given as "". At
/// most one more than kMaxAuthorDomains.
std::vector<std::string> author_domains(std::string_view head);

}  // namespace postrider::dmarc
