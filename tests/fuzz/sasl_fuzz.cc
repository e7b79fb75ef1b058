// Logging in: what a client says to each mechanism, and what a server says to ours. Nobody is let in who does not know
// the password.
#include <memory>
#include <string>
#include <variant>

#include "common/sasl/app_password.h"
#include "common/sasl/authenticator.h"
#include "common/sasl/client.h"
#include "common/sasl/mechanism.h"
#include "common/sasl/scram_syntax.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr sasl::MechanismName kNames[] = {sasl::MechanismName::plain, sasl::MechanismName::login,
                                          sasl::MechanismName::scram_sha_256, sasl::MechanismName::scram_sha_256_plus,
                                          sasl::MechanismName::external};
constexpr int kMaxSteps = 10;
constexpr int kFewIterations = 4'096;

/// Without the half for Argon2, which costs too much to be tried often.
const sasl::PasswordRecord& record() {
  static const sasl::PasswordRecord made = [] {
    sasl::PasswordRecord record;
    record.scram_salt = "0123456789abcdef";
    record.scram_iterations = kFewIterations;
    const auto keys = sasl::derive_scram_keys("secret", record.scram_salt, record.scram_iterations);
    record.stored_key = keys.stored_key;
    record.server_key = keys.server_key;
    return record;
  }();
  return made;
}

void serve(fuzz::Input input) {
  static const sasl::FakeRecords fakes(std::string(32, 'k'));
  const sasl::MechanismName name = kNames[input.choice(std::size(kNames))];
  sasl::Channel channel;
  if (name == sasl::MechanismName::scram_sha_256_plus || input.choice(2) == 1) channel.binding = "binding";
  if (name == sasl::MechanismName::external) channel.addresses = {"alice@example.org"};
  const bool known = input.choice(2) == 0;
  sasl::Authenticator authenticator(name, fakes, channel);
  std::optional<std::string_view> initial;
  if (input.choice(2) == 1) initial = input.line();
  sasl::Outcome outcome = authenticator.begin(initial);
  for (int step = 0; step < kMaxSteps; ++step) {
    if (const auto* need = std::get_if<sasl::NeedCredentials>(&outcome)) {
      must(need->user.size() <= sasl::kMaxUserOctets, "a user's name has a limit");
      outcome = authenticator.supply(known ? &record() : nullptr);
    } else if (const auto* challenge = std::get_if<sasl::Challenge>(&outcome)) {
      must(sasl::encode_challenge(*challenge).find_first_of("\r\n") == std::string::npos, "a challenge is one line");
      if (input.at_end()) return;
      outcome = authenticator.line(input.line());
    } else {
      break;
    }
  }
  if (const auto* check = std::get_if<sasl::CheckPassword>(&outcome)) {
    must(sasl::reveals_password(name), "only PLAIN and LOGIN bring a password");
    must(check->user.find('\0') == std::string::npos && !check->user.empty(), "a name is one");
    must(check->password.size() <= sasl::kMaxMessageOctets, "a password has a limit");
  }
  if (const auto* vouched = std::get_if<sasl::Vouched>(&outcome)) {
    must(vouched->user == "alice@example.org", "a certificate vouches for its own addresses");
  }
  must(!std::holds_alternative<sasl::Authenticated>(outcome), "nobody proves what they do not know");
}

/// A server may ask for seconds of hashing; not here.
bool is_costly(std::string_view challenge) {
  const size_t at = challenge.find("i=");
  return at != std::string_view::npos && challenge.find_first_not_of("0123456789", at + 2) > at + 6;
}

void log_in(fuzz::Input input) {
  const sasl::MechanismName name = kNames[input.choice(3)];
  auto client = sasl::make_client(name, "alice", "secret");
  if (name == sasl::MechanismName::scram_sha_256 && input.choice(2) == 1) {
    client = sasl::make_scram_client("al,i=ce", "secret", "nonce");
  }
  must(client.has_value(), "a mechanism of ours");
  (*client)->initial();
  for (int step = 0; step < kMaxSteps && !input.at_end(); ++step) {
    const std::string_view challenge = input.line();
    if (is_costly(challenge) || !(*client)->answer(challenge)) break;
  }
  if (name == sasl::MechanismName::scram_sha_256) must(!(*client)->may_succeed(), "a server has to prove itself");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  if (input.choice(2) == 0) {
    serve(input);
  } else {
    log_in(input);
  }
  const std::string_view text = input.rest();
  must(sasl::decode_saslname(sasl::encode_saslname(text)) == text, "a name both ways");
  sasl::decode_saslname(text);
  std::string_view rest = text;
  while (sasl::take_attribute(rest, rest.empty() ? 'x' : rest.front()))
    must(rest.size() < text.size(), "it is taken off");
  sasl::choose_mechanism(text, true);
  sasl::parse_mechanism_name(text);
  sasl::app_password_hash(text);
  if (const auto prepared = sasl::saslprep(text.substr(0, 200), false)) {
    const auto again = sasl::saslprep(*prepared, false);
    must(again && *again == *prepared, "preparing once is enough");
  }
  return 0;
}
