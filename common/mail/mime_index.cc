#include "common/mail/mime_index.h"

#include <algorithm>

namespace postrider {
namespace {

constexpr char kVersion = 1;
constexpr size_t kMaxStoredText = 255;           // octets of one of the strings; what the indexer writes is shorter
constexpr uint64_t kMaxStoredSize = 1ULL << 48;  // octets of a message that a blob may speak of; sums cannot overflow

void put_number(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_text(std::string_view text, std::string& out) {
  text = text.substr(0, kMaxStoredText);
  put_number(text.size(), out);
  out += text;
}

/// Reads a blob; once anything is wrong every answer is empty and ok() is false.
class BlobReader {
 public:
  explicit BlobReader(std::string_view blob) : blob_(blob) {}

  bool ok() const { return ok_; }
  bool at_end() const { return blob_.empty(); }

  uint64_t number(uint64_t limit) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      if (blob_.empty()) break;
      auto octet = static_cast<unsigned char>(blob_.front());
      blob_.remove_prefix(1);
      value |= static_cast<uint64_t>(octet & 0x7f) << shift;
      if (octet < 0x80) return value <= limit ? value : fail();
    }
    return fail();
  }

  std::string text() {
    size_t size = number(kMaxStoredText);
    if (size > blob_.size()) size = fail();
    std::string out(blob_.substr(0, size));
    blob_.remove_prefix(size);
    return out;
  }

 private:
  uint64_t fail() {
    ok_ = false;
    blob_ = {};
    return 0;
  }

  std::string_view blob_;
  bool ok_ = true;
};

uint64_t end_of(const MimePart& part) {
  return part.body_offset() + part.body_size;
}

/// A part lies in the body of an earlier one that can hold parts.
bool is_well_placed(const std::vector<MimePart>& parts, const MimePart& part) {
  if (parts.empty()) return part.parent == 0;
  if (part.parent >= parts.size()) return false;
  const auto& parent = parts[part.parent];
  return parent.kind != PartKind::leaf && part.header_offset >= parent.body_offset() && end_of(part) <= end_of(parent);
}

MimePart read_part(BlobReader& reader, size_t index) {
  MimePart part;
  part.kind = static_cast<PartKind>(reader.number(static_cast<uint64_t>(PartKind::message)));
  part.parent = static_cast<uint32_t>(reader.number(index));
  part.number = static_cast<uint32_t>(reader.number(kMaxMimeParts));
  part.header_offset = reader.number(kMaxStoredSize);
  part.header_size = reader.number(kMaxStoredSize);
  part.body_size = reader.number(kMaxStoredSize);
  part.body_lines = reader.number(kMaxStoredSize);
  part.type = reader.text();
  part.subtype = reader.text();
  part.charset = reader.text();
  part.encoding = reader.text();
  return part;
}

}  // namespace

std::string MimeIndex::serialize() const {
  std::string out(1, kVersion);
  put_number(parts.size(), out);
  for (const auto& part : parts) {
    put_number(static_cast<uint64_t>(part.kind), out);
    put_number(part.parent, out);
    put_number(part.number, out);
    put_number(part.header_offset, out);
    put_number(part.header_size, out);
    put_number(part.body_size, out);
    put_number(part.body_lines, out);
    put_text(part.type, out);
    put_text(part.subtype, out);
    put_text(part.charset, out);
    put_text(part.encoding, out);
  }
  return out;
}

std::optional<MimeIndex> MimeIndex::deserialize(std::string_view blob) {
  if (blob.empty() || blob.front() != kVersion) return std::nullopt;
  BlobReader reader(blob.substr(1));
  MimeIndex index;
  uint64_t count = reader.number(kMaxMimeParts);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    auto part = read_part(reader, i);
    if (!reader.ok() || !is_well_placed(index.parts, part)) return std::nullopt;
    index.parts.push_back(std::move(part));
  }
  if (!reader.ok() || !reader.at_end() || index.parts.empty()) return std::nullopt;
  return index;
}

const MimePart* MimeIndex::find(const std::vector<uint32_t>& numbers) const {
  if (parts.empty() || numbers.size() > 2 * kMaxMimeDepth) return nullptr;
  // Children come after their parent, so one walk forward serves all the numbers.
  auto child = [this](size_t parent, uint32_t number) {
    size_t i = parent + 1;
    while (i < parts.size() && (parts[i].parent != parent || parts[i].number != number)) ++i;
    return i;
  };
  size_t at = 0;
  bool whole_message = true;  // at is a message as a whole, not yet its body
  for (uint32_t number : numbers) {
    if (!whole_message && parts[at].kind == PartKind::message) {
      at = child(at, 1);
      if (at == parts.size()) return nullptr;
      whole_message = true;
    }
    if (parts[at].kind == PartKind::multipart) {
      at = child(at, number);
      if (at == parts.size()) return nullptr;
    } else if (!whole_message || number != 1) {
      return nullptr;
    }
    whole_message = false;
  }
  return &parts[at];
}

}  // namespace postrider
