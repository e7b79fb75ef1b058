#include "mta/inbound_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/header.h"
#include "common/mailauth/arc.h"
#include "common/mailauth/dmarc_report.h"
#include "mta/dmarc_reporter.h"

namespace postrider {
namespace {

namespace status = smtp::status;

constexpr std::string_view kOff = "off";

}  // namespace

/// One message on its way through the checks.
struct Examination {
  Examination(const CheckedMessage& message, const Config& config, UnixTime now)
      : enforces_dmarc(config.checks.dmarc == "enforce"),
        wants_spf(config.checks.spf != kOff),
        wants_dkim(config.checks.dkim != kOff),
        wants_dmarc(config.checks.dmarc != kOff),
        client(IpAddress::parse(message.client)),
        signatures(wants_dkim || wants_dmarc ? std::string_view(message.head) : std::string_view(), now),
        chain(wants_dkim || (wants_dmarc && !config.arc.trusted_sealers.empty()) ? std::string_view(message.head)
                                                                                 : std::string_view(),
              now) {
    query.helo = message.helo;
    query.sender = message.sender;
    query.receiver = config.server.hostname;
    query.now = now;
    if (client) query.client = *client;
    if (wants_dmarc) authors = dmarc::author_domains(message.head);
    results.server = config.server.hostname;
    results.sender = message.sender;
    results.helo = message.helo;
  }

  bool look_up(DnsLookups& lookups);

