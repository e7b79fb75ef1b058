#include "mailctl/dns_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mailauth/dkim_check.h"
#include "common/mailauth/dmarc.h"
#include "common/mailauth/mta_sts.h"
#include "common/mailauth/spf.h"
#include "common/mailauth/spf_record.h"
#include "common/mailauth/tls_report.h"
#include "common/net/tls.h"
#include "mailctl/context.h"
#include "store/dkim_keys.h"

namespace postrider::mailctl {
namespace {

std::string hexadecimal(std::string_view octets) {
  std::string text;
  for (char c : octets) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

/// The hash of the certificate's key (RFC 6698 2.1.3, "3 1 1"); empty where there is no certificate.
std::string certificate_hash(const Config& config) {
  if (::access(config.tls.certificate.c_str(), R_OK) != 0) return {};
  const auto facts = net::inspect_certificate(config.tls.certificate, config.server.hostname);
  return facts ? facts->key_sha256 : std::string();
}

std::string tlsa_name(const Config& config) {
  return fmt::format("_25._tcp.{}", config.server.hostname);
}

/// The record of our own MTA-STS policy (RFC 8461 3.1).
std::string sts_text(const Config& config) {
  const auto& own = config.mta_sts;
  return "v=STSv1; id=" + sts::own_policy_id(sts::own_policy(own.mode, own.hosts, config.server.hostname, own.max_age));
}

std::string dmarc_text(const std::string& domain) {
  return fmt::format("v=DMARC1; p=quarantine; rua=mailto:postmaster@{}", domain);
}

/// The ports that mail programs look for (RFC 6186, RFC 8314).
void add_services(const Config& config, const std::string& domain, std::vector<WantedRecord>& records) {
  const auto add = [&](const char* service, uint16_t port, int priority) {
    if (port == 0) return;
    records.push_back({fmt::format("_{}._tcp.{}", service, domain), "SRV",
                       fmt::format("{} 1 {} {}.", priority, port, config.server.hostname),
                       "Mail programs set themselves up by it."});
  };
  add("submissions", config.submissions.port, 0);
  add("submission", config.submission.port, 10);
  add("imaps", config.imaps.port, 0);
  add("imap", config.imap.port, 10);
}

/// Why DNS is to hold the record of a key; empty: it need not.
std::string why_published(const std::vector<store::DkimKey>& keys, const store::DkimKey& key, UnixTime now) {
  switch (store::use_of(keys, key, now)) {
    case store::DkimUse::waits:
      return "the key that follows; mail is signed with it when its turn has come and mta has seen it here.";
    case store::DkimUse::next:
      return fmt::format("the key that follows; mail is signed with it from {} on.", format_time(key.signs_from));
    case store::DkimUse::signs:
      return "the key that its mail is signed with.";
    case store::DkimUse::old:
      return fmt::format("a former key, which mail on its way needs until {}.",
                         format_time(*store::replaced_at(keys, key, now) + store::kDkimKeptAfterUse));
    case store::DkimUse::unused:
      break;
  }
  return {};
}

void advise(Report& report, const WantedRecord& record, const std::string& message) {
  const bool text = record.type == "TXT";
  report.warning(record.type == "TXT" ? "TXT" : record.type, message,
                 fmt::format("Add: {}", text ? store::zone_line(record.name, record.value)
                                             : fmt::format("{}. IN {} {}", record.name, record.type, record.value)));
}

bool silent(const DnsAnswer& answer, const std::string& name, Report& report) {
  if (answer.status != DnsAnswer::Status::failed) return false;
  report.warning("DNS", fmt::format("Nobody answers for {}.", name),
                 "Try again later, or ask whoever runs that domain's name servers.");
  return true;
}

void check_mx(Resolver& resolver, const Config& config, const std::string& domain, Report& report) {
  const DnsAnswer answer = resolver.ask(domain, DnsType::mx);
  if (silent(answer, domain, report)) return;
  const auto hosts = hosts_of(answer, DnsType::mx);
  const std::string host = lower(config.server.hostname);
  if (std::find(hosts.begin(), hosts.end(), host) != hosts.end()) {
    return report.fine("MX", fmt::format("Mail for {} comes here.", domain));
  }
  report.warning("MX",
                 fmt::format("The MX records of {} {}.", domain,
                             hosts.empty() ? std::string("are missing")
                                           : fmt::format("name {}, not {}", fmt::join(hosts, ", "), host)),
                 fmt::format("Add: {}. IN MX 10 {}.", domain, host));
}

/// Asks SPF itself: may our addresses send in the name of the domain?
void check_spf(Resolver& resolver, const Config& config, const std::string& domain, Report& report) {
  bool nobody = false;
  auto addresses = addresses_of(resolver, config.server.hostname, nobody);
  if (addresses.empty()) addresses.push_back("192.0.2.1");  // of nobody: whether there is a record is seen all the same
  for (const std::string& text : addresses) {
    spf::Query query;
    if (auto address = IpAddress::parse(text)) query.client = *address;
    query.helo = config.server.hostname;
    query.sender = "postmaster@" + domain;
    const auto judgement = resolver.run([&](DnsLookups& lookups) { return spf::check_mail_from(query, lookups); });
    const WantedRecord wanted{domain, "TXT", "v=spf1 mx -all", {}};
    switch (judgement.verdict) {
      case spf::Verdict::none:
        return advise(report, wanted,
                      fmt::format("{} has no SPF record, so others cannot tell its mail from forgeries.", domain));
      case spf::Verdict::temperror:
      case spf::Verdict::permerror:
        report.problem("SPF", fmt::format("The SPF record of {} cannot be used: {}.", domain, judgement.reason),
                       "Correct it, or others take no notice of it.");
        return;
      case spf::Verdict::pass:
        report.fine("SPF", fmt::format("{} may send mail of {}.", text, domain));
        break;
      default:
        if (nobody || text == "192.0.2.1") return;
        report.problem(
            "SPF", fmt::format("The SPF record of {} does not name {}, from which this server sends.", domain, text),
            "Put \"mx\" or that address into it, before \"all\".");
    }
  }
}

void check_key(Resolver& resolver, const std::vector<store::DkimKey>& keys, const store::DkimKey& key, UnixTime now,
               Report& report) {
  using store::DkimUse;
  const DkimUse use = store::use_of(keys, key, now);
  const DnsAnswer answer = resolver.ask(key.record_name(), DnsType::txt);
  const auto published = dkim::is_published(key.record, answer);
  if (use == DkimUse::unused) {
    if (published != dkim::Published::yes) return;
    return report.warning("DKIM", fmt::format("The key {} of {} is out of use.", key.selector, key.domain),
                          fmt::format("Remove {} from DNS.", key.record_name()));
  }
  if (silent(answer, key.record_name(), report)) return;
  if (published == dkim::Published::yes) {
    return report.fine("DKIM", fmt::format("The key {} of {} is in DNS{}.", key.selector, key.domain,
                                           use == DkimUse::waits ? ", and signs when its turn has come" : ""));
  }
  advise(report, {key.record_name(), "TXT", key.record, {}},
         fmt::format("DNS has {} for the key {} of {}, so {}.",
                     published == dkim::Published::no ? "no record" : "another record", key.selector, key.domain,
                     use == DkimUse::waits ? "it waits, and the one before goes on signing"
                                           : "signatures made with it do not hold"));
}

void check_dkim(Resolver& resolver, const Config& config, const std::string& domain, UnixTime now, Report& report) {
  const auto keys = store::DkimKeys(config.server.state).list(domain);
  if (keys.empty()) {
    return report.warning("DKIM", fmt::format("{} has no keys, so its mail is not signed.", domain),
                          fmt::format("mailctl dkim create {}", domain));
  }
  for (const store::DkimKey& key : keys) check_key(resolver, keys, key, now, report);
}

void check_dmarc(Resolver& resolver, const std::string& domain, Report& report) {
  const auto policy = resolver.run([&](DnsLookups& lookups) { return dmarc::find_policy(domain, lookups); });
  if (policy.record) {
    return report.fine("DMARC", fmt::format("{} asks others to treat forged mail with \"{}\".", domain,
                                            dmarc::to_string(policy.policy)));
  }
  if (policy.verdict == dmarc::Verdict::temperror) {
    return report.warning("DMARC", fmt::format("DNS does not answer for the DMARC record of {}.", domain),
                          "Try again later.");
  }
  advise(report, {"_dmarc." + domain, "TXT", dmarc_text(domain), {}},
         fmt::format("{} has no DMARC record that can be used; large providers ask for one.", domain));
}

/// Others use TLS well only where they are told so, and where what they are told holds.
void check_sts(Resolver& resolver, const Config& config, const std::string& domain, Report& report) {
  const std::string name = "_mta-sts." + domain;
  const DnsAnswer answer = resolver.ask(name, DnsType::txt);
  if (silent(answer, name, report)) return;
  const auto id = sts::policy_id(answer);
  if (config.mta_sts.port == 0) {
    if (id) report.fine("MTA-STS", fmt::format("{} has a policy, which another server serves.", domain));
    return;
  }
  const std::string host = "mta-sts." + domain;
  if (!id || "v=STSv1; id=" + *id != sts_text(config)) {
    advise(report, {name, "TXT", sts_text(config), {}},
           id ? fmt::format("The record {} has another id, so others do not fetch the present policy.", name)
              : fmt::format("{} has no record that can be used, so others do not look for the policy.", name));
  } else {
    report.fine("MTA-STS", fmt::format("{} leads others to the policy of this server.", name));
  }
  bool nobody = false;
  if (addresses_of(resolver, host, nobody).empty() && !nobody)
    advise(report, {host, "CNAME", config.server.hostname + ".", {}}, fmt::format("{} has no address.", host));
  const auto files = config.certificates();
  const bool covered = std::any_of(files.begin(), files.end(), [&](const auto& one) {
    const auto facts = net::inspect_certificate(one.first, host);
    return facts && facts->covers_host && !facts->self_signed;
  });
  if (!covered) {
    report.problem("MTA-STS", fmt::format("No certificate of this server is good for {}.", host),
                   "Get one, and name it in tls.certificate or tls.more_certificates.");
  }
}

void check_tls_report(Resolver& resolver, const std::string& domain, Report& report) {
  const std::string name = "_smtp._tls." + domain;
  const DnsAnswer answer = resolver.ask(name, DnsType::txt);
  if (silent(answer, name, report)) return;
  if (!tls_report::uris(answer).empty())
    return report.fine("TLS-RPT", fmt::format("{} says where reports on TLS go.", name));
  if (answer.nothing()) return;  // it may be done without
  report.warning("TLS-RPT", fmt::format("The TLS-RPT record of {} names nothing that reports could go to.", domain),
                 fmt::format("Write: {}", store::zone_line(name, "v=TLSRPTv1; rua=mailto:postmaster@" + domain)));
}

/// Records that a domain may do without: looked at only where they are there.
void check_optional(Resolver& resolver, const Config& config, const std::string& domain, UnixTime now, Report& report) {
  const std::string hash = certificate_hash(config);
  const DnsAnswer tlsa = resolver.ask(tlsa_name(config), DnsType::tlsa);
  if (tlsa.status == DnsAnswer::Status::found && !hash.empty()) {
    const bool fits = std::any_of(tlsa.records.begin(), tlsa.records.end(),
                                  [&](const std::string& rdata) { return hexadecimal(rdata) == "030101" + hash; });
    if (fits) {
      report.fine("TLSA", fmt::format("{} names the key of the certificate.", tlsa_name(config)));
    } else {
      report.problem("TLSA",
                     fmt::format("{} does not name the key of the certificate: servers that look at it send nothing.",
                                 tlsa_name(config)),
                     fmt::format("Add: {}. IN TLSA 3 1 1 {}", tlsa_name(config), hash));
    }
  }
  for (const auto& record : wanted_records(config, domain, now)) {
    if (record.type != "SRV") continue;
    const DnsAnswer answer = resolver.ask(record.name, DnsType::srv);
    if (answer.status != DnsAnswer::Status::found) continue;
    const auto hosts = hosts_of(answer, DnsType::srv);
    if (std::find(hosts.begin(), hosts.end(), lower(config.server.hostname)) != hosts.end()) {
      report.fine("SRV", fmt::format("{} leads here.", record.name));
    } else {
      report.warning("SRV", fmt::format("{} does not lead here.", record.name),
                     fmt::format("{}. IN SRV {}", record.name, record.value));
    }
  }
}

}  // namespace

std::vector<WantedRecord> wanted_records(const Config& config, const std::string& domain, UnixTime now) {
  const std::string& host = config.server.hostname;
  std::vector<WantedRecord> records{
      {domain, "MX", fmt::format("10 {}.", host), "Mail for the domain comes to this server."},
      {domain, "TXT", "v=spf1 mx -all", "SPF: mail of the domain comes from this server and from nowhere else."},
  };
  const auto keys = store::DkimKeys(config.server.state).list(domain);
  for (const store::DkimKey& key : keys) {
    if (const std::string why = why_published(keys, key, now); !why.empty())
      records.push_back({key.record_name(), "TXT", key.record, "DKIM: " + why});
  }
  records.push_back({"_dmarc." + domain, "TXT", dmarc_text(domain),
                     "DMARC: what others are to do with forged mail, and where reports go."});
  records.push_back({"_smtp._tls." + domain, "TXT", fmt::format("v=TLSRPTv1; rua=mailto:postmaster@{}", domain),
                     "TLS-RPT: where others report failures of TLS to."});
  if (config.mta_sts.port != 0) {
    records.push_back({"_mta-sts." + domain, "TXT", sts_text(config),
                       "MTA-STS: there is a policy, which this server serves; the id changes with it."});
    records.push_back({"mta-sts." + domain, "CNAME", host + ".", "Where others fetch the policy from, by HTTPS."});
  }
  add_services(config, domain, records);
  if (const std::string hash = certificate_hash(config); !hash.empty()) {
    records.push_back(
        {tlsa_name(config), "TLSA", "3 1 1 " + hash,
         "DANE: the key of the certificate. Only where the zone is signed with DNSSEC, and the key stays when the "
         "certificate is renewed."});
  }
  return records;
}

void check_domain_dns(Resolver& resolver, const Config& config, const std::string& domain, UnixTime now,
                      Report& report) {
  check_mx(resolver, config, domain, report);
  check_spf(resolver, config, domain, report);
  check_dkim(resolver, config, domain, now, report);
  check_dmarc(resolver, domain, report);
  check_sts(resolver, config, domain, report);
  check_tls_report(resolver, domain, report);
  check_optional(resolver, config, domain, now, report);
}

}  // namespace postrider::mailctl
