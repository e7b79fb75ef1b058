// SmtpLink: what TLS-RPT is told of a connection (RFC 8460 4.3).
#include <fmt/format.h>

#include "mta/relay_client.h"
#include "mta/tls_reporter.h"

namespace postrider {
namespace {

std::string tlsa_text(const std::string& rdata) {
  std::string text = fmt::format("{} {} {} ", int{rdata[0]}, int{rdata[1]}, int{rdata[2]});
  for (char c : std::string_view(rdata).substr(3)) text += fmt::format("{:02X}", static_cast<unsigned char>(c));
  return text + '\n';
}

/// As far as it is the domain's own to say: nothing of what this server's administrator wants.
TlsResult result_for(const SmtpRoute& route, const TlsRequirement& wanted) {
  TlsResult result;
  result.domain = route.domain;
  if (wanted.authority == TlsAuthority::dane) {
    result.policy_type = "tlsa";
    for (const std::string& rdata : wanted.tlsa) result.policy += tlsa_text(rdata);
  } else if (route.sts.policy != nullptr && route.sts.policy->mode != sts::Mode::none) {
    result.policy_type = "sts";
    result.policy = route.sts.text;
  } else {
    result.policy_type = "no-policy-found";
  }
  return result;
}

}  // namespace

void SmtpLink::tell_reporter(const TlsRequirement& wanted, const net::TlsSession& session,
                             const std::string& trouble) const {
  const bool ours = route_->any_address || route_->domain.starts_with('[') || need_ == TlsNeed::waived;
  if (parts_.reporter == nullptr || ours) return;
  TlsResult result = result_for(*route_, wanted);
  const bool sts = result.policy_type == "sts", dane = result.policy_type == "tlsa";
  const bool checked = sts || (dane && wanted.level == TlsLevel::dane && !session.no_anchor);
  const auto fail = [&](std::string_view type, std::string detail) {
    result.failure = type;
    result.detail = std::move(detail);
  };
  if (!trouble.empty()) {
    fail("validation-failure", trouble);
  } else if (session.protocol.empty()) {
    fail("starttls-not-supported", {});
  } else if (sts && !sts::names_host(*route_->sts.policy, peer_.host)) {
    fail("validation-failure", "the policy does not name the host");
  } else if (checked && !session.verified) {
    fail(session.failure, session.trouble);
  }
  if (!result.failure.empty() && connection_ != nullptr) {
    result.host = peer_.host;
    result.address = peer_.endpoint.address().to_string();
  }
  parts_.reporter->count(std::move(result));
  if (!route_->sts.trouble) return;
  TlsResult unknown;
  unknown.domain = route_->domain;
  unknown.policy_type = "sts";
  unknown.failure = route_->sts.trouble->type;
  unknown.detail = route_->sts.trouble->detail;
  parts_.reporter->count(std::move(unknown));
}

}  // namespace postrider
