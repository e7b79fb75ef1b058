// Which octets of a stored message a FETCH section means (RFC 3501 6.4.5).
#pragma once

#include <cstdint>
#include <optional>

#include "common/mail/mime_index.h"
#include "imapd/proto/command.h"

namespace postrider::imap {

/// Offsets count from the first octet that the client sees: our own trace fields (the prefix), then the message.
struct Octets {
  uint64_t offset = 0;
  uint64_t length = 0;
};

/// Nothing where there is no such part; for HEADER.FIELDS the whole header. prefix_size: octets before what index
/// counts from; size: octets of the whole.
std::optional<Octets> find_octets(const Section& section, const MimeIndex& index, uint64_t prefix_size, uint64_t size);

/// What "<offset.length>" leaves; without one, all.
Octets cut(Octets octets, const std::optional<Partial>& partial);

}  // namespace postrider::imap
