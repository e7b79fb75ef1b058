#include "common/mailauth/spf.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mailauth/spf_macro.h"
#include "common/mailauth/spf_record.h"

namespace postrider::spf {
namespace {

constexpr int kMaxDepth = static_cast<int>(kMaxLookupTerms) + 1;  // of include and redirect; the lookups end it before

/// What ends an evaluation before its end.
struct Stop {
  bool pending = false;  // an answer is missing
  Verdict verdict = Verdict::permerror;
  std::string reason;
};

template <class T>
using Step = tl::expected<T, Stop>;

tl::unexpected<Stop> pending() {
  return tl::unexpected(Stop{true, Verdict::none, {}});
}
tl::unexpected<Stop> permanent(std::string reason) {
  return tl::unexpected(Stop{false, Verdict::permerror, std::move(reason)});
}
tl::unexpected<Stop> temporary(std::string reason) {
  return tl::unexpected(Stop{false, Verdict::temperror, std::move(reason)});
}

Verdict verdict_of(Qualifier qualifier) {
  switch (qualifier) {
    case Qualifier::pass:
      return Verdict::pass;
    case Qualifier::fail:
      return Verdict::fail;
    case Qualifier::softfail:
      return Verdict::softfail;
    case Qualifier::neutral:
      break;
  }
  return Verdict::neutral;
}

bool is_ascii(std::string_view text) {
  return !has_8bit(text);
}

/// One check_host() (RFC 7208 4) with all that it includes.
class Evaluation {
 public:
  Evaluation(const Query& query, std::string_view local_part, std::string_view domain, DnsLookups& lookups)
      : query_(query), local_part_(local_part), sender_domain_(domain), lookups_(lookups) {}

  struct Outcome {
    Verdict verdict = Verdict::none;
    std::string explanation;
  };
  Step<Outcome> check(const std::string& domain, int depth, bool explains);

 private:
  Step<std::optional<Record>> record_of(const std::string& domain);
  Step<bool> matches(const Directive& directive, const std::string& domain, int depth);
  Step<bool> includes(const std::string& target, int depth);
  Step<bool> address_matches(const std::string& name, const Directive& directive);
  Step<bool> exchanger_matches(const std::string& name, const Directive& directive);
  Step<bool> name_matches(const std::string& target);
  Step<std::vector<std::string>> validated_names();
  Step<std::string> target_of(const std::string& spec, const std::string& domain);
  Step<std::string> validated_name_for(const std::string& domain);
  Step<std::string> explain(const std::string& spec, const std::string& domain);
  Step<void> count_term();
  Step<const DnsAnswer*> ask(const std::string& name, DnsType type, bool counts_void);
  DnsType address_type() const { return query_.client.is_v6() ? DnsType::aaaa : DnsType::a; }
  MacroValues values(const std::string& domain, const std::string& validated) const {
    return {query_, local_part_, sender_domain_, domain, validated};
  }

