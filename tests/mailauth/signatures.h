// The DKIM signatures of a whole message, with keys from a table.
#pragma once

#include <string_view>
#include <vector>

#include "common/mail/header.h"
#include "common/mailauth/dkim_verify.h"
#include "tests/mailauth/table.h"

namespace postrider {

/// piece: octets of the body that are given at a time.
inline std::vector<dkim::SignatureResult> verify_signatures(DnsTable& dns, std::string_view message, UnixTime now,
                                                            size_t piece = 4'096) {
  const std::string_view head = message.substr(0, header_block_size(message));
  dkim::Verification verification(head, now);
  dkim::BodyHashes bodies;
  dns.run([&](DnsLookups& lookups) {
    return verification.find_keys(lookups, bodies) ? std::optional(true) : std::nullopt;
  });
  for (size_t at = head.size(); at < message.size(); at += piece) bodies.feed(message.substr(at, piece));
  bodies.finish();
  verification.finish(bodies);
  return verification.results();
}

}  // namespace postrider
