// The list of extensions in the reply to EHLO (RFC 5321 4.1.1.1): written by the server, read by the client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/smtp/reply.h"

namespace postrider::smtp {

constexpr size_t kMaxExtensions = 100;  // that a client keeps of one reply

struct Extension {
  std::string keyword;     // as written
  std::string parameters;  // parted by spaces; may be empty
};

/// RFC 9422. Nothing: the server did not say.
struct Limits {
  std::optional<uint64_t> mail_max;         // transactions in one connection
  std::optional<uint64_t> rcpt_max;         // recipients of one transaction
  std::optional<uint64_t> rcpt_domain_max;  // different domains among them
};

class Extensions {
 public:
  void add(std::string_view keyword, std::string_view parameters = {});
  /// Nothing where the server does not offer it. Keywords match in any case.
  const Extension* find(std::string_view keyword) const;
  bool has(std::string_view keyword) const { return find(keyword) != nullptr; }
  /// Whether the word stands among the keyword's parameters: has_parameter("AUTH", "PLAIN").
  bool has_parameter(std::string_view keyword, std::string_view word) const;
  /// SIZE's value; 0 and none both mean that no limit was told.
  uint64_t size_limit() const;
  Limits limits() const;
  const std::vector<Extension>& all() const { return list_; }

 private:
  std::vector<Extension> list_;
};

std::string format_limits(const Limits& limits);

/// The 250 reply to EHLO: first line, then one line an extension.
Reply ehlo_reply(std::string_view first_line, const Extensions& extensions);
/// What a server's reply to EHLO offers. Lines that are no ehlo-line are stepped over.
Extensions parse_extensions(const ServerReply& reply);

}  // namespace postrider::smtp
