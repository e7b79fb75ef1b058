#include "mta/client_checks.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/mailauth/ip.h"

namespace postrider {
namespace {

namespace status = smtp::status;
using ReverseDns = ClientFacts::ReverseDns;
using Answers = std::vector<CheckDns::Answer>;

/// What is at hand, and the rest from DNS, all at once.
asio::awaitable<Answers> ask(CheckDns& dns, std::vector<DnsQuestion> questions, CheckDns::Steady::time_point deadline) {
  Answers answers(questions.size());
  std::vector<DnsQuestion> missing;
  for (size_t i = 0; i < questions.size(); ++i) {
    answers[i] = dns.kept(questions[i]);
    if (answers[i] == nullptr) missing.push_back(questions[i]);
  }
  if (missing.empty()) co_return answers;
  Answers found = co_await dns.ask(std::move(missing), deadline);
  size_t next = 0;
  for (auto& answer : answers) {
    if (answer == nullptr && next < found.size()) answer = found[next++];
  }
  co_return answers;
}

bool failed(const CheckDns::Answer& answer) {
  return answer == nullptr || answer->status == DnsAnswer::Status::failed;
}

/// "1.2.0.192" for an address list (RFC 5782 2.1, 2.4).
std::string reversed(const IpAddress& address) {
  std::string name = address.reverse_name();
  name.resize(name.rfind('.', name.rfind('.') - 1));  // without in-addr.arpa or ip6.arpa
  return name;
}

std::string_view word(ReverseDns result) {
  switch (result) {
    case ReverseDns::pass:
      return "pass";
    case ReverseDns::temperror:
      return "temperror";
    default:
      return "fail";
  }
}

std::string printable(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return is_ctl(c) || is_8bit(c) || c == '"' || c == '\\'; }, '?');
  return out;
}

void read_listings(const std::vector<config::ListZone>& zones, const Answers& answers, size_t first,
                   ClientFacts& facts) {
  for (size_t i = 0; i < zones.size(); ++i) {
    const auto& codes = answers[first + 2 * i];
    const auto& words = answers[first + 2 * i + 1];
    if (failed(codes)) continue;
    const bool listed = std::any_of(codes->records.begin(), codes->records.end(), [&](const std::string& rdata) {
      const auto code = IpAddress::from_rdata(rdata);
      return code && !code->is_v6() && zones[i].codes.contains(code->to_string());
    });
    if (!listed) continue;
    std::string reason;
    if (!failed(words) && !words->records.empty()) reason = parse_txt(words->records.front());
    facts.listings.push_back({zones[i].name, printable(reason, kMaxListingReason)});
  }
}

/// An address that the administrator lets in whatever lists say: its confirmed name is within one of these domains.
bool is_allowed(const ClientFacts& facts, const std::vector<std::string>& domains) {
  return std::any_of(domains.begin(), domains.end(), [&](const std::string& domain) {
    if (iequals(facts.name, domain)) return true;
    return facts.name.size() > domain.size() && iequals(facts.name.substr(facts.name.size() - domain.size()), domain) &&
           facts.name[facts.name.size() - domain.size() - 1] == '.';
  });
}

void judge_listings(const SessionSettings& settings, const std::string& address, ClientFacts& facts) {
  for (const ClientFacts::Listing& listing : facts.listings) {
    std::string clause = fmt::format("x-dnsbl=fail policy.zone={}", listing.zone);
    if (!listing.reason.empty()) clause += fmt::format(" reason=\"{}\"", listing.reason);
    facts.results.push_back(std::move(clause));
    append_format(facts.summary, " dnsbl={}", listing.zone);
  }
  const Config::Dnsbl& config = settings.config.dnsbl;
  if (facts.listings.empty() || facts.listings.size() < config.threshold || is_allowed(facts, config.allow)) return;
  if (config.action == "junk") {
    facts.junk = true;
  } else if (config.action == "reject") {
    const ClientFacts::Listing& first = facts.listings.front();
    std::string text = fmt::format("{} is on the list of {}", address, first.zone);
    if (!first.reason.empty()) text += fmt::format(", which says: {}", first.reason);
    facts.refusal = smtp::Reply(550, status::kNotAuthorized, std::move(text));
  }
}

