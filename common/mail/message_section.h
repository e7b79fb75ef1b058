// Which octets of a stored message an IMAP section means (RFC 3501 6.4.5): for FETCH, and for URLs that name a part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/mail/mime_index.h"

namespace postrider {

struct Section {
  enum class Text : uint8_t { whole, header, header_fields, header_fields_not, text, mime };
  std::vector<uint32_t> part;  // empty: the message itself
  Text text = Text::whole;
  std::vector<std::string> fields;  // as written
};

/// "<offset.length>", in octets.
struct Partial {
  uint32_t offset = 0;
  uint32_t length = 0;
};

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

}  // namespace postrider
