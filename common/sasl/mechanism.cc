#include "common/sasl/mechanism.h"

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/base/random.h"

namespace postrider::sasl {
namespace {

Failed malformed() {
  return Failed{FailureKind::malformed};
}

/// A name that can be looked up: UTF-8, prepared, not empty, not too long.
std::optional<std::string> user_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxUserOctets) return std::nullopt;
  auto prepared = saslprep(text, false);
  if (!prepared || prepared->empty()) return std::nullopt;
  return *prepared;
}

Outcome check(std::string_view user, std::string_view password) {
  auto name = user_name(user);
  if (!name || password.empty()) return Failed{FailureKind::rejected};
  return CheckPassword{std::move(*name), std::string(password)};
}

/// [authzid] NUL authcid NUL passwd
class Plain final : public Mechanism {
 public:
  Outcome start() override { return Challenge{}; }
  Outcome step(std::string_view message) override {
    const auto first = message.find('\0');
    if (first == std::string_view::npos) return malformed();
    const auto second = message.find('\0', first + 1);
    if (second == std::string_view::npos || message.find('\0', second + 1) != std::string_view::npos)
      return malformed();
    const auto authzid = message.substr(0, first);
    const auto user = message.substr(first + 1, second - first - 1);
    if (!authzid.empty() && !iequals(authzid, user)) return Failed{FailureKind::rejected};
    return check(user, message.substr(second + 1));
  }
  Outcome supply(const PasswordRecord*) override { return malformed(); }
};

/// Two questions; the user name may come with the command.
class Login final : public Mechanism {
 public:
  Outcome start() override { return Challenge{"Username:"}; }
  Outcome step(std::string_view message) override {
    if (message.find('\0') != std::string_view::npos) return malformed();
    if (!user_) {
      user_ = std::string(message);
      return Challenge{"Password:"};
    }
    return check(*user_, message);
  }
  Outcome supply(const PasswordRecord*) override { return malformed(); }

 private:
  std::optional<std::string> user_;
};

}  // namespace

std::string_view to_string(MechanismName name) {
  switch (name) {
    case MechanismName::plain:
      return "PLAIN";
    case MechanismName::login:
      return "LOGIN";
    case MechanismName::scram_sha_256_plus:
      return "SCRAM-SHA-256-PLUS";
    case MechanismName::scram_sha_256:
      break;
  }
  return "SCRAM-SHA-256";
}

std::optional<MechanismName> parse_mechanism_name(std::string_view text, bool bound) {
  if (bound && iequals(text, to_string(MechanismName::scram_sha_256_plus))) return MechanismName::scram_sha_256_plus;
  for (MechanismName name : kMechanismNames) {
    if (iequals(text, to_string(name))) return name;
  }
  return std::nullopt;
}

PasswordRecord FakeRecords::record_for(std::string_view user) const {
  const std::string name = lower(user);
  PasswordRecord record = dummy_record();
  record.scram_salt = hmac_sha256(key_, "salt:" + name).substr(0, kScramSaltOctets);
  record.stored_key = hmac_sha256(key_, "stored:" + name);
  record.server_key = hmac_sha256(key_, "server:" + name);
  return record;
}

std::unique_ptr<Mechanism> make_mechanism(MechanismName name, const FakeRecords& fakes, std::string binding) {
  switch (name) {
    case MechanismName::plain:
      return std::make_unique<Plain>();
    case MechanismName::login:
      return std::make_unique<Login>();
    case MechanismName::scram_sha_256:
    case MechanismName::scram_sha_256_plus:
      break;
  }
  bool required = name == MechanismName::scram_sha_256_plus;
  return make_scram(fakes, base64_encode(random_bytes(18)), ChannelBinding{std::move(binding), required});
}

}  // namespace postrider::sasl
