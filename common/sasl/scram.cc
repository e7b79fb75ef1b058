// RFC 5802 with SHA-256 (RFC 7677), with and without channel binding by tls-exporter (RFC 9266).
#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/sasl/mechanism.h"
#include "common/sasl/scram_syntax.h"

namespace postrider::sasl {
namespace {

constexpr size_t kMaxNonceOctets = 512;

/// printable = %x21-2B / %x2D-7E
bool is_nonce(std::string_view text) {
  if (text.empty() || text.size() > kMaxNonceOctets) return false;
  for (char c : text) {
    if (c < 0x21 || c > 0x7e || c == ',') return false;
  }
  return true;
}

class Scram final : public Mechanism {
 public:
  Scram(const FakeRecords& fakes, std::string server_nonce, ChannelBinding binding)
      : fakes_(fakes), server_nonce_(std::move(server_nonce)), binding_(std::move(binding)) {}

  Outcome start() override { return Challenge{}; }

  Outcome step(std::string_view message) override {
    switch (state_) {
      case State::client_first:
        return client_first(message);
      case State::client_final:
        return client_final(message);
      case State::confirmation:
        state_ = State::ended;
        if (!message.empty()) break;
        return Authenticated{user_};
      case State::credentials:
      case State::ended:
        break;
    }
    return fail(FailureKind::malformed);
  }

  Outcome supply(const PasswordRecord* record) override {
    if (state_ != State::credentials) return fail(FailureKind::malformed);
    known_ = record != nullptr && record->scram_iterations > 0 && record->stored_key.size() == kScramKeyOctets;
    const PasswordRecord used = known_ ? *record : fakes_.record_for(user_);
    stored_key_ = used.stored_key;
    server_key_ = used.server_key;
    server_first_ = fmt::format("r={},s={},i={}", nonce_, base64_encode(used.scram_salt), used.scram_iterations);
    state_ = State::client_final;
    return Challenge{server_first_};
  }

 private:
  enum class State { client_first, credentials, client_final, confirmation, ended };

  Outcome fail(FailureKind kind) {
    state_ = State::ended;
    return Failed{kind};
  }

  /// gs2-header client-first-message-bare
  Outcome client_first(std::string_view message) {
    // "p=": channel binding. "y": the client could, and thinks that we cannot: where we can, somebody between us
    // took the offer away (RFC 5802 6).
    constexpr std::string_view kBound = "p=tls-exporter,";
    std::string_view begin = binding_.required ? kBound : message.substr(0, 2);
    if (!message.starts_with(begin) || (begin != kBound && begin != "n," && begin != "y,"))
      return fail(FailureKind::malformed);
    if (begin == "y," && !binding_.data.empty()) return fail(FailureKind::rejected);
    std::string_view rest = message.substr(begin.size());
    std::optional<std::string> authzid = std::string();
    if (rest.starts_with("a=")) {
      const auto value = take_attribute(rest, 'a');
      authzid = decode_saslname(*value);
    } else {
      if (!rest.starts_with(",")) return fail(FailureKind::malformed);
      rest.remove_prefix(1);
    }
    gs2_header_ = message.substr(0, message.size() - rest.size());
    client_first_bare_ = rest;

    const auto encoded_name = take_attribute(rest, 'n');  // an "m=" here is an extension that must be understood
    const auto nonce = encoded_name ? take_attribute(rest, 'r') : std::nullopt;
    if (!nonce || !is_nonce(*nonce) || !authzid) return fail(FailureKind::malformed);
    const auto name = decode_saslname(*encoded_name);
    if (!name) return fail(FailureKind::malformed);
    if (name->empty() || name->size() > kMaxUserOctets) return fail(FailureKind::rejected);
    const auto prepared = saslprep(*name, false);
    if (!prepared || prepared->empty()) return fail(FailureKind::rejected);
    if (!authzid->empty() && !iequals(*authzid, *prepared)) return fail(FailureKind::rejected);
    user_ = *prepared;
    nonce_ = std::string(*nonce) + server_nonce_;
    state_ = State::credentials;
    return NeedCredentials{user_};
  }

  /// channel-binding "," nonce ["," extensions] "," proof
  Outcome client_final(std::string_view message) {
    const auto proof_at = message.rfind(",p=");
    if (proof_at == std::string_view::npos) return fail(FailureKind::malformed);
    const std::string_view without_proof = message.substr(0, proof_at);
    const auto proof = base64_decode(message.substr(proof_at + 3));
    std::string_view rest = without_proof;
    const auto binding = take_attribute(rest, 'c');
    const auto nonce = binding ? take_attribute(rest, 'r') : std::nullopt;
    if (!nonce || !proof || proof->size() != kScramKeyOctets) return fail(FailureKind::malformed);
    const std::string expected = binding_.required ? gs2_header_ + binding_.data : gs2_header_;
    if (base64_decode(*binding) != expected || *nonce != nonce_) return fail(FailureKind::rejected);

    const std::string auth_message = fmt::format("{},{},{}", client_first_bare_, server_first_, without_proof);
    std::string client_key = hmac_sha256(stored_key_, auth_message);
    for (size_t i = 0; i < client_key.size(); ++i) client_key[i] = static_cast<char>(client_key[i] ^ (*proof)[i]);
    const bool right = equal_constant_time(sha256(client_key), stored_key_);
    if (!right || !known_) return fail(FailureKind::rejected);
    state_ = State::confirmation;
    return Challenge{"v=" + base64_encode(hmac_sha256(server_key_, auth_message))};
  }

  const FakeRecords& fakes_;
  const std::string server_nonce_;
  const ChannelBinding binding_;
  State state_ = State::client_first;
  bool known_ = false;
  std::string gs2_header_, client_first_bare_, server_first_;
  std::string user_, nonce_, stored_key_, server_key_;
};

}  // namespace

std::unique_ptr<Mechanism> make_scram(const FakeRecords& fakes, std::string server_nonce, ChannelBinding binding) {
  return std::make_unique<Scram>(fakes, std::move(server_nonce), std::move(binding));
}

}  // namespace postrider::sasl
