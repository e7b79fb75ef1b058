#include "imapd/search_text.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/transfer.h"

namespace postrider::imap {
namespace {

constexpr uint64_t kPiece = 64 << 10;  // octets of a body that are decoded at once

bool value_contains(const HeaderField& field, std::string_view needle) {
  return fold_for_search(decode_encoded_words(field.unfolded())).find(needle) != std::string::npos;
}

/// Finds a needle in text that streams by; keeps as much of the end as a needle may begin in.
class Finder {
 public:
  explicit Finder(std::string_view needle) : needle_(needle) {}
  bool feed(std::string_view folded) {
    window_ += folded;
    if (window_.find(needle_) != std::string::npos) return true;
    if (window_.size() >= needle_.size()) window_.erase(0, window_.size() - (needle_.size() - 1));
    return false;
  }

 private:
  std::string_view needle_;
  std::string window_;
};

bool part_contains(const MimePart& part, const ReadOctets& read, std::string_view needle) {
  TransferDecoder transfer(part.encoding);
  CharsetDecoder charset(part.charset);
  Finder finder(needle);
  std::string raw, octets, text;
  for (uint64_t at = 0; at < part.body_size; at += kPiece) {
    raw.clear();
    octets.clear();
    text.clear();
    read(part.body_offset() + at, std::min(kPiece, part.body_size - at), raw);
    transfer.feed(raw, octets);
    charset.feed(octets, text);
    if (finder.feed(fold_for_search(text))) return true;
  }
  octets.clear();
  text.clear();
  transfer.finish(octets);
  charset.feed(octets, text);
  charset.finish(text);
  return finder.feed(fold_for_search(text));
}

}  // namespace

bool header_contains(std::string_view block, std::string_view needle) {
  if (needle.empty()) return true;
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    std::string line(field->name);
    line += ": ";
    line += decode_encoded_words(field->unfolded());
    if (fold_for_search(line).find(needle) != std::string::npos) return true;
  }
  return false;
}

bool field_contains(std::string_view block, std::string_view name, std::string_view needle) {
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    if (iequals(field->name, name) && (needle.empty() || value_contains(*field, needle))) return true;
  }
  return false;
}

bool body_contains(const MimeIndex& index, const ReadOctets& read, std::string_view needle) {
  if (needle.empty()) return true;
  for (size_t i = 0; i < index.parts.size(); ++i) {
    const MimePart& part = index.parts[i];
    if (i > 0 && part.header_size > 0) {
      std::string header;
      read(part.header_offset, std::min<uint64_t>(part.header_size, kMaxHeaderBlock), header);
      if (header_contains(header, needle)) return true;
    }
    bool text = part.kind == PartKind::leaf && (part.type == "text" || part.type.empty());
    if (text && part_contains(part, read, needle)) return true;
  }
  return false;
}

}  // namespace postrider::imap
