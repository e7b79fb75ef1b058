// One exchange of SASL (RFC 4422) as SMTP's AUTH and IMAP's AUTHENTICATE carry it: lines of base64, "*" to cancel, "="
// for an initial response that is empty.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/sasl/mechanism.h"

namespace postrider::sasl {

class Authenticator {
 public:
  /// channel: as for make_mechanism().
  Authenticator(MechanismName name, const FakeRecords& fakes, Channel channel = {})
      : mechanism_(make_mechanism(name, fakes, std::move(channel))) {}

  /// initial: the initial response as it stood on the command's line, or nothing.
  Outcome begin(std::optional<std::string_view> initial);
  /// A line of the client, without its line end.
  Outcome line(std::string_view text);
  /// The answer to NeedCredentials; null where there is no such user.
  Outcome supply(const PasswordRecord* record) { return mechanism_->supply(record); }

 private:
  Outcome decoded(std::string_view text);
  std::unique_ptr<Mechanism> mechanism_;
};

/// What is sent for a challenge: base64, without line end.
std::string encode_challenge(const Challenge& challenge);

}  // namespace postrider::sasl
