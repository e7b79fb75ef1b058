// The lines that a mail server puts on top of a message: Received, Return-Path, Delivered-To (RFC 5321 4.4).
// Each is a whole field with its CRLF. Whatever the arguments hold, no CR, LF, NUL or other control character gets out
// but our own line ends: they come from HELO, from reverse DNS and from TLS, which strangers fill in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/mail/address.h"

namespace postrider {

constexpr size_t kMaxTraceItem = 255;  // octets of one argument that are written
constexpr size_t kMaxTraceLine =
    78;  // columns that a line keeps to where an item is not longer by itself (RFC 5322 2.1.1)

/// What the "with" clause says (RFC 3848, RFC 6531 4.3).
struct TraceProtocol {
  bool extended = true;  // EHLO was given
  bool tls = false;
  bool authenticated = false;
  bool utf8 = false;  // MAIL had SMTPUTF8
  bool lmtp = false;

  /// "SMTP", "ESMTPSA", "UTF8SMTPS", "LMTPA", "UTF8LMTP", ...
  std::string name() const;
};

struct ReceivedTrace {
  std::string helo;            // the argument of HELO or EHLO
  std::string client_name;     // reverse DNS name that was confirmed; empty: "unknown"
  std::string client_address;  // IP address without brackets; empty: a message that came by no network
  std::string by;              // our host name
  TraceProtocol protocol;
  std::string tls_version;  // "TLSv1.3"; empty: no comment
  std::string tls_cipher;
  std::string id;                    // queue id; empty: no clause
  std::optional<Address> recipient;  // only where the message has a single one: the others must not learn of each other
  UnixTime time = 0;
};

std::string format_received(const ReceivedTrace& trace);

/// Nothing: the null reverse-path, "Return-Path: <>".
std::string format_return_path(const std::optional<Address>& reverse_path);

std::string format_delivered_to(const Address& recipient);

}  // namespace postrider
