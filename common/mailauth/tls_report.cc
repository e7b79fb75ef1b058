#include "common/mailauth/tls_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/base/ascii.h"
#include "common/mailauth/dkim_tags.h"
#include "common/mailauth/mta_sts.h"

namespace postrider {

std::string TlsResult::key() const {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", domain, policy_type, failure, host, address, policy);
}

}  // namespace postrider

namespace postrider::tls_report {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kVersion = "TLSRPTv1";
constexpr int kMaxDepth = 10;

std::string time_text(UnixTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(time)));
}

/// "2026-01-31T00:00:00Z"; zones other than Z are read as that. 0: it is none.
UnixTime parse_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  return rest == nullptr ? 0 : ::timegm(&parts);
}

Json lines_of(std::string_view text) {
  Json lines = Json::array();
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!trim(line).empty()) lines.push_back(std::string(trim(line)));
  }
  return lines;
}

Json policy_of(const TlsResult& result) {
  Json policy = {{"policy-type", result.policy_type}, {"policy-domain", result.domain}};
  if (!result.policy.empty()) policy["policy-string"] = lines_of(result.policy);
  if (result.policy_type != "sts") return policy;
  const auto parsed = sts::parse_policy(result.policy);
  if (parsed) policy["mx-host"] = parsed->hosts;
  return policy;
}

Json failure_of(const TlsResult& result) {
  Json failure = {{"result-type", result.failure}, {"failed-session-count", result.sessions}};
  if (!result.host.empty()) failure["receiving-mx-hostname"] = result.host;
  if (!result.address.empty()) failure["receiving-ip"] = result.address;
  if (!result.detail.empty()) failure["failure-reason-code"] = result.detail;
  return failure;
}

std::string word(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? printable_word(found->get_ref<const std::string&>())
                                                     : std::string();
}

uint64_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

const Json& member(const Json& object, const char* key) {
  static const Json nothing = Json::object();
  const auto found = object.find(key);
  return found != object.end() ? *found : nothing;
}

void read_policy(const Json& entry, ReceivedReport& report, size_t& details) {
  const Json& policy = member(entry, "policy");
  const Json& summary = member(entry, "summary");
  if (report.domain.empty()) report.domain = lower(word(policy, "policy-domain"));
  report.good += number(summary, "total-successful-session-count");
  report.bad += number(summary, "total-failure-session-count");
  for (const Json& one : member(entry, "failure-details")) {
    if (!one.is_object() || details++ >= kMaxReportLines) continue;
    report.details +=
        fmt::format("{} x {}: {} at {} [{}]{}{}\n", number(one, "failed-session-count"), word(policy, "policy-type"),
                    word(one, "result-type"), word(one, "receiving-mx-hostname"), word(one, "receiving-ip"),
                    word(one, "failure-reason-code").empty() ? "" : ": ", word(one, "failure-reason-code"));
  }
}

}  // namespace

std::vector<ReportUri> uris(const DnsAnswer& answer) {
  std::vector<ReportUri> found;
  size_t records = 0;
  for (const std::string& rdata : answer.records) {
    const std::string text = parse_txt(rdata);
    const auto tags = dkim::parse_tags(text);
    if (!tags || tags->empty() || tags->front().name != "v" || tags->front().value != kVersion) continue;
    if (++records > 1) return {};  // several are as good as none (3)
    if (const auto* rua = dkim::find_tag(*tags, "rua")) found = parse_report_uris(rua->value);
  }
  return found;
}

std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups) {
  const DnsAnswer* answer = lookups.find("_smtp._tls." + domain, DnsType::txt);
  if (answer == nullptr) return std::nullopt;
  return ReportDestinations{answer->status == DnsAnswer::Status::failed, uris(*answer)};
}

std::string format(const TlsReport& report) {
  Json policies = Json::array();
  const TlsResult* last = nullptr;
  for (const TlsResult& result : report.results) {
    const bool same = last != nullptr && last->policy_type == result.policy_type && last->policy == result.policy;
    last = &result;
    if (!same) {
      policies.push_back({{"policy", policy_of(result)},
                          {"summary", {{"total-successful-session-count", 0}, {"total-failure-session-count", 0}}}});
    }
    Json& entry = policies.back();
    Json& count =
        entry["summary"][result.failure.empty() ? "total-successful-session-count" : "total-failure-session-count"];
    count = count.get<uint64_t>() + result.sessions;
    if (!result.failure.empty()) entry["failure-details"].push_back(failure_of(result));
  }
  const Json json = {
      {"organization-name", report.organization},
      {"date-range", {{"start-datetime", time_text(report.begin)}, {"end-datetime", time_text(report.end)}}},
      {"contact-info", report.contact},
      {"report-id", report.id},
      {"policies", policies}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + '\n';
}

Result<ReceivedReport> parse(std::string_view text) {
  if (text.size() > kMaxReportText) return failure("the report is too long");
  // What is nested deeper than a report ever is would only cost memory.
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
  const Json json = Json::parse(text.begin(), text.end(), shallow, false);
  if (!json.is_object()) return failure("the report is no JSON object");
  ReceivedReport report;
  report.kind = "tls";
  report.organization = word(json, "organization-name");
  report.report_id = word(json, "report-id");
  report.begin = parse_time(word(member(json, "date-range"), "start-datetime"));
  report.end = parse_time(word(member(json, "date-range"), "end-datetime"));
  if (report.organization.empty() || report.report_id.empty() || report.begin == 0 || report.end < report.begin)
    return failure("the report lacks organization-name, report-id or date-range");
  const Json& policies = member(json, "policies");
  if (!policies.is_array() || policies.size() > kMaxPolicies) return failure("the report has no list of policies");
  size_t details = 0;
  for (const Json& entry : policies) {
    if (entry.is_object()) read_policy(entry, report, details);
  }
  return report;
}

}  // namespace postrider::tls_report
