// What strangers write that mail authentication reads: records out of DNS, signatures and From fields out of headers.
// Whatever comes, what is written about it stays one field.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/http/http.h"
#include "common/mail/header.h"
#include "common/mailauth/arc.h"
#include "common/mailauth/auth_results.h"
#include "common/mailauth/gzip.h"
#include "common/mailauth/mta_sts.h"
#include "common/mailauth/spf_macro.h"
#include "common/mailauth/spf_record.h"
#include "common/mailauth/tls_report.h"

using namespace postrider;

namespace {

/// Every question has the input as its answer.
void answer_with(DnsLookups& lookups, std::string_view text) {
  for (const DnsQuestion& question : lookups.take_missing()) {
    DnsAnswer answer;
    answer.status = DnsAnswer::Status::found;
    answer.records = {
        std::string(1, static_cast<char>(std::min<size_t>(text.size(), 255))) + std::string(text.substr(0, 255)),
        std::string(text)};
    if (question.type == DnsType::txt) answer.records.resize(1);
    lookups.supply(question, std::make_shared<DnsAnswer>(answer));
  }
}

void check_results(std::string_view text) {
  AuthenticationResults results;
  results.server = "mx.example";
  results.sender = results.helo = text;
  DnsLookups lookups;
  spf::Query query;
  query.client = *IpAddress::parse("192.0.2.1");
  query.helo = "client.example";
  query.sender = std::string(text.substr(0, 100)) + "@sender.example";
  while (!(results.mail_from = spf::check_mail_from(query, lookups))) answer_with(lookups, text);
  results.helo_spf = results.mail_from;
  dkim::Verification signatures(text, 0);
  dkim::BodyHashes bodies;
  while (!signatures.find_keys(lookups, bodies)) answer_with(lookups, text);
  arc::Chain chain(text, 0);
  while (!chain.find_keys(lookups, bodies)) answer_with(lookups, text);
  bodies.feed(text);
  bodies.finish();
  signatures.finish(bodies);
  chain.finish(bodies);
  results.dkim = signatures.results();
  results.arc = ArcResult{chain.verdict() == arc::Verdict::pass, chain.reason(), {}};
  for (const std::string& author : dmarc::author_domains(text)) {
    std::optional<dmarc::AuthorPolicy> policy;
    while (!(policy = dmarc::find_policy(author, lookups))) answer_with(lookups, text);
    results.dmarc.push_back(dmarc::judge(*policy, {*results.mail_from, *results.dkim}, 0));
  }
  const std::string field = format_authentication_results(results);
  HeaderReader reader(field);
  const auto only = reader.next();
  if (!only || only->raw.size() != field.size() || !claims_to_be_ours(only->name, only->value, "mx.example"))
    std::abort();
  without_forged_results(text, "mx.example");
  parse_results(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (spf::is_record(text)) static_cast<void>(spf::parse_record(text));
  static_cast<void>(dkim::parse_key_record(text));
  static_cast<void>(dmarc::parse_record(text));
  check_results(text);
  static_cast<void>(sts::parse_policy(text));
  static_cast<void>(tls_report::parse(text));
  static_cast<void>(gunzip(text, 100'000));
  static_cast<void>(http::parse_request(text));
  for (bool ended : {false, true}) static_cast<void>(http::parse_response(text, ended, 1'000));
  return 0;
}
