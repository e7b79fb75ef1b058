// Mail addresses of the SMTP envelope: paths, mailboxes, domains and address literals (RFC 5321 4.1.2 and 4.1.3, RFC
// 6531 3.3 for UTF-8). The local part is kept without its quotes, the domain as it was given; compare domains only
// after normalize_domain.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider {

constexpr size_t kMaxLocalPart = 64;    // octets, without quotes (RFC 5321 4.5.3.1.1)
constexpr size_t kMaxDomain = 255;      // octets (4.5.3.1.2)
constexpr size_t kMaxDomainLabel = 63;  // octets of one label in its A-label form (RFC 1035 2.3.4)
constexpr size_t kMaxPath = 256;        // octets with the angle brackets, without a source route (4.5.3.1.3)
constexpr size_t kMaxSourceRoute =
    512;  // octets of a source route that is read over (the length of an SMTP command line)

struct Address {
  std::string local_part;  // unquoted, never empty after parsing; no control characters
  std::string domain;      // as given, or "[192.0.2.1]"; empty only for <postmaster>

  /// Mailbox of RFC 5321, quoted where needed: "a b"@example.org. The local part alone where there is no domain.
  std::string to_string() const;
  /// Whether a host must offer SMTPUTF8 to take this address (RFC 6531 3.3).
  bool needs_utf8() const;
  bool operator==(const Address&) const = default;
};

/// Whether UTF-8 may stand in an address: allowed after MAIL ... SMTPUTF8, and for addresses that come from an
/// administrator.
enum class Utf8 { refused, allowed };

struct Path {
  std::optional<Address> address;  // nothing: the null reverse-path <>
  size_t size = 0;                 // octets of the text that the path takes, with both angle brackets
};

/// MAIL FROM's path at the beginning of text; what follows (parameters) is left alone: see Path::size. A source route
/// <@a,@b:user@domain> is read and dropped (RFC 5321 Appendix C).
Result<Path> parse_reverse_path(std::string_view text, Utf8 utf8);

/// RCPT TO's path: the same, but <> is refused, and <postmaster> needs no domain (RFC 5321 4.5.1).
Result<Path> parse_forward_path(std::string_view text, Utf8 utf8);

/// A whole text that is one mailbox, without angle brackets: user@example.org, "a b"@example.org, user@[192.0.2.1].
Result<Address> parse_mailbox(std::string_view text, Utf8 utf8);

/// Whether text is a domain of RFC 5321 (no literal, no trailing dot). An underscore is taken: names in use have it.
bool is_domain(std::string_view text, Utf8 utf8);

/// Whether text is [192.0.2.1] or [IPv6:2001:db8::1]. A General-address-literal of another kind is not.
bool is_address_literal(std::string_view text);

/// The IP address inside an address literal, in inet_ntop's spelling ("192.0.2.1", "2001:db8::1"); nothing where the
/// text is none.
std::optional<std::string> address_literal_ip(std::string_view text);

/// The one spelling by which domains are compared and stored: lower case, each label an A-label (IDNA 2008 with the
/// mapping of UTS 46, non-transitional). An address literal is given back with its IP address in canonical spelling.
/// Fails on a label or name that is too long, on A-labels that do not decode, and on characters that no domain has.
Result<std::string> normalize_domain(std::string_view domain);

/// Whether both name one domain. Domains that cannot be normalised equal nothing.
bool same_domain(std::string_view a, std::string_view b);

/// The local part as it has to be written: as it is where it is a Dot-string, otherwise quoted.
std::string quote_local_part(std::string_view local_part);

}  // namespace postrider