void judge_reverse_dns(const SessionSettings& settings, const std::string& address, ClientFacts& facts) {
  if (facts.reverse_dns == ReverseDns::unchecked) return;
  std::string clause = fmt::format("iprev={} policy.iprev={}", word(facts.reverse_dns), address);
  if (address.find(':') != std::string::npos)
    clause = fmt::format("iprev={} policy.iprev=\"{}\"", word(facts.reverse_dns), address);
  if (!facts.name.empty()) clause += fmt::format(" ({})", facts.name);
  facts.results.push_back(std::move(clause));
  append_format(facts.summary, " iprev={}", word(facts.reverse_dns));
  if (settings.config.checks.reverse_dns != "reject" || facts.refusal) return;
  if (facts.reverse_dns == ReverseDns::temperror) {
    facts.refusal = smtp::Reply(451, status::kReverseDnsUnknown,
                                fmt::format("DNS does not tell at the moment who {} is; try again later", address));
  } else if (facts.reverse_dns != ReverseDns::pass) {
    facts.refusal = smtp::Reply(
        550, status::kReverseDnsFailed,
        fmt::format("{} has no name in DNS that leads back to it; give it one, as mail servers have", address));
  }
}

void judge_helo(const SessionSettings& settings, const std::string& helo, const std::string& local,
                ClientFacts& facts) {
  if (settings.config.checks.helo == "off") return;
  const std::string fault = helo_fault(helo, settings.config.server.hostname, local);
  if (fault.empty()) return;
  facts.results.push_back(fmt::format("x-helo=fail reason=\"{}\"", fault));
  facts.summary += " helo=fail";
  if (settings.config.checks.helo == "reject" && !facts.refusal) {
    facts.refusal = smtp::Reply(550, status::kNotAuthorized,
                                fmt::format("{}; say HELO with the full name of your own server", fault));
  }
}

}  // namespace

std::string helo_fault(std::string_view helo, std::string_view own_name, std::string_view own_address) {
  if (iequals(helo, own_name)) return "the name in HELO is that of this server";
  if (helo.starts_with('[')) {
    const auto inside = helo.substr(1, helo.size() - 1 - (helo.ends_with(']') ? 1 : 0));
    return inside == own_address ? "the address in HELO is that of this server" : "";
  }
  if (IpAddress::parse(helo)) return "the address in HELO has no brackets";
  if (helo.find('.') == std::string_view::npos) return "the name in HELO is not a whole one";
  return "";
}

asio::awaitable<ClientFacts> examine_client(CheckDns& dns, std::string address, std::string helo, std::string local,
                                            std::shared_ptr<const SessionSettings> settings) {
  ClientFacts facts;
  const auto client = IpAddress::parse(address);
  if (!client) co_return facts;
  const auto deadline = CheckDns::Steady::now() + settings->config.checks.timeout;
  std::vector<DnsQuestion> questions;
  const bool by_name = settings->config.checks.reverse_dns != "off";
  if (by_name) questions.push_back({client->reverse_name(), DnsType::ptr});
  for (const config::ListZone& zone : settings->dnsbl) {
    const std::string name = reversed(*client) + '.' + zone.name;
    questions.push_back({name, DnsType::a});
    questions.push_back({name, DnsType::txt});
  }
  if (!questions.empty()) {
    const Answers answers = co_await ask(dns, std::move(questions), deadline);
    read_listings(settings->dnsbl, answers, by_name ? 1 : 0, facts);
    std::vector<std::string> names;
    if (by_name) facts.reverse_dns = failed(answers.front()) ? ReverseDns::temperror : ReverseDns::none;
    if (facts.reverse_dns == ReverseDns::none) {
      for (const std::string& rdata : answers.front()->records) {
        auto name = parse_name(rdata);
        if (name && is_askable(*name) && names.size() < kMaxClientNames) names.push_back(std::move(*name));
      }
    }
    if (!names.empty()) {
      facts.claimed = names.front();
      std::vector<DnsQuestion> back;
      for (const std::string& name : names) back.push_back({name, client->is_v6() ? DnsType::aaaa : DnsType::a});
      const Answers forward = co_await ask(dns, std::move(back), deadline);
      facts.reverse_dns = ReverseDns::fail;
      for (size_t i = 0; i < names.size() && facts.name.empty(); ++i) {
        if (failed(forward[i])) {
          facts.reverse_dns = ReverseDns::temperror;
          continue;
        }
        for (const std::string& rdata : forward[i]->records) {
          if (const auto found = IpAddress::from_rdata(rdata); found && *found == *client) facts.name = names[i];
        }
      }
      if (!facts.name.empty()) facts.reverse_dns = ReverseDns::pass;
    }
  }
  judge_listings(*settings, address, facts);
  judge_reverse_dns(*settings, address, facts);
  judge_helo(*settings, helo, local, facts);
  co_return facts;
}

}  // namespace postrider
