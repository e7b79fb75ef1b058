// Command lines of a client (RFC 5321 4.1.1 and the extensions that we offer): a verb, then what the verb's own parser
// makes of the rest. A parser gives the command or the reply that says what is wrong with it; whether the command may
// come now is the session's business.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/mail/address.h"
#include "common/smtp/reply.h"

namespace postrider::smtp {

enum class Verb {
  helo,
  ehlo,
  mail,
  rcpt,
  data,
  bdat,
  burl,
  rset,
  vrfy,
  expn,
  help,
  noop,
  quit,
  starttls,
  auth,
  unknown
};
inline constexpr size_t kVerbs = static_cast<size_t>(Verb::unknown) + 1;

std::string_view to_string(Verb verb);

struct CommandLine {
  Verb verb = Verb::unknown;
  std::string_view argument;  // after the verb and its space, without blanks at the end
};

/// line: without its line end.
CommandLine split_command(std::string_view line);

/// The argument of HELO and EHLO: a domain or an address literal. Names that are no domain by the book (an underscore,
/// a bare IP address) are taken, since clients have them; what could break a header or a log line is not.
Parsed<std::string> parse_helo(std::string_view argument);

enum class Body { seven_bit, eight_bit, binary };
enum class Ret { none, full, headers };  // RFC 3461 4.3

struct MailCommand {
  std::optional<Address> reverse_path;  // nothing: <>
  std::optional<uint64_t> size;         // SIZE= (RFC 1870); a number beyond uint64 is its greatest value
  Body body = Body::seven_bit;          // BODY= (RFC 6152, RFC 3030)
  bool smtputf8 = false;                // RFC 6531
  bool require_tls = false;             // REQUIRETLS (RFC 8689)
  Ret ret = Ret::none;
  std::optional<std::string> envid;  // ENVID=, decoded (RFC 3461 4.4)
  std::optional<std::string> auth;   // AUTH=, decoded: an address or "<>" (RFC 4954 section 5)
};

/// argument: "FROM:<path> parameters". auth_offered: whether AUTH= is a parameter that we know.
Parsed<MailCommand> parse_mail(std::string_view argument, bool auth_offered);

/// NOTIFY= (RFC 3461 4.1), as bits.
enum NotifyBits : uint8_t { kNotifyNever = 1, kNotifySuccess = 2, kNotifyFailure = 4, kNotifyDelay = 8 };

struct RcptCommand {
  Address forward_path;  // the domain is empty for <postmaster>
  uint8_t notify = 0;    // 0: not given
  std::string orcpt;     // ORCPT= as it was given, checked: "rfc822;alice@example.org"
};

/// smtputf8: whether MAIL had it.
Parsed<RcptCommand> parse_rcpt(std::string_view argument, bool smtputf8);

struct BdatCommand {
  uint64_t size = 0;
  bool last = false;
};

/// "size [LAST]" (RFC 3030). Where this fails the octets that follow cannot be told from commands.
Parsed<BdatCommand> parse_bdat(std::string_view argument);

struct BurlCommand {
  std::string_view url;
  bool last = false;
};

/// "url [LAST]" (RFC 4468).
Parsed<BurlCommand> parse_burl(std::string_view argument);

struct AuthCommand {
  std::string_view mechanism;
  std::optional<std::string_view> initial_response;  // base64, or "="
};

/// "mechanism [initial-response]" (RFC 4954).
Parsed<AuthCommand> parse_auth(std::string_view argument);

}  // namespace postrider::smtp
