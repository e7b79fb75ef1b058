// Authentication-Results (RFC 8601): what was found out about a message, for whoever reads it later.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mailauth/dkim_verify.h"
#include "common/mailauth/dmarc.h"
#include "common/mailauth/spf.h"

namespace postrider {

/// What became of a chain (RFC 8617): its sealers are named where it holds, last one first.
struct ArcResult {
  bool passed = false;
  std::string reason;
  std::vector<std::string> sealers;
};

struct AuthenticationResults {
  std::string server;        // our authserv-id: the host name
  std::string sender, helo;  // MAIL FROM's address without brackets (empty: null) and HELO's argument
  std::optional<spf::Judgement> mail_from, helo_spf;
  std::optional<std::vector<dkim::SignatureResult>> dkim;  // empty: the message is not signed
  std::vector<dmarc::Judgement> dmarc;
  std::optional<ArcResult> arc;   // empty: nobody looked, or no chain is there
  std::vector<std::string> more;  // whole clauses that were made here, about the client
};

/// A whole field with its CRLF. Nothing that strangers wrote gets out of its place.
std::string format_authentication_results(const AuthenticationResults& results);

/// Whether a field says that we wrote it, which it cannot when it comes from outside (5). name, value: of the field.
bool claims_to_be_ours(std::string_view name, std::string_view value, std::string_view server);

/// The header block without the fields that claim to be ours; nothing where there are none.
std::optional<std::string> without_forged_results(std::string_view head, std::string_view server);

constexpr size_t kMaxRecorded = 100;  // results of a field that are read, and properties of a result

/// A result that somebody wrote (RFC 8601 2.2).
struct RecordedResult {
  std::string method, result;                                   // lower case
  std::vector<std::pair<std::string, std::string>> properties;  // "header.d" and what it is

  /// Empty: there is none of that name.
  std::string_view property(std::string_view name) const;
};
/// The results in a field's value; what is none is left out.
std::vector<RecordedResult> parse_results(std::string_view field_value);

}  // namespace postrider
