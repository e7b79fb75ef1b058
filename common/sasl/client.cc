#include "common/sasl/client.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/base/number.h"
#include "common/base/random.h"
#include "common/sasl/scram_syntax.h"

namespace postrider::sasl {
namespace {

class PlainClient final : public ClientMechanism {
 public:
  PlainClient(std::string user, std::string password) : user_(std::move(user)), password_(std::move(password)) {}
  std::optional<std::string> initial() override {
    using namespace std::string_literals;
    return "\0"s + user_ + "\0"s + password_;
  }
  Result<std::string> answer(std::string_view) override {
    return failure("The server asks more than the mechanism PLAIN has.");
  }
  bool may_succeed() const override { return true; }

 private:
  const std::string user_, password_;
};

/// Two questions, whose words differ from server to server.
class LoginClient final : public ClientMechanism {
 public:
  LoginClient(std::string user, std::string password) : user_(std::move(user)), password_(std::move(password)) {}
  std::optional<std::string> initial() override { return std::nullopt; }
  Result<std::string> answer(std::string_view) override {
    switch (asked_++) {
      case 0:
        return user_;
      case 1:
        return password_;
      default:
        return failure("The server asks more than the mechanism LOGIN has.");
    }
  }
  bool may_succeed() const override { return true; }

 private:
  const std::string user_, password_;
  int asked_ = 0;
};

class ScramClient final : public ClientMechanism {
 public:
  ScramClient(std::string_view user, std::string password, std::string nonce)
      : nonce_(std::move(nonce)),
        first_bare_(fmt::format("n={},r={}", encode_saslname(user), nonce_)),
        password_(std::move(password)) {}

  std::optional<std::string> initial() override { return "n,," + first_bare_; }

  Result<std::string> answer(std::string_view challenge) override {
    switch (state_) {
      case State::first:
        return server_first(challenge);
      case State::proof:
        return server_final(challenge);
      case State::verified:
        break;
    }
    return failure("The server asks more than the mechanism SCRAM-SHA-256 has.");
  }
  bool may_succeed() const override { return state_ == State::verified; }

 private:
  enum class State { first, proof, verified };

  /// nonce "," salt "," iteration-count ["," extensions]
  Result<std::string> server_first(std::string_view message) {
    std::string_view rest = message;
    const auto nonce = take_attribute(rest, 'r');  // an "m=" here is an extension that must be understood
    const auto salt_text = nonce ? take_attribute(rest, 's') : std::nullopt;
    const auto count = salt_text ? take_attribute(rest, 'i') : std::nullopt;
    const auto salt = salt_text ? base64_decode(*salt_text) : std::nullopt;
    const auto iterations = count ? parse_number<unsigned>(*count) : std::nullopt;
    if (!salt || salt->empty() || !iterations || *iterations == 0) {
      return failure("What the server says is not SCRAM-SHA-256.");
    }
    if (*iterations > static_cast<unsigned>(kMaxScramIterations)) {
      return failure(
          fmt::format("The server asks for {} iterations of SCRAM-SHA-256, which is too many.", *iterations));
    }
    if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size()) {
      return failure("The server answers another client's SCRAM-SHA-256.");
    }
    const ScramClientKeys keys = derive_scram_client_keys(password_, *salt, static_cast<int>(*iterations));
    const std::string without_proof = fmt::format("c=biws,r={}", *nonce);  // "n,,": no channel binding
    const std::string auth_message = fmt::format("{},{},{}", first_bare_, message, without_proof);
    std::string proof = hmac_sha256(sha256(keys.client_key), auth_message);
    for (size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ keys.client_key[i]);
    signature_ = hmac_sha256(keys.server_key, auth_message);
    state_ = State::proof;
    return fmt::format("{},p={}", without_proof, base64_encode(proof));
  }

  Result<std::string> server_final(std::string_view message) {
    const auto verifier = take_attribute(message, 'v');
    const auto signature = verifier ? base64_decode(*verifier) : std::nullopt;
    if (!signature || !equal_constant_time(*signature, signature_)) {
      return failure("The server does not prove that it knows the password: it may not be the one it claims to be.");
    }
    state_ = State::verified;
    return std::string();
  }

  const std::string nonce_, first_bare_, password_;
  std::string signature_;
  State state_ = State::first;
};

}  // namespace

Result<std::unique_ptr<ClientMechanism>> make_scram_client(std::string user, std::string password, std::string nonce) {
  auto prepared_user = saslprep(user, false);
  if (!prepared_user) return tl::unexpected(prepared_user.error());
  auto prepared = saslprep(password, false);
  if (!prepared) return tl::unexpected(prepared.error());
  return std::make_unique<ScramClient>(*prepared_user, std::move(*prepared), std::move(nonce));
}

Result<std::unique_ptr<ClientMechanism>> make_client(MechanismName name, std::string user, std::string password) {
  switch (name) {
    case MechanismName::plain:
      return std::make_unique<PlainClient>(std::move(user), std::move(password));
    case MechanismName::login:
      return std::make_unique<LoginClient>(std::move(user), std::move(password));
    case MechanismName::scram_sha_256:
      break;
    case MechanismName::scram_sha_256_plus:
    case MechanismName::external:
      return failure(fmt::format("{} is not spoken as a client.", to_string(name)));
  }
  return make_scram_client(std::move(user), std::move(password), base64_encode(random_bytes(18)));
}

std::optional<MechanismName> choose_mechanism(std::string_view offered, bool protected_channel) {
  for (MechanismName name : kMechanismNames) {
    if (reveals_password(name) && !protected_channel) continue;
    std::string_view rest = offered;
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
      if (iequals(word, to_string(name))) return name;
    }
  }
  return std::nullopt;
}

}  // namespace postrider::sasl
