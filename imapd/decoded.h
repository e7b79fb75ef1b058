// A part's content with its transfer encoding taken off, read in pieces of bounded size (RFC 3516).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/mail/message_section.h"
#include "common/mail/transfer.h"
#include "store/account.h"

namespace postrider::imap {

enum class Encoding : uint8_t {
  identity,  // 7bit, 8bit, binary, or none said
  encoded,   // base64, quoted-printable
  unknown,
};
/// encoding: lower case, as MimePart has it.
Encoding encoding_kind(std::string_view encoding);

class DecodedPart {
 public:
  /// octets: where the encoded content lies in the message.
  DecodedPart(store::MessageId message, Octets octets, std::string_view encoding)
      : message_(message), left_(octets), decoder_(encoding) {}

  /// Appends the next piece to out, which may be nothing. False: the content has ended.
  bool next(store::Account& account, std::string& out);
  /// Octets from here to the end; reads all of them.
  uint64_t measure(store::Account& account) const;

 private:
  store::MessageId message_;
  Octets left_;
  TransferDecoder decoder_;
  bool ended_ = false;
};

}  // namespace postrider::imap
