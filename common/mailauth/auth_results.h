// Authentication-Results (RFC 8601): what was found out about a message, for whoever reads it later.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mailauth/dkim_verify.h"
#include "common/mailauth/dmarc.h"
#include "common/mailauth/spf.h"

namespace postrider {

struct AuthenticationResults {
  std::string server;        // our authserv-id: the host name
  std::string sender, helo;  // MAIL FROM's address without brackets (empty: null) and HELO's argument
  std::optional<spf::Judgement> mail_from, helo_spf;
  std::optional<std::vector<dkim::SignatureResult>> dkim;  // empty: the message is not signed
  std::vector<dmarc::Judgement> dmarc;
  std::vector<std::string> more;  // whole clauses that were made here, about the client
};

/// A whole field with its CRLF. Nothing that strangers wrote gets out of its place.
std::string format_authentication_results(const AuthenticationResults& results);

/// Whether a field says that we wrote it, which it cannot when it comes from outside (5). name, value: of the field.
bool claims_to_be_ours(std::string_view name, std::string_view value, std::string_view server);

/// The header block without the fields that claim to be ours; nothing where there are none.
std::optional<std::string> without_forged_results(std::string_view head, std::string_view server);

}  // namespace postrider
