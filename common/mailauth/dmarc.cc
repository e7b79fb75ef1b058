#include "common/mailauth/dmarc.h"

#include <libpsl.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/address.h"
#include "common/mail/address_list.h"
#include "common/mail/header.h"
#include "common/mailauth/dkim_tags.h"

namespace postrider::dmarc {
namespace {

using dkim::find_tag;

constexpr size_t kMaxFailureOptions = 16;  // octets of fo=

std::optional<Policy> parse_policy(std::string_view text) {
  for (Policy policy : {Policy::none, Policy::quarantine, Policy::reject}) {
    if (iequals(text, to_string(policy))) return policy;
  }
  return std::nullopt;
}

/// What Debian keeps up to date, or what the library was built with. Lives as long as the process.
const psl_ctx_t* public_suffixes() {
  static const psl_ctx_t* const list = psl_latest(nullptr);
  return list;
}

struct Found {
  enum class Kind { record, nothing, waiting, failed } kind = Kind::nothing;
  Record record;
};

/// Several records, and those that cannot be understood, are as good as none (6.6.3).
Found find_record(const std::string& domain, DnsLookups& lookups) {
  const DnsAnswer* answer = lookups.find("_dmarc." + domain, DnsType::txt);
  if (answer == nullptr) return {Found::Kind::waiting, {}};
  if (answer->status == DnsAnswer::Status::failed) return {Found::Kind::failed, {}};
  std::vector<std::string> texts;
  for (const std::string& rdata : answer->records) {
    std::string text = parse_txt(rdata);
    if (is_record(text)) texts.push_back(std::move(text));
  }
  if (texts.size() != 1) return {};
  auto record = parse_record(texts.front());
  if (!record) return {};
  return {Found::Kind::record, *record};
}

Policy weaker(Policy policy) {
  return policy == Policy::reject ? Policy::quarantine : Policy::none;
}

}  // namespace

std::string_view to_string(Policy policy) {
  switch (policy) {
    case Policy::none:
      return "none";
    case Policy::quarantine:
      return "quarantine";
    case Policy::reject:
      break;
  }
  return "reject";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "none";
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      return "fail";
    case Verdict::temperror:
      return "temperror";
    case Verdict::permerror:
      break;
  }
  return "permerror";
}

bool is_record(std::string_view text) {
  const size_t end = std::min(text.find(';'), text.size());
  const std::string_view first = text.substr(0, end);
  const size_t equals = first.find('=');
  return equals != std::string_view::npos && trim(first.substr(0, equals)) == "v" &&
         trim(first.substr(equals + 1)) == "DMARC1";
}

Result<Record> parse_record(std::string_view text) {
  const auto tags = dkim::parse_tags(text);
  if (!tags) return tl::unexpected(tags.error());
  Record record;
  const auto* policy = find_tag(*tags, "p");
  const auto parsed = policy == nullptr ? std::nullopt : parse_policy(policy->value);
  const auto* subdomains = find_tag(*tags, "sp");
  const bool bad_subdomains = subdomains != nullptr && !parse_policy(subdomains->value);
  if (const auto* reports = find_tag(*tags, "rua")) record.reports = reports->value;
  if (!parsed || bad_subdomains) {
    // Whoever asks for reports gets them: then the policy is taken to be none (6.6.3).
    if (record.reports.empty()) return failure("p= is no policy");
    return record;
  }
  record.policy = *parsed;
  if (subdomains != nullptr) record.subdomain_policy = parse_policy(subdomains->value);
  const auto is_strict = [&](std::string_view name) {
    const auto* tag = find_tag(*tags, name);
    return tag != nullptr && iequals(tag->value, "s");
  };
  record.strict_dkim = is_strict("adkim");
  record.strict_spf = is_strict("aspf");
  if (const auto* percent = find_tag(*tags, "pct")) {
    const auto number = parse_number<unsigned>(percent->value);
    if (number && *number <= 100) record.percent = *number;
  }
  const auto* options = find_tag(*tags, "fo");
  const auto is_option = [](char c) { return c == '0' || c == '1' || c == 'd' || c == 's' || c == ':'; };
  if (options != nullptr && options->value.size() <= kMaxFailureOptions &&
      std::all_of(options->value.begin(), options->value.end(), is_option)) {
    record.failure_options = options->value;
  }
  return record;
}

