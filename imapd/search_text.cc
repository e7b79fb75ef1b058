#include "imapd/search_text.h"

#include <string.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/address_list.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/transfer.h"

namespace postrider::imap {
namespace {

constexpr uint64_t kPiece = 64 << 10;  // octets of a body that are decoded at once

bool value_contains(const HeaderField& field, std::string_view needle) {
  return fold_for_search(decode_encoded_words(field.unfolded())).find(needle) != std::string::npos;
}

constexpr std::string_view kAddressFields[] = {"From", "To", "Cc", "Bcc", "Sender", "Reply-To"};

bool holds_addresses(std::string_view name) {
  return std::any_of(std::begin(kAddressFields), std::end(kAddressFields),
                     [name](std::string_view field) { return iequals(field, name); });
}

/// The addresses of a field as ENVELOPE has them: "name <local@domain>, ...", whatever comments, quotes and blanks
/// stand between. Folded.
std::string plain_addresses(const HeaderField& field) {
  std::string text;
  for (const ListedAddress& address : parse_address_list(field.unfolded())) {
    if (address.kind != ListedAddress::Kind::mailbox) continue;
    if (!text.empty()) text += ", ";
    if (!address.name.empty()) text += decode_encoded_words(address.name) + " ";
    text += '<';
    text += address.mailbox;
    text += '@';
    text += address.host;
    text += '>';
  }
  return fold_for_search(text);
}

/// Faster than find() where the needle's first octet is frequent.
bool holds(std::string_view text, std::string_view needle) {
  return ::memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

/// Finds a needle in text that streams by; keeps as much of the end as a needle may begin in.
class Finder {
 public:
  explicit Finder(std::string_view needle) : needle_(needle) {}
  /// begins: this is the beginning of another text.
  bool feed(std::string_view folded, bool begins) {
    if (begins) window_.clear();
    if (!window_.empty()) {
      // What lies across the cut; the piece itself is looked through where it is.
      const size_t kept = window_.size();
      window_ += folded.substr(0, needle_.size() - 1);
      if (window_.find(needle_) != std::string::npos) return true;
      window_.resize(kept);
    }
    if (holds(folded, needle_)) return true;
    window_ += folded.substr(folded.size() - std::min(folded.size(), needle_.size() - 1));
    if (window_.size() >= needle_.size()) window_.erase(0, window_.size() - (needle_.size() - 1));
    return false;
  }

 private:
  std::string_view needle_;
  std::string window_;
};

bool visit_part(const MimePart& part, const ReadOctets& read, const TextSink& sink) {
  TransferDecoder transfer(part.encoding);
  CharsetDecoder charset(part.charset);
  std::string raw, octets, text;
  bool begins = true;
  auto give = [&] {
    bool enough = sink(fold_for_search(text), begins);
    begins = false;
    octets.clear();
    text.clear();
    return enough;
  };
  for (uint64_t at = 0; at < part.body_size; at += kPiece) {
    raw.clear();
    read(part.body_offset() + at, std::min(kPiece, part.body_size - at), raw);
    transfer.feed(raw, octets);
    charset.feed(octets, text);
    if (give()) return true;
  }
  transfer.finish(octets);
  charset.feed(octets, text);
  charset.finish(text);
  return give();
}

}  // namespace

bool visit_header(std::string_view block, const TextSink& sink) {
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    std::string line(field->name);
    line += ": ";
    line += decode_encoded_words(field->unfolded());
    if (sink(fold_for_search(line), true)) return true;
    if (holds_addresses(field->name) && sink(plain_addresses(*field), true)) return true;
  }
  return false;
}

bool visit_body(const MimeIndex& index, const ReadOctets& read, const TextSink& sink) {
  for (size_t i = 0; i < index.parts.size(); ++i) {
    const MimePart& part = index.parts[i];
    if (i > 0 && part.header_size > 0) {
      std::string header;
      read(part.header_offset, std::min<uint64_t>(part.header_size, kMaxHeaderBlock), header);
      if (visit_header(header, sink)) return true;
    }
    bool text = part.kind == PartKind::leaf && (part.type == "text" || part.type.empty());
    if (text && visit_part(part, read, sink)) return true;
  }
  return false;
}

bool header_contains(std::string_view block, std::string_view needle) {
  if (needle.empty()) return true;
  return visit_header(block, [&](std::string_view folded, bool) { return folded.find(needle) != std::string::npos; });
}

bool field_contains(std::string_view block, std::string_view name, std::string_view needle) {
  HeaderReader reader(block);
  while (auto field = reader.next()) {
    if (!iequals(field->name, name)) continue;
    if (needle.empty() || value_contains(*field, needle)) return true;
    if (holds_addresses(name) && holds(plain_addresses(*field), needle)) return true;
  }
  return false;
}

bool body_contains(const MimeIndex& index, const ReadOctets& read, std::string_view needle) {
  if (needle.empty()) return true;
  Finder finder(needle);
  return visit_body(index, read, [&](std::string_view folded, bool begins) { return finder.feed(folded, begins); });
}

std::vector<std::string> words_of(std::string_view folded) {
  std::vector<std::string> words;
  for (size_t at = 0; at < folded.size() && words.size() < kMaxWords;) {
    const size_t end = std::min(folded.find_first_of(" \t\r\n", at), folded.size());
    if (end > at) words.emplace_back(folded.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

unsigned relevancy_of(std::string_view block, std::string_view sought, bool whole) {
  constexpr unsigned kWhole = 30, kInSubject = 50;
  if (field_contains(block, "Subject", sought)) return kMaxRelevancy;
  const std::vector<std::string> words = words_of(sought);
  size_t in_subject = 0;
  for (const std::string& word : words) in_subject += field_contains(block, "Subject", word) ? 1 : 0;
  const size_t share = words.empty() ? 0 : kInSubject * in_subject / words.size();
  return 1 + static_cast<unsigned>(share) + (whole ? kWhole : 0);
}

}  // namespace postrider::imap
