#include "common/mailauth/dkim_crypto.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdexcept>

#include "common/base/base64.h"

namespace postrider::dkim {
namespace {

constexpr size_t kEd25519 = 32;  // octets of a public key

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;
struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

Key own(EVP_PKEY* key) {
  return Key(key, [](EVP_PKEY* held) { EVP_PKEY_free(held); });
}

const unsigned char* octets_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* octets_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

void check(bool done, const char* what) {
  if (done) return;
  ERR_clear_error();
  throw std::runtime_error(fmt::format("OpenSSL cannot {}", what));
}

std::string sha256(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

/// Ed25519 signs the hash (RFC 8463 3), RSA hashes what it signs.
bool is_ed25519(const Key& key) {
  return EVP_PKEY_get_id(key.get()) == EVP_PKEY_ED25519;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "hash");
}

void Sha256::update(std::string_view octets) {
  check(EVP_DigestUpdate(context_.get(), octets.data(), octets.size()) == 1, "hash");
}

std::string Sha256::finish() {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  check(EVP_DigestFinal_ex(context_.get(), octets_of(digest), &size) == 1, "hash");
  digest.resize(size);
  return digest;
}

Result<Key> load_public_key(const KeyRecord& record) {
  if (record.algorithm == Algorithm::ed25519_sha256) {
    if (record.key.size() != kEd25519) return failure("the key is no Ed25519 key");
    Key key =
        own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets_of(std::string_view(record.key)), kEd25519));
    ERR_clear_error();
    if (!key) return failure("the key is no Ed25519 key");
    return key;
  }
  const unsigned char* begin = octets_of(std::string_view(record.key));
  const auto size = static_cast<long>(record.key.size());
  Key key = own(d2i_PUBKEY(nullptr, &begin, size));
  if (!key) {
    begin = octets_of(std::string_view(record.key));
    key = own(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &begin, size));
  }
  ERR_clear_error();
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return failure("the key is no RSA key");
  const int bits = EVP_PKEY_get_bits(key.get());
  if (bits < kMinRsaBits) return failure(fmt::format("the key has {} bits, which is too few", bits));
  if (bits > kMaxRsaBits) return failure(fmt::format("the key has {} bits, which is too many", bits));
  return key;
}

bool verify(const Key& key, Algorithm algorithm, std::string_view data, std::string_view signature) {
  const Context context(EVP_MD_CTX_new());
  const bool ed25519 = algorithm == Algorithm::ed25519_sha256;
  const std::string digest = ed25519 ? sha256(data) : std::string();
  if (ed25519) data = digest;
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, ed25519 ? nullptr : EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), octets_of(signature), signature.size(), octets_of(data), data.size()) == 1;
  ERR_clear_error();
  return good;
}

Key generate_key(Algorithm algorithm) {
  Key key =
      own(algorithm == Algorithm::ed25519_sha256 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                                 : EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{kMadeRsaBits}));
  check(key != nullptr, "make a key");
  return key;
}

std::string private_key_pem(const Key& key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  check(bio && PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
        "write a key");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<Key> load_private_key(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // No password is asked for: a daemon has nobody to ask.
  Key key = own(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  if (!key) return failure("it holds no private key");
  if (auto algorithm = algorithm_of(key); !algorithm) return tl::unexpected(algorithm.error());
  return key;
}

Result<Algorithm> algorithm_of(const Key& key) {
  if (is_ed25519(key)) return Algorithm::ed25519_sha256;
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return failure("the key is neither RSA nor Ed25519");
  const int bits = EVP_PKEY_get_bits(key.get());
  if (bits < kMinRsaBits || bits > kMaxRsaBits) return failure(fmt::format("an RSA key of {} bits is of no use", bits));
  return Algorithm::rsa_sha256;
}

std::string sign(const Key& key, std::string_view data) {
  const Context context(EVP_MD_CTX_new());
  const bool ed25519 = is_ed25519(key);
  const std::string digest = ed25519 ? sha256(data) : std::string();
  if (ed25519) data = digest;
  check(EVP_DigestSignInit(context.get(), nullptr, ed25519 ? nullptr : EVP_sha256(), nullptr, key.get()) == 1, "sign");
  size_t size = 0;
  check(EVP_DigestSign(context.get(), nullptr, &size, octets_of(data), data.size()) == 1, "sign");
  std::string signature(size, '\0');
  check(EVP_DigestSign(context.get(), octets_of(signature), &size, octets_of(data), data.size()) == 1, "sign");
  signature.resize(size);
  return signature;
}

std::string key_record_text(const Key& key) {
  if (is_ed25519(key)) {
    std::string raw(kEd25519, '\0');
    size_t size = raw.size();
    check(EVP_PKEY_get_raw_public_key(key.get(), octets_of(raw), &size) == 1, "read a key");
    return fmt::format("v=DKIM1; k=ed25519; p={}", base64_encode(raw));
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  check(size > 0, "read a key");
  const std::string octets(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return fmt::format("v=DKIM1; k=rsa; p={}", base64_encode(octets));
}

}  // namespace postrider::dkim
