#include "common/mail/message_section.h"

#include <algorithm>

namespace postrider {
namespace {

/// The root of the message that HEADER and TEXT speak of: the message itself, or the one that a part holds.
const MimePart* message_of(const Section& section, const MimeIndex& index) {
  const MimePart* part = index.find(section.part);
  if (part == nullptr || section.part.empty()) return part;
  if (part->kind != PartKind::message) return nullptr;
  auto child = static_cast<size_t>(part - index.parts.data()) + 1;
  if (child >= index.parts.size() || index.parts[child].parent != child - 1) return nullptr;
  return &index.parts[child];
}

}  // namespace

std::optional<Octets> find_octets(const Section& section, const MimeIndex& index, uint64_t prefix_size, uint64_t size) {
  using Text = Section::Text;
  if (section.part.empty() && section.text == Text::whole) return Octets{0, size};
  bool whole_part = section.text == Text::whole || section.text == Text::mime;
  const MimePart* part = whole_part ? index.find(section.part) : message_of(section, index);
  if (part == nullptr) return std::nullopt;
  bool header = section.text != Text::whole && section.text != Text::text;
  if (!header) return Octets{prefix_size + part->body_offset(), part->body_size};
  // Our own trace fields are the beginning of the root's header.
  if (part == index.parts.data()) return Octets{0, prefix_size + part->header_size};
  return Octets{prefix_size + part->header_offset, part->header_size};
}

Octets cut(Octets octets, const std::optional<Partial>& partial) {
  if (!partial) return octets;
  uint64_t skipped = std::min<uint64_t>(partial->offset, octets.length);
  return Octets{octets.offset + skipped, std::min<uint64_t>(partial->length, octets.length - skipped)};
}

}  // namespace postrider