  const bool enforces_dmarc, wants_spf, wants_dkim, wants_dmarc;
  const std::optional<IpAddress> client;
  spf::Query query;
  dkim::Verification signatures;
  arc::Chain chain;
  dkim::BodyHashes bodies;
  bool has_keys = false, has_chain_keys = false;
  std::vector<std::string> authors;
  std::vector<dmarc::AuthorPolicy> policies;  // of the authors, when all are known
  AuthenticationResults results;
  std::optional<spf::Judgement> spf;  // of MAIL FROM, whether it is to be shown or not
};

/// Everything that needs DNS, as far as its answers are known; all that is missing is asked at once. False: not done
/// yet.
bool Examination::look_up(DnsLookups& lookups) {
  bool done = true;
  if (client && (wants_spf || wants_dmarc)) {
    if (!results.helo_spf) results.helo_spf = spf::check_helo(query, lookups);
    if (!results.mail_from) results.mail_from = spf::check_mail_from(query, lookups);
    done = results.helo_spf && results.mail_from;
  }
  has_keys = has_keys || signatures.find_keys(lookups, bodies);
  has_chain_keys = has_chain_keys || chain.find_keys(lookups, bodies);
  done = done && has_keys && has_chain_keys;
  std::vector<dmarc::AuthorPolicy> found;
  for (size_t i = 0; policies.empty() && i < std::min(authors.size(), dmarc::kMaxAuthorDomains); ++i) {
    auto policy = dmarc::find_policy(authors[i], lookups);
    if (!policy) {
      done = false;
    } else {
      found.push_back(std::move(*policy));
    }
  }
  if (done && policies.empty()) policies = std::move(found);
  return done;
}

namespace {

/// The body's hashes and the signatures; for a worker thread.
void verify_body(Examination& examination, const CheckedMessage& message) {
  std::string buffer;
  for (uint64_t offset = message.body_offset; offset < message.spool->size();) {
    const std::string_view piece = message.spool->read_at(offset, buffer);
    examination.bodies.feed(piece);
    offset += piece.size();
  }
  examination.bodies.finish();
  examination.signatures.finish(examination.bodies);
  examination.chain.finish(examination.bodies);
}

void judge_authors(Examination& examination) {
  const spf::Judgement none;
  const auto& spf = examination.results.mail_from ? *examination.results.mail_from : none;
  const auto dice = static_cast<unsigned>(random_u64() % 100);
  for (const dmarc::AuthorPolicy& author : examination.policies) {
    examination.results.dmarc.push_back(dmarc::judge(author, {spf, examination.signatures.results()}, dice));
  }
}

/// Sealers that the administrator trusts saw it pass before it was changed on its way.
void hear_sealers(Examination& examination, std::string_view head, const std::vector<std::string>& trusted) {
  if (count_headers(head, "From") != 1) return;  // another could have been added to what was sealed
  for (size_t i = 0; i < examination.results.dmarc.size(); ++i) {
    dmarc::Judgement& judgement = examination.results.dmarc[i];
    if (judgement.disposition == dmarc::Policy::none) continue;
    const auto testimony = arc::find_testimony(examination.chain, examination.policies[i], trusted);
    if (!testimony) continue;
    judgement.disposition = dmarc::Policy::none;
    judgement.local_policy = testimony->comment;
    judgement.reason =
        fmt::format("taken all the same: {}, a trusted sealer, says that it passed there", testimony->sealer);
  }
}

std::optional<ArcResult> arc_result(const arc::Chain& chain) {
  if (chain.verdict() == arc::Verdict::none) return std::nullopt;
  ArcResult result{chain.verdict() == arc::Verdict::pass, chain.reason(), {}};
  for (auto set = chain.sets().rbegin(); result.passed && set != chain.sets().rend(); ++set)
    result.sealers.push_back(set->domain);
  return result;
}

/// What the domain's own words say is passed on, since they are meant for the sender.
smtp::Reply spf_refusal(const spf::Judgement& judgement, const std::string& client) {
  std::string text =
      fmt::format("{} says by SPF that mail in its name does not come from {}", judgement.domain, client);
  if (!judgement.explanation.empty()) text += fmt::format("; it explains: {}", judgement.explanation);
  return smtp::Reply(550, status::kSpfFailed, std::move(text));
}

std::optional<smtp::Reply> dmarc_refusal(const Examination& examination, const CheckedMessage& message) {
  if (!message.head_whole && examination.authors.empty()) {
    return smtp::Reply(552, status::kMessageTooLarge, "the header is so large that nobody finds From in it");
  }
  if (examination.authors.size() > dmarc::kMaxAuthorDomains) {
    return smtp::Reply(550, status::kNotAuthorized, "From names too many domains; send the message in the name of one");
  }
  std::optional<smtp::Reply> temporary;
  for (const dmarc::Judgement& judgement : examination.results.dmarc) {
    if (judgement.disposition != dmarc::Policy::reject) continue;
    if (judgement.verdict == dmarc::Verdict::fail) {
      return smtp::Reply(
          550, status::kNotAuthorized,
          fmt::format("{} asks by DMARC that mail in its name be refused when neither SPF nor DKIM proves where it "
                      "comes from; send it through that domain's own server",
                      judgement.domain));
    }
    temporary = smtp::Reply(
        451, status::kAuthenticationUnknown,
        fmt::format("DNS does not tell at the moment whether this comes from {}; try again later", judgement.domain));
  }
  return temporary;
}

std::optional<smtp::Reply> refusal_of(const Examination& examination, const CheckedMessage& message,
                                      const Config& config) {
  const auto& spf = examination.results.mail_from;
  if (config.checks.spf == "reject" && spf && spf->verdict == spf::Verdict::fail)
    return spf_refusal(*spf, message.client);
  if (config.checks.dmarc == "enforce") return dmarc_refusal(examination, message);
  return std::nullopt;
}

/// The domain in From asks that what nobody vouches for be looked at with suspicion.
bool wants_quarantine(const AuthenticationResults& results) {
  return std::any_of(results.dmarc.begin(), results.dmarc.end(), [](const dmarc::Judgement& judgement) {
    return judgement.disposition == dmarc::Policy::quarantine && judgement.verdict == dmarc::Verdict::fail;
  });
}

/// What is done with the message, and why something else than the domain asks for.
dmarc_report::Message reported(const Examination& examination, const dmarc::Judgement& judgement) {
  dmarc_report::Message row;
  const bool failed = judgement.verdict == dmarc::Verdict::fail;
  if (failed && examination.enforces_dmarc) row.disposition = judgement.disposition;
  if (!judgement.local_policy.empty()) {
    row.reason = "local_policy";
    row.comment = judgement.local_policy;
  } else if (failed && !examination.enforces_dmarc && judgement.disposition != dmarc::Policy::none) {
    row.reason = "local_policy";
    row.comment = "policies are noted here, not enforced";
  } else if (judgement.sampled_out) {
    row.reason = "sampled_out";
  }
  return row;
}

std::string summary_of(const AuthenticationResults& results) {
  std::string text;
  if (results.mail_from) text += fmt::format("spf={}", spf::to_string(results.mail_from->verdict));
  if (results.dkim && results.dkim->empty()) text += " dkim=none";
  if (results.dkim) {
    for (const auto& signature : *results.dkim)
      text += fmt::format(" dkim={}:{}", dkim::to_string(signature.verdict), signature.domain);
  }
  if (results.arc)
    text += results.arc->passed ? fmt::format(" arc=pass:{}", results.arc->sealers.front()) : " arc=fail";
  for (const auto& judgement : results.dmarc) {
    text += fmt::format(" dmarc={}:{}", dmarc::to_string(judgement.verdict), judgement.domain);
    if (!judgement.local_policy.empty()) text += " local_policy=arc";
  }
  return text;
}

}  // namespace

InboundChecks::InboundChecks(CheckDns& dns, net::WorkerPool& workers, const Clock& clock)
    : dns_(dns), workers_(workers), clock_(clock) {
  dmarc::organizational_domain("example.org");  // reads the public suffix list, here and not on a loop
}

asio::awaitable<CheckOutcome> InboundChecks::check(std::shared_ptr<const CheckedMessage> message,
                                                   std::shared_ptr<const Config> config) {
  const auto deadline = CheckDns::Steady::now() + config->checks.timeout;
  auto examination = std::make_shared<Examination>(*message, *config, clock_.unix_time());
  DnsLookups lookups([&dns = dns_](const DnsQuestion& question) { return dns.kept(question); });
  while (!examination->look_up(lookups)) {
    const auto missing = lookups.take_missing();
    if (missing.empty()) lookups.give_up();  // never: it would wait for nothing
    const auto answers = co_await dns_.ask(missing, deadline);
    for (size_t i = 0; i < missing.size(); ++i) {
      if (answers[i] != nullptr) {
        lookups.supply(missing[i], answers[i]);
      } else {
        lookups.give_up();
      }
    }
  }
  if (!examination->bodies.empty()) {
    auto job = [examination, message] { verify_body(*examination, *message); };
    co_await workers_.run(std::move(job));
  }
  if (examination->wants_dmarc) judge_authors(*examination);
  hear_sealers(*examination, message->head, config->arc.trusted_sealers);
  AuthenticationResults& results = examination->results;
  results.arc = arc_result(examination->chain);
  if (examination->wants_dkim) results.dkim = examination->signatures.results();
  CheckOutcome outcome;
  outcome.refusal = refusal_of(*examination, *message, *config);
  examination->spf = results.mail_from;
  if (!examination->wants_spf) results.mail_from.reset(), results.helo_spf.reset();
  results.more = message->client_results;
  const bool anything =
      !results.more.empty() || examination->wants_spf || examination->wants_dkim || examination->wants_dmarc;
  if (anything) outcome.fields = format_authentication_results(results);
  outcome.summary = summary_of(results);
  if (config->checks.dmarc == "enforce" && !outcome.refusal && wants_quarantine(results)) {
    outcome.junk = true;
    outcome.summary += " junk=dmarc";
  }
  if (reporter_ != nullptr && config->reports.dmarc == "on" && !message->is_report)
    count(*examination, *message, outcome);
  co_return outcome;
}

/// What is told to come again is counted when it does.
void InboundChecks::count(const Examination& examination, const CheckedMessage& message,
                          const CheckOutcome& outcome) const {
  if (outcome.refusal && outcome.refusal->code / 100 == 4) return;
  const spf::Judgement none;
  const auto& spf = examination.spf ? *examination.spf : none;
  for (size_t i = 0; i < examination.results.dmarc.size(); ++i) {
    const dmarc::AuthorPolicy& author = examination.policies[i];
    if (!author.record || author.record->reports.empty()) continue;
    dmarc_report::Message row = reported(examination, examination.results.dmarc[i]);
    row.source = examination.client ? examination.client->to_string() : message.client;
    row.envelope_from = message.sender.substr(message.sender.rfind('@') + 1);
    reporter_->count(
        dmarc_report::result_of(row, author, examination.results.dmarc[i], {spf, examination.signatures.results()}));
  }
}

}  // namespace postrider