std::string organizational_domain(std::string_view domain) {
  const std::string name = lower(domain);
  const char* found = public_suffixes() == nullptr ? nullptr : psl_registrable_domain(public_suffixes(), name.c_str());
  return found == nullptr ? name : std::string(found);
}

bool is_aligned(std::string_view author, std::string_view other, bool strict) {
  if (author.empty() || other.empty()) return false;
  if (iequals(author, other)) return true;
  return !strict && organizational_domain(author) == organizational_domain(other);
}

std::optional<AuthorPolicy> find_policy(const std::string& author_domain, DnsLookups& lookups) {
  AuthorPolicy found;
  found.domain = author_domain;
  if (author_domain.empty() || author_domain.front() == '[') {
    found.verdict = Verdict::permerror;
    found.reason = "From has no domain that can be read";
    return found;
  }
  Found record = find_record(author_domain, lookups);
  const std::string organization = organizational_domain(author_domain);
  bool inherited = false;
  if (record.kind == Found::Kind::nothing && organization != author_domain) {
    record = find_record(organization, lookups);
    inherited = true;
  }
  if (record.kind == Found::Kind::waiting) return std::nullopt;
  if (record.kind == Found::Kind::failed) {
    found.verdict = Verdict::temperror;
    found.reason = "DNS does not answer for the policy";
  } else if (record.kind == Found::Kind::record) {
    found.policy = inherited ? record.record.subdomain_policy.value_or(record.record.policy) : record.record.policy;
    found.record = record.record;
    found.record_domain = inherited ? organization : author_domain;
  }
  return found;
}

Judgement judge(const AuthorPolicy& author, const Authenticated& authenticated, unsigned dice) {
  Judgement judgement;
  judgement.domain = author.domain;
  judgement.verdict = author.verdict;
  judgement.policy = author.policy;
  judgement.reason = author.reason;
  if (!author.record) return judgement;
  const Record& record = *author.record;
  const bool aligned_spf = is_aligned(author.domain, authenticated.spf.domain, record.strict_spf);
  judgement.spf_passed = aligned_spf && authenticated.spf.verdict == spf::Verdict::pass;
  bool open = aligned_spf && authenticated.spf.verdict == spf::Verdict::temperror;
  for (const dkim::SignatureResult& signature : authenticated.dkim) {
    if (!is_aligned(author.domain, signature.domain, record.strict_dkim)) continue;
    judgement.dkim_passed = judgement.dkim_passed || signature.verdict == dkim::Verdict::pass;
    open = open || signature.verdict == dkim::Verdict::temperror;
  }
  if (judgement.spf_passed || judgement.dkim_passed) {
    judgement.verdict = Verdict::pass;
    return judgement;
  }
  judgement.verdict = open ? Verdict::temperror : Verdict::fail;
  if (open) judgement.reason = "DNS did not answer for what could have passed";
  judgement.sampled_out = dice >= record.percent && author.policy != Policy::none;
  judgement.disposition = judgement.sampled_out ? weaker(author.policy) : author.policy;
  return judgement;
}

std::vector<std::string> author_domains(std::string_view head) {
  std::vector<std::string> domains;
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (!iequals(field->name, "From")) continue;
    for (const ListedAddress& address : parse_address_list(field->value, 100)) {
      if (address.kind != ListedAddress::Kind::mailbox) continue;
      std::string domain = normalize_domain(address.host).value_or(std::string());
      if (std::find(domains.begin(), domains.end(), domain) != domains.end()) continue;
      domains.push_back(std::move(domain));
      if (domains.size() > kMaxAuthorDomains) return domains;
    }
  }
  return domains;
}

}  // namespace postrider::dmarc
