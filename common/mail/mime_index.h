// Where the parts of a message lie: made once when the message enters, stored beside it, and enough for any BODY[...]
// without parsing again (RFC 3501 6.4.5, RFC 2045, RFC 2046).
//
// Malformed MIME is described, never refused: a missing boundary ends with the text, a part too deep or too many is
// opaque (application/octet-stream or text/plain as it declares), nothing is larger than its parent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postrider {

constexpr size_t kMaxMimeDepth = 50;     // nested multipart and message/rfc822
constexpr size_t kMaxMimeParts = 5'000;  // parts described in one message
constexpr size_t kMaxHeaderBlock =
    256 << 10;  // octets of one header block that are interpreted; the rest is skipped over

enum class PartKind : uint8_t { leaf, multipart, message };

/// Offsets and sizes are octets from the beginning of the message. header and body touch: body begins after the empty
/// line.
struct MimePart {
  PartKind kind = PartKind::leaf;
  uint32_t parent = 0;  // index of the parent part; 0 for the root itself
  uint32_t number = 1;  // position among its siblings, from 1
  uint64_t header_offset = 0;
  uint64_t header_size = 0;  // with the empty line
  uint64_t body_size = 0;
  uint64_t body_lines = 0;
  std::string type, subtype;  // lower case: "text", "plain"
  std::string charset;        // parameter as given, lower case; empty: none
  std::string encoding;       // lower case content-transfer-encoding; empty: none ("7bit")

  uint64_t body_offset() const { return header_offset + header_size; }
};

struct MimeIndex {
  std::vector<MimePart> parts;  // the root first, then depth first in order of appearance; never empty

  /// The part that an IMAP section number list names (RFC 3501 6.4.5): {} the root; {1} of a non-multipart is its body.
  /// Numbers go through message/rfc822 into the message it holds. Null where there is no such part.
  const MimePart* find(const std::vector<uint32_t>& numbers) const;

  std::string serialize() const;
  static std::optional<MimeIndex> deserialize(std::string_view blob);
};

/// What is known about a message once it was read from beginning to end.
struct MimeSummary {
  MimeIndex index;
  std::string envelope;       // IMAP ENVELOPE value, "(...)", ready to send
  std::string bodystructure;  // IMAP BODYSTRUCTURE value with extension data, ready to send
  uint64_t size = 0;
  uint64_t head_size = 0;  // octets of the root header block with its empty line
};

/// Reads a message as it streams by, in pieces of any size; memory is bounded by the limits above, not by the message.
class MimeIndexer {
 public:
  MimeIndexer();
  ~MimeIndexer();
  MimeIndexer(const MimeIndexer&) = delete;
  MimeIndexer& operator=(const MimeIndexer&) = delete;

  void feed(std::string_view bytes);
  MimeSummary finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The BODY value (without extension data) made from a stored BODYSTRUCTURE value.
std::string body_from_bodystructure(std::string_view bodystructure);

}  // namespace postrider
