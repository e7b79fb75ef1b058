// The Sender Rewriting Scheme: what a forwarder says in MAIL FROM so that SPF holds for it, and how a report finds its
// way back. The original sender stands in the address itself, under a keyed hash; nothing has to be remembered.
//
//   alice@a.example, forwarded by b.example:       SRS0=HASH=DAY=a.example=alice@b.example
//   the same, forwarded again by c.example:        SRS1=HASH=b.example==HASH=DAY=a.example=alice@c.example
//
// A report to the second goes to the first directly, however many forwarders there are.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mail/address.h"

namespace postrider::srs {

constexpr int kValidDays = 21;  // a report that is older than this is about nothing that we still answer for

/// Whether the local part looks like one of these addresses, in any case of letters.
bool is_srs(std::string_view local_part);

/// The address to forward in the name of, at a domain of ours. Nothing where its local part would be longer than every
/// server takes (kMaxLocalPart).
std::optional<Address> forward(const Address& sender, std::string_view domain, std::string_view key, UnixTime now);

enum class Fault {
  other_form,  // it is none of ours to judge: an ordinary address that happens to begin so
  wrong_hash,  // nobody with one of these keys made it
  expired,
};

/// Who a report to the address is for. keys: those that addresses were made with.
tl::expected<Address, Fault> restore(const Address& address, std::span<const std::string> keys, UnixTime now);

}  // namespace postrider::srs
