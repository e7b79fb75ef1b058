#include "common/sasl/password.h"

#include <argon2.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <stdexcept>

#include "common/base/base64.h"
#include "common/base/random.h"

namespace postrider::sasl {
namespace {

// OWASP's second choice for argon2id: 19 MiB, two passes, one lane.
constexpr uint32_t kArgonMemoryKib = 19 << 10;
constexpr uint32_t kArgonPasses = 2;
constexpr uint32_t kArgonLanes = 1;
constexpr size_t kArgonSaltOctets = 16;
constexpr size_t kArgonHashOctets = 32;

const unsigned char* octets(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string argon2id_of(std::string_view password) {
  const std::string salt = random_bytes(kArgonSaltOctets);
  std::string encoded(
      argon2_encodedlen(kArgonPasses, kArgonMemoryKib, kArgonLanes, kArgonSaltOctets, kArgonHashOctets, Argon2_id),
      '\0');
  const int error = argon2id_hash_encoded(kArgonPasses, kArgonMemoryKib, kArgonLanes, password.data(), password.size(),
                                          salt.data(), salt.size(), kArgonHashOctets, encoded.data(), encoded.size());
  if (error != ARGON2_OK) throw std::runtime_error(std::string("argon2: ") + argon2_error_message(error));
  encoded.resize(encoded.find('\0'));
  return encoded;
}

std::string base64_unpadded(std::string_view bytes) {
  std::string text = base64_encode(bytes);
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string out(kScramKeyOctets, '\0');
  unsigned int length = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(),
           reinterpret_cast<unsigned char*>(out.data()), &length) == nullptr) {
    throw std::runtime_error("OpenSSL cannot compute HMAC-SHA-256");
  }
  return out;
}

std::string sha256(std::string_view text) {
  std::string out(kScramKeyOctets, '\0');
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &length, EVP_sha256(),
                 nullptr) != 1) {
    throw std::runtime_error("OpenSSL cannot compute SHA-256");
  }
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

ScramClientKeys derive_scram_client_keys(std::string_view prepared_password, std::string_view salt, int iterations) {
  std::string salted(kScramKeyOctets, '\0');
  if (PKCS5_PBKDF2_HMAC(prepared_password.data(), static_cast<int>(prepared_password.size()), octets(salt),
                        static_cast<int>(salt.size()), iterations, EVP_sha256(), static_cast<int>(salted.size()),
                        reinterpret_cast<unsigned char*>(salted.data())) != 1) {
    throw std::runtime_error("OpenSSL cannot compute PBKDF2");
  }
  ScramClientKeys keys;
  keys.client_key = hmac_sha256(salted, "Client Key");
  keys.server_key = hmac_sha256(salted, "Server Key");
  OPENSSL_cleanse(salted.data(), salted.size());
  return keys;
}

ScramKeys derive_scram_keys(std::string_view prepared_password, std::string_view salt, int iterations) {
  ScramClientKeys keys = derive_scram_client_keys(prepared_password, salt, iterations);
  return {sha256(keys.client_key), std::move(keys.server_key)};
}

Result<PasswordRecord> make_password_record(std::string_view password) {
  if (password.empty()) return failure("the password is empty; give one with at least one character");
  if (password.size() > kMaxPasswordOctets) {
    return failure(fmt::format("the password is longer than {} octets; choose a shorter one", kMaxPasswordOctets));
  }
  auto prepared = saslprep(password, true);
  if (!prepared) return tl::unexpected(prepared.error());
  if (prepared->empty()) return failure("the password has no visible character; choose another one");
  PasswordRecord record;
  record.argon2id = argon2id_of(*prepared);
  record.scram_salt = random_bytes(kScramSaltOctets);
  record.scram_iterations = kScramIterations;
  auto keys = derive_scram_keys(*prepared, record.scram_salt, record.scram_iterations);
  record.stored_key = std::move(keys.stored_key);
  record.server_key = std::move(keys.server_key);
  return record;
}

