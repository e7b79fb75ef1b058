// Signs a message (RFC 6376 5, RFC 8463), relaxed/relaxed, with all keys at once. Work for a worker thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dkim_crypto.h"

namespace postrider::dkim {

struct SigningKey {
  std::string domain, selector;
  Key key;
};

/// The body's hash, from pieces.
class BodyHash {
 public:
  BodyHash();
  void feed(std::string_view piece);
  std::string finish();

 private:
  Sha256 hash_;
  BodyCanonicalizer canonicalizer_;
};

/// The DKIM-Signature fields, each with its CRLF, to be put on top of the message. head: the header block as it leaves.
/// The fields that a reader goes by are signed once more than they are there, so that none can be added. Throws
/// std::runtime_error.
std::string sign_message(std::string_view head, const std::string& body_hash, const std::vector<SigningKey>& keys,
                         UnixTime now);

}  // namespace postrider::dkim