  const Query& query_;
  const std::string_view local_part_, sender_domain_;
  DnsLookups& lookups_;
  unsigned terms_ = 0, voids_ = 0;
};

/// Nothing in the answer where there are no records; a failure ends the evaluation.
Step<const DnsAnswer*> Evaluation::ask(const std::string& name, DnsType type, bool counts_void) {
  const DnsAnswer* answer = lookups_.find(name, type);
  if (answer == nullptr) return pending();
  if (answer->status == DnsAnswer::Status::failed)
    return temporary(fmt::format("DNS failed for {}: {}", name, answer->reason));
  if (counts_void && answer->nothing() && ++voids_ > kMaxVoidLookups)
    return permanent("too many names that do not exist");
  return answer;
}

Step<void> Evaluation::count_term() {
  if (++terms_ > kMaxLookupTerms) return permanent("the SPF record needs more than 10 DNS lookups");
  return {};
}

/// The domain's one SPF record (4.4, 4.5). Nothing: it has none.
Step<std::optional<Record>> Evaluation::record_of(const std::string& domain) {
  const auto answer = ask(domain, DnsType::txt, false);
  if (!answer) return tl::unexpected(answer.error());
  std::optional<std::string> found;
  for (const std::string& rdata : (*answer)->records) {
    std::string text = parse_txt(rdata);
    if (!is_record(text)) continue;
    if (found) return permanent(fmt::format("{} has more than one SPF record", domain));
    found = std::move(text);
  }
  if (!found) return std::optional<Record>();
  auto record = parse_record(*found);
  if (!record) return permanent(fmt::format("{}: {}", domain, record.error().message));
  return std::optional<Record>(std::move(*record));
}

Step<Evaluation::Outcome> Evaluation::check(const std::string& domain, int depth, bool explains) {
  if (depth > kMaxDepth) return permanent("SPF records refer to each other without end");
  const auto found = record_of(domain);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return Outcome{};
  const Record& record = **found;
  for (const Directive& directive : record.directives) {
    const auto match = matches(directive, domain, depth);
    if (!match) return tl::unexpected(match.error());
    if (!*match) continue;
    Outcome outcome{verdict_of(directive.qualifier), {}};
    if (outcome.verdict == Verdict::fail && explains && !record.exp.empty()) {
      auto words = explain(record.exp, domain);
      if (!words) return tl::unexpected(words.error());
      outcome.explanation = std::move(*words);
    }
    return outcome;
  }
  const bool ends_itself =
      std::any_of(record.directives.begin(), record.directives.end(),
                  [](const Directive& directive) { return directive.mechanism == Mechanism::all; });
  if (record.redirect.empty() || ends_itself) return Outcome{Verdict::neutral, {}};
  if (auto counted = count_term(); !counted) return tl::unexpected(counted.error());
  const auto target = target_of(record.redirect, domain);
  if (!target) return tl::unexpected(target.error());
  auto redirected = check(*target, depth + 1, explains);
  if (redirected && redirected->verdict == Verdict::none)
    return permanent(fmt::format("{} redirects to {}, which has no SPF record", domain, *target));
  return redirected;
}

Step<bool> Evaluation::matches(const Directive& directive, const std::string& domain, int depth) {
  switch (directive.mechanism) {
    case Mechanism::all:
      return true;
    case Mechanism::ip4:
      return query_.client.in_network(*directive.network, directive.prefix4);
    case Mechanism::ip6:
      // A network that is written as IPv6 holds no IPv4 address, though it may look like one that is mapped.
      return query_.client.is_v6() && query_.client.in_network(*directive.network, directive.prefix6);
    default:
      break;
  }
  if (auto counted = count_term(); !counted) return tl::unexpected(counted.error());
  const auto target = target_of(directive.domain, domain);
  if (!target) return tl::unexpected(target.error());
  switch (directive.mechanism) {
    case Mechanism::include:
      return includes(*target, depth);
    case Mechanism::a:
      return address_matches(*target, directive);
    case Mechanism::mx:
      return exchanger_matches(*target, directive);
    case Mechanism::ptr:
      return name_matches(*target);
    default:
      break;
  }
  const auto answer = ask(*target, DnsType::a, true);  // exists, whatever the client's family (5.7)
  if (!answer) return tl::unexpected(answer.error());
  return (*answer)->status == DnsAnswer::Status::found;
}

Step<bool> Evaluation::includes(const std::string& target, int depth) {
  const auto outcome = check(target, depth + 1, false);
  if (!outcome) return tl::unexpected(outcome.error());
  if (outcome->verdict == Verdict::none)
    return permanent(fmt::format("{}, which is included, has no SPF record", target));
  return outcome->verdict == Verdict::pass;
}

Step<bool> Evaluation::address_matches(const std::string& name, const Directive& directive) {
  const auto answer = ask(name, address_type(), true);
  if (!answer) return tl::unexpected(answer.error());
  const unsigned prefix = query_.client.is_v6() ? directive.prefix6 : directive.prefix4;
  for (const std::string& rdata : (*answer)->records) {
    const auto address = IpAddress::from_rdata(rdata);
    if (address && query_.client.in_network(*address, prefix)) return true;
  }
  return false;
}

/// RDATA of MX without its preference; the root is no host.
std::optional<std::string> exchanger(std::string_view rdata) {
  return rdata.size() < 2 ? std::nullopt : parse_name(rdata.substr(2));
}

Step<bool> Evaluation::exchanger_matches(const std::string& name, const Directive& directive) {
  const auto answer = ask(name, DnsType::mx, true);
  if (!answer) return tl::unexpected(answer.error());
  if ((*answer)->records.size() > kMaxMxNames) return permanent(fmt::format("{} has more than 10 MX records", name));
  bool waits = false;
  for (const std::string& rdata : (*answer)->records) {
    const auto host = exchanger(rdata);
    if (!host) continue;
    const auto match = address_matches(*host, directive);
    if (!match && match.error().pending) {
      waits = true;  // the others are asked for meanwhile
      continue;
    }
    if (waits) continue;  // in order: what an earlier host says comes first
    if (!match || *match) return match;
  }
  if (waits) return pending();
  return false;
}

/// The names of the client whose addresses lead back to it (5.5); a failure of DNS is a name less.
Step<std::vector<std::string>> Evaluation::validated_names() {
  std::vector<std::string> names;
  const DnsAnswer* pointers = lookups_.find(query_.client.reverse_name(), DnsType::ptr);
  if (pointers == nullptr) return pending();
  bool waits = false;
  for (size_t i = 0; i < std::min(pointers->records.size(), kMaxPtrNames); ++i) {
    const auto name = parse_name(pointers->records[i]);
    if (!name) continue;
    const DnsAnswer* addresses = lookups_.find(*name, address_type());
    if (addresses == nullptr) {
      waits = true;
      continue;
    }
    const bool ours = std::any_of(addresses->records.begin(), addresses->records.end(), [&](const std::string& rdata) {
      return IpAddress::from_rdata(rdata) == query_.client;
    });
    if (ours) names.push_back(*name);
  }
  if (waits) return pending();
  return names;
}

bool is_same_or_below(std::string_view name, std::string_view domain) {
  if (iequals(name, domain)) return true;
  return name.size() > domain.size() && iequals(name.substr(name.size() - domain.size()), domain) &&
         name[name.size() - domain.size() - 1] == '.';
}

Step<bool> Evaluation::name_matches(const std::string& target) {
  const auto names = validated_names();
  if (!names) return tl::unexpected(names.error());
  return std::any_of(names->begin(), names->end(),
                     [&](const std::string& name) { return is_same_or_below(name, target); });
}

/// %{p}: the domain itself where it is a validated name, then a name below it, then any.
Step<std::string> Evaluation::validated_name_for(const std::string& domain) {
  const auto names = validated_names();
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    if (iequals(name, domain)) return name;
  }
  for (const std::string& name : *names) {
    if (is_same_or_below(name, domain)) return name;
  }
  return names->empty() ? std::string("unknown") : names->front();
}

Step<std::string> Evaluation::target_of(const std::string& spec, const std::string& domain) {
  if (spec.empty()) return domain;
  std::string validated;
  if (uses_validated_name(spec)) {
    auto name = validated_name_for(domain);
    if (!name) return name;
    validated = std::move(*name);
  }
  return expand_domain(spec, values(domain, validated));
}

/// The domain's own words (6.2). Whatever is wrong with them, there are none.
Step<std::string> Evaluation::explain(const std::string& spec, const std::string& domain) {
  const auto target = target_of(spec, domain);
  if (!target) return tl::unexpected(target.error());
  const DnsAnswer* answer = lookups_.find(*target, DnsType::txt);
  if (answer == nullptr) return pending();
  if (answer->records.size() != 1) return std::string();
  const std::string text = parse_txt(answer->records.front());
  if (!is_ascii(text) || !is_macro_string(text, true)) return std::string();
  std::string validated;
  if (uses_validated_name(text)) {
    auto name = validated_name_for(domain);
    if (!name) return name;
    validated = std::move(*name);
  }
  std::string words = expand(text, values(domain, validated));
  if (words.size() > kMaxExplanation) words.resize(kMaxExplanation);
  std::replace_if(
      words.begin(), words.end(), [](char c) { return is_ctl(c) || is_8bit(c); }, '?');
  return words;
}

/// A name that DNS can be asked for, of more than one label, and no address literal (4.3).
bool is_checkable(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (!is_askable(domain) || domain.find('.') == std::string_view::npos || domain.front() == '[') return false;
  return is_ascii(domain) && domain.find_first_of(" \t\\\"<>()[]@,;:") == std::string_view::npos;
}

std::optional<Judgement> check_host(const Query& query, std::string_view local_part, std::string_view domain,
                                    DnsLookups& lookups) {
  Judgement result;
  result.domain = lower(domain);
  if (!is_checkable(domain)) return result;
  Evaluation evaluation(query, local_part.empty() ? std::string_view("postmaster") : local_part, domain, lookups);
  auto outcome = evaluation.check(std::string(domain), 0, true);
  if (!outcome) {
    if (outcome.error().pending) return std::nullopt;
    result.verdict = outcome.error().verdict;
    result.reason = std::move(outcome.error().reason);
    return result;
  }
  result.verdict = outcome->verdict;
  result.explanation = std::move(outcome->explanation);
  return result;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "none";
    case Verdict::neutral:
      return "neutral";
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      return "fail";
    case Verdict::softfail:
      return "softfail";
    case Verdict::temperror:
      return "temperror";
    case Verdict::permerror:
      break;
  }
  return "permerror";
}

std::optional<Judgement> check_mail_from(const Query& query, DnsLookups& lookups) {
  if (query.sender.empty()) return check_helo(query, lookups);
  const size_t at = query.sender.rfind('@');
  if (at == std::string::npos) return check_host(query, {}, query.sender, lookups);
  const std::string_view sender = query.sender;
  return check_host(query, sender.substr(0, at), sender.substr(at + 1), lookups);
}

std::optional<Judgement> check_helo(const Query& query, DnsLookups& lookups) {
  return check_host(query, "postmaster", query.helo, lookups);
}

}  // namespace postrider::spf
