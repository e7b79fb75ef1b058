#include "imapd/decoded.h"

#include <algorithm>

namespace postrider::imap {
namespace {

constexpr uint64_t kPiece = 64 << 10;  // encoded octets that are read at once

}  // namespace

Encoding encoding_kind(std::string_view encoding) {
  if (encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary") return Encoding::identity;
  return encoding == "base64" || encoding == "quoted-printable" ? Encoding::encoded : Encoding::unknown;
}

bool DecodedPart::next(store::Account& account, std::string& out) {
  if (ended_) return false;
  uint64_t length = std::min(left_.length, kPiece);
  std::string raw;
  if (length > 0) account.read(message_, left_.offset, length, raw);
  decoder_.feed(raw, out);
  left_.offset += length;
  left_.length -= length;
  if (left_.length == 0) {
    decoder_.finish(out);
    ended_ = true;
  }
  return true;
}

uint64_t DecodedPart::measure(store::Account& account) const {
  DecodedPart copy = *this;
  uint64_t size = 0;
  std::string piece;
  while (copy.next(account, piece)) {
    size += piece.size();
    piece.clear();
  }
  return size;
}

}  // namespace postrider::imap
