// The client's side of PLAIN (RFC 4616), LOGIN and SCRAM-SHA-256 (RFC 5802, RFC 7677): challenges in, answers out, both
// decoded. Nothing here knows a protocol.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/sasl/mechanism.h"

namespace postrider::sasl {

// More would keep a thread busy for a server's pleasure; ten times what is recommended.
constexpr int kMaxScramIterations = 6'000'000;

class ClientMechanism {
 public:
  virtual ~ClientMechanism() = default;
  /// What goes with the command, where the mechanism speaks first.
  virtual std::optional<std::string> initial() = 0;
  /// The answer to a challenge. SCRAM hashes here, for up to seconds: work for a worker thread. The error is a
  /// sentence: the server does not keep to the mechanism, or does not know the password itself.
  virtual Result<std::string> answer(std::string_view challenge) = 0;
  /// Once the server says that it went well: whether it may say so. False where it left out its own proof.
  virtual bool may_succeed() const = 0;
};

/// user and password as they were given. Fails where SCRAM cannot carry them.
Result<std::unique_ptr<ClientMechanism>> make_client(MechanismName name, std::string user, std::string password);
/// With a nonce that is handed in, for the vectors of the RFC.
Result<std::unique_ptr<ClientMechanism>> make_scram_client(std::string user, std::string password, std::string nonce);

/// The best of those that a server offers (words parted by spaces). protected_channel: mechanisms that hand the
/// password over are taken too.
std::optional<MechanismName> choose_mechanism(std::string_view offered, bool protected_channel);

}  // namespace postrider::sasl
