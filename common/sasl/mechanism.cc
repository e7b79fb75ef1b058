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

/// [authzid]: an address of the certificate, or nothing for its first one.
class External final : public Mechanism {
 public:
  explicit External(std::vector<std::string> addresses) : addresses_(std::move(addresses)) {}
  Outcome start() override { return Challenge{}; }
  Outcome step(std::string_view message) override {
    if (message.find('\0') != std::string_view::npos) return malformed();
    for (const std::string& address : addresses_) {
      if (!message.empty() && !iequals(message, address)) continue;
      auto name = user_name(address);
      if (name) return Vouched{std::move(*name)};
    }
    return Failed{FailureKind::rejected};
  }
  Outcome supply(const PasswordRecord*) override { return malformed(); }

 private:
  std::vector<std::string> addresses_;
};

}  // namespace

std::string_view to_string(MechanismName name) {
  switch (name) {
    case MechanismName::external:
      return "EXTERNAL";
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

std::vector<MechanismName> mechanisms(const Channel& channel) {
  std::vector<MechanismName> names;
  if (!channel.addresses.empty()) names.push_back(MechanismName::external);
  if (!channel.binding.empty()) names.push_back(MechanismName::scram_sha_256_plus);
  names.insert(names.end(), kMechanismNames.begin(), kMechanismNames.end());
  return names;
}

std::optional<MechanismName> parse_mechanism_name(std::string_view text, const Channel& channel) {
  for (MechanismName name : mechanisms(channel)) {
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

std::unique_ptr<Mechanism> make_mechanism(MechanismName name, const FakeRecords& fakes, Channel channel) {
  switch (name) {
    case MechanismName::external:
      return std::make_unique<External>(std::move(channel.addresses));
    case MechanismName::plain:
      return std::make_unique<Plain>();
    case MechanismName::login:
      return std::make_unique<Login>();
    case MechanismName::scram_sha_256:
    case MechanismName::scram_sha_256_plus:
      break;
  }
  bool required = name == MechanismName::scram_sha_256_plus;
  return make_scram(fakes, base64_encode(random_bytes(18)), ChannelBinding{std::move(channel.binding), required});
}

}  // namespace postrider::sasl
