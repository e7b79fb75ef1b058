// What name servers answer, and addresses that come back to us rewritten.
#include <algorithm>
#include <array>
#include <string>

#include "common/base/ascii.h"
#include "common/mail/address.h"
#include "common/mailauth/dns.h"
#include "common/mailauth/mta_sts.h"
#include "common/mailauth/spf_record.h"
#include "common/mailauth/srs.h"
#include "common/mailauth/tls_policy.h"
#include "common/mailauth/tls_report.h"
#include "mta/relay_dns.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr UnixTime kNow = 1'700'000'000;

std::string on_the_wire(const std::string& name) {
  std::string wire;
  for (size_t at = 0; at < name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    wire += static_cast<char>(end - at);
    wire += name.substr(at, end - at);
    at = end + 1;
  }
  return wire + '\0';
}

void check_records(std::string_view rdata) {
  if (const auto name = parse_name(rdata)) {
    must(name->size() <= 255 && std::none_of(name->begin(), name->end(), is_upper), "a name is short, in lower case");
    if (is_askable(*name)) must(parse_name(on_the_wire(*name)) == *name, "a name both ways");
  }
  if (const auto mx = parse_mx(rdata)) {
    must(mx->host.empty() || is_askable(mx->host), "a host can be asked for");
    must(std::all_of(mx->host.begin(), mx->host.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; }),
         "a host's name is plain");
  }
  parse_address_record(rdata);
  const std::string text = parse_txt(rdata);
  must(text.size() <= rdata.size(), "a text is in its record");
  is_usable_tlsa(rdata);
  DnsAnswer answer;
  answer.status = DnsAnswer::Status::found;
  answer.records = {std::string(rdata)};
  sts::policy_id(answer);
  for (const ReportUri& uri : tls_report::uris(answer)) {
    must(uri.mailbox.empty() != uri.url.empty(), "a report has one way to go");
  }
  for (const ReportUri& uri : parse_report_uris(rdata)) {
    must(uri.mailbox.empty() != uri.url.empty(), "a report has one way to go");
  }
}

void check_rewriting(std::string_view text) {
  static const std::array<std::string, 2> keys{"new key", "old key"};
  const auto address = parse_mailbox(text, Utf8::refused);
  if (!address) return;
  must(!srs::restore(*address, keys, kNow), "nobody makes an address without a key");
  if (const auto forwarded = srs::forward(*address, "us.example", keys[1], kNow)) {
    must(parse_mailbox(forwarded->to_string(), Utf8::refused).has_value(), "a rewritten address is one");
    if (srs::is_srs(address->local_part)) return;  // is rewritten to lead back to where it was rewritten first
    const auto restored = srs::restore(*forwarded, keys, kNow + 86'400);
    must(restored && restored->to_string() == address->to_string(), "an address is restored");
    must(!srs::restore(*forwarded, keys, kNow + 86'400 * 30), "but not for ever");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_records(text);
  check_rewriting(text);
  return 0;
}
