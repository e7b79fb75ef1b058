// The server's side of PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), and EXTERNAL
// (RFC 4422 A): messages in, outcomes out.
// Nothing here knows a protocol, looks up a user or hashes a password; the caller does, when an outcome asks for it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/sasl/password.h"

namespace postrider::sasl {

constexpr size_t kMaxUserOctets = 512;       // of a user name, after decoding
constexpr size_t kMaxMessageOctets = 4'096;  // of one message of the client, after base64

/// Send this to the client (raw octets) and hand its answer to step().
struct Challenge {
  std::string octets;
};
/// Look up the user and check the password; that decides. The mechanism has nothing more to say.
struct CheckPassword {
  std::string user, password;
};
/// Look up the user and call supply().
struct NeedCredentials {
  std::string user;
};
/// The client proved that it has the user's password.
struct Authenticated {
  std::string user;
};
/// The client's certificate says that it is this user: look that one up, there is no password to check.
struct Vouched {
  std::string user;
};
enum class FailureKind {
  malformed,  // not the mechanism's syntax, or not base64
  cancelled,  // "*"
  rejected,   // wrong, or an authorization identity that is not the user
  too_long
};
struct Failed {
  FailureKind kind = FailureKind::malformed;
};
using Outcome = std::variant<Challenge, CheckPassword, NeedCredentials, Authenticated, Vouched, Failed>;

class Mechanism {
 public:
  virtual ~Mechanism() = default;
  /// The client begins and has sent nothing yet: the first challenge.
  virtual Outcome start() = 0;
  /// A message of the client, decoded.
  virtual Outcome step(std::string_view message) = 0;
  /// The answer to NeedCredentials; null where there is no such user.
  virtual Outcome supply(const PasswordRecord* record) = 0;
};

/// Answers for users that do not exist: the same salt each time one is asked for.
class FakeRecords {
 public:
  /// key: 32 secret octets; processes that share it give the same answers.
  explicit FakeRecords(std::string key) : key_(std::move(key)) {}
  PasswordRecord record_for(std::string_view user) const;

 private:
  std::string key_;
};

enum class MechanismName { plain, login, scram_sha_256, scram_sha_256_plus, external };
/// Those that need nothing of the channel.
inline constexpr std::array kMechanismNames = {MechanismName::scram_sha_256, MechanismName::plain,
                                               MechanismName::login};

std::string_view to_string(MechanismName name);

/// What the TLS connection brings along.
struct Channel {
  std::string binding;                 // tls-exporter data; empty: SCRAM-SHA-256-PLUS cannot be had
  std::vector<std::string> addresses;  // of the client's good certificate; none: EXTERNAL cannot be had
};
/// What can be had, the best first.
std::vector<MechanismName> mechanisms(const Channel& channel);
/// One of these.
std::optional<MechanismName> parse_mechanism_name(std::string_view text, const Channel& channel = {});
/// PLAIN and LOGIN hand over the password itself: only under TLS or within the machine.
constexpr bool reveals_password(MechanismName name) {
  return name == MechanismName::plain || name == MechanismName::login;
}

/// What ties an exchange to its TLS connection: tls-exporter data (RFC 9266).
struct ChannelBinding {
  std::string data;       // empty: there is none, and PLUS is not offered
  bool required = false;  // PLUS: the client must use it
};

/// fakes must outlive the mechanism. channel: binding data also for the SCRAM beside which PLUS is offered.
std::unique_ptr<Mechanism> make_mechanism(MechanismName name, const FakeRecords& fakes, Channel channel = {});
/// With a server nonce that is handed in, for the vectors of the RFC.
std::unique_ptr<Mechanism> make_scram(const FakeRecords& fakes, std::string server_nonce, ChannelBinding binding = {});

}  // namespace postrider::sasl
