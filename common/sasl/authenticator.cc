#include "common/sasl/authenticator.h"

#include "common/base/base64.h"

namespace postrider::sasl {

Outcome Authenticator::begin(std::optional<std::string_view> initial) {
  if (!initial) return mechanism_->start();
  if (*initial == "=") return mechanism_->step({});
  return decoded(*initial);
}

Outcome Authenticator::line(std::string_view text) {
  if (text == "*") return Failed{FailureKind::cancelled};
  return decoded(text);
}

Outcome Authenticator::decoded(std::string_view text) {
  if (text.size() > (kMaxMessageOctets + 2) / 3 * 4) return Failed{FailureKind::too_long};
  const auto message = base64_decode(text);
  if (!message) return Failed{FailureKind::malformed};
  return mechanism_->step(*message);
}

std::string encode_challenge(const Challenge& challenge) {
  return base64_encode(challenge.octets);
}

}  // namespace postrider::sasl
