#include "common/mailauth/dmarc_report.h"

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/mailauth/dkim_tags.h"

namespace postrider {

std::string DmarcResult::key() const {
  return fmt::format("{}\n{}\n{}\n{} {} {} {}\n{}\n{}\n{}\n{}\n{}", domain, policy, source, disposition, dkim, spf,
                     reason, comment, header_from, envelope_from, spf_result, signatures);
}

}  // namespace postrider

namespace postrider::dmarc_report {
namespace {

/// Text that stands between tags. Words were made printable before.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string element(std::string_view name, std::string_view text) {
  return fmt::format("<{0}>{1}</{0}>", name, escaped(text));
}

/// The words of a line, of which there are always three.
std::array<std::string_view, 3> three_words(std::string_view line) {
  const size_t first = std::min(line.find(' '), line.size());
  const size_t second = std::min(line.find(' ', first + 1), line.size());
  return {line.substr(0, first), line.substr(std::min(first + 1, line.size()), second - std::min(first + 1, second)),
          line.substr(std::min(second + 1, line.size()))};
}

/// No blanks: it is one word of a line.
std::string one_word(std::string_view text) {
  std::string word = printable_word(text);
  std::replace(word.begin(), word.end(), ' ', '?');
  return word;
}

std::string format_policy(const ReportDay& about) {
  std::string out = "  <policy_published>\n    " + element("domain", about.domain) + '\n';
  if (const auto tags = dkim::parse_tags(about.policy)) {
    for (const dkim::Tag& tag : *tags) out += "    " + element(tag.name, tag.value) + '\n';
  }
  return out + "  </policy_published>\n";
}

std::string format_record(const DmarcResult& result) {
  std::string out = "  <record>\n    <row>\n      " + element("source_ip", result.source) + "\n      " +
                    element("count", std::to_string(result.messages)) + "\n      <policy_evaluated>\n        " +
                    element("disposition", result.disposition) + "\n        " + element("dkim", result.dkim) +
                    "\n        " + element("spf", result.spf) + '\n';
  if (!result.reason.empty()) {
    out += "        <reason>" + element("type", result.reason) + element("comment", result.comment) + "</reason>\n";
  }
  out += "      </policy_evaluated>\n    </row>\n    <identifiers>\n      " +
         element("envelope_from", result.envelope_from) + "\n      " + element("header_from", result.header_from) +
         "\n    </identifiers>\n    <auth_results>\n";
  std::string_view rest = result.signatures;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto [domain, selector, verdict] = three_words(line);
    out += "      <dkim>" + element("domain", domain) + element("selector", selector) + element("result", verdict) +
           "</dkim>\n";
  }
  const auto [scope, domain, verdict] = three_words(result.spf_result);
  out += "      <spf>" + element("domain", domain) + element("scope", scope) + element("result", verdict) +
         "</spf>\n    </auth_results>\n  </record>\n";
  return out;
}

/// Whether the host of a mailbox takes reports about the domain (7.1), and where it wants them instead.
enum class Consent { given, refused, waiting, failed };
Consent ask_host(const std::string& domain, ReportUri& uri, DnsLookups& lookups) {
  const std::string host = uri.mailbox.substr(uri.mailbox.rfind('@') + 1);
  if (dmarc::organizational_domain(host) == dmarc::organizational_domain(domain)) return Consent::given;
  const DnsAnswer* answer = lookups.find(fmt::format("{}._report._dmarc.{}", domain, host), DnsType::txt);
  if (answer == nullptr) return Consent::waiting;
  if (answer->status == DnsAnswer::Status::failed) return Consent::failed;
  for (const std::string& rdata : answer->records) {
    const std::string text = parse_txt(rdata);
    const auto tags = dkim::parse_tags(text);
    if (!dmarc::is_record(text) || !tags) continue;
    if (const auto* rua = dkim::find_tag(*tags, "rua")) {
      const auto others = parse_report_uris(rua->value);
      // Only to another mailbox of the same host.
      if (others.size() == 1 && iequals(others.front().mailbox.substr(others.front().mailbox.rfind('@') + 1), host))
        uri = others.front();
    }
    return Consent::given;
  }
  return Consent::refused;
}

}  // namespace

std::string policy_text(const dmarc::Record& record) {
  // In the order of RFC 7489's schema.
  return fmt::format("adkim={}; aspf={}; p={}; sp={}; pct={}; fo={}", record.strict_dkim ? 's' : 'r',
                     record.strict_spf ? 's' : 'r', dmarc::to_string(record.policy),
                     dmarc::to_string(record.subdomain_policy.value_or(record.policy)), record.percent,
                     record.failure_options);
}

DmarcResult result_of(const Message& message, const dmarc::AuthorPolicy& author, const dmarc::Judgement& judgement,
                      const dmarc::Authenticated& authenticated) {
  DmarcResult result;
  result.domain = author.record_domain;
  result.policy = policy_text(*author.record);
  result.source = message.source;
  result.disposition = dmarc::to_string(message.disposition);
  result.dkim = judgement.dkim_passed ? "pass" : "fail";
  result.spf = judgement.spf_passed ? "pass" : "fail";
  result.reason = message.reason;
  result.comment = printable_word(message.comment);
  result.header_from = printable_word(author.domain);
  result.envelope_from = printable_word(message.envelope_from);
  for (const dkim::SignatureResult& signature : authenticated.dkim) {
    if (signature.domain.empty()) continue;
    result.signatures += fmt::format("{} {} {}\n", one_word(signature.domain), one_word(signature.selector),
                                     dkim::to_string(signature.verdict));
  }
  result.spf_result = fmt::format("{} {} {}", message.envelope_from.empty() ? "helo" : "mfrom",
                                  one_word(authenticated.spf.domain), spf::to_string(authenticated.spf.verdict));
  return result;
}

std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups) {
  const auto policy = dmarc::find_policy(domain, lookups);
  if (!policy) return std::nullopt;
  ReportDestinations found;
  found.failed = policy->verdict == dmarc::Verdict::temperror;
  if (!policy->record || policy->record_domain != domain) return found;
  bool waiting = false;
  for (ReportUri& uri : parse_report_uris(policy->record->reports)) {
    if (uri.mailbox.empty()) continue;
    const Consent consent = ask_host(domain, uri, lookups);
    waiting = waiting || consent == Consent::waiting;
    found.failed = found.failed || consent == Consent::failed;
    if (consent == Consent::given) found.uris.push_back(std::move(uri));
  }
  if (waiting) return std::nullopt;
  return found;
}

std::string format(const DmarcReport& report) {
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n  <version>1.0</version>\n  <report_metadata>\n    " +
      element("org_name", report.organization) + "\n    " + element("email", report.contact) + "\n    " +
      element("report_id", report.id) + "\n    <date_range>" + element("begin", std::to_string(report.begin)) +
      element("end", std::to_string(report.end)) + "</date_range>\n  </report_metadata>\n" +
      format_policy(report.about);
  for (const DmarcResult& result : report.results) out += format_record(result);
  return out + "</feedback>\n";
}

}  // namespace postrider::dmarc_report