bool verify_password(const PasswordRecord& record, std::string_view password) {
  // What cannot be right is hashed all the same, so that the time it takes says nothing.
  auto prepared = password.size() <= kMaxPasswordOctets ? saslprep(password, false) : Result<std::string>("");
  const bool possible = prepared && !prepared->empty();
  const std::string candidate = possible ? *prepared : std::string("x");
  const bool right = argon2id_verify(record.argon2id.c_str(), candidate.data(), candidate.size()) == ARGON2_OK;
  return right && possible;
}

const PasswordRecord& dummy_record() {
  static const PasswordRecord record = [] {
    PasswordRecord made;
    made.argon2id =
        fmt::format("$argon2id$v=19$m={},t={},p={}${}${}", kArgonMemoryKib, kArgonPasses, kArgonLanes,
                    base64_unpadded(random_bytes(kArgonSaltOctets)), base64_unpadded(random_bytes(kArgonHashOctets)));
    made.scram_salt = random_bytes(kScramSaltOctets);
    made.scram_iterations = kScramIterations;
    made.stored_key = random_bytes(kScramKeyOctets);
    made.server_key = random_bytes(kScramKeyOctets);
    return made;
  }();
  return record;
}

namespace {
constexpr std::string_view kOutside = "{OUTSIDE}";
}  // namespace

PasswordRecord outside_password_record(std::string_view user) {
  PasswordRecord record;
  record.argon2id = std::string(kOutside) + std::string(user);
  record.scram_salt = random_bytes(kScramSaltOctets);
  record.scram_iterations = kScramIterations;
  record.stored_key = random_bytes(kScramKeyOctets);
  record.server_key = random_bytes(kScramKeyOctets);
  return record;
}

std::string_view outside_user(const PasswordRecord& record) {
  const std::string_view text = record.argon2id;
  return text.starts_with(kOutside) ? text.substr(kOutside.size()) : std::string_view();
}

VerifiedCache::VerifiedCache() : key_(random_bytes(32)) {}

std::string VerifiedCache::tag(int64_t account, const PasswordRecord& record, std::string_view password) const {
  // Lengths go first, so that no two different triples give one text.
  std::string text = fmt::format("{}:{}:{}:", account, record.argon2id.size(), password.size());
  text += record.argon2id;
  text += password;
  std::string out = hmac_sha256(key_, text);
  OPENSSL_cleanse(text.data(), text.size());
  return out;
}

bool VerifiedCache::verify(int64_t account, const PasswordRecord& record, std::string_view password, Time now) {
  if (const auto user = outside_user(record); !user.empty()) {
    return source_ != nullptr && source_->check(std::string(user), password);
  }
  if (contains(account, record, password, now)) return true;
  if (!verify_password(record, password)) return false;
  remember(account, record, password, now);
  return true;
}

bool VerifiedCache::contains(int64_t account, const PasswordRecord& record, std::string_view password, Time now) const {
  if (password.size() > kMaxPasswordOctets) return false;
  const std::string wanted = tag(account, record, password);
  std::lock_guard lock(mutex_);
  auto found = expires_.find(wanted);
  return found != expires_.end() && now < found->second;
}

void VerifiedCache::remember(int64_t account, const PasswordRecord& record, std::string_view password, Time now) {
  std::string wanted = tag(account, record, password);
  std::lock_guard lock(mutex_);
  if (expires_.size() >= kMaxEntries) make_room(now);
  expires_.insert_or_assign(std::move(wanted), now + kLifetime);
}

void VerifiedCache::make_room(Time now) {
  std::erase_if(expires_, [now](const auto& entry) { return entry.second <= now; });
  if (expires_.size() >= kMaxEntries) expires_.clear();  // costs each client one argon2, which is what it saved
}

size_t VerifiedCache::size() const {
  std::lock_guard lock(mutex_);
  return expires_.size();
}

}  // namespace postrider::sasl
