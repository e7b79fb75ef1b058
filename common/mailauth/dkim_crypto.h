// The keys and hashes of DKIM (RFC 6376, 8301, 8463), over OpenSSL. A private key is never formatted into an error.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/mailauth/dkim_tags.h"

namespace postrider::dkim {

constexpr int kMinRsaBits = 1'024;  // RFC 8301 3.2
constexpr int kMaxRsaBits = 8'192;  // more costs the verifier more than it is worth
constexpr int kMadeRsaBits = 2'048;

using Key = std::shared_ptr<EVP_PKEY>;

class Sha256 {
 public:
  Sha256();
  void update(std::string_view octets);
  std::string finish();

 private:
  struct Deleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Deleter> context_;
};

/// What p= holds: SubjectPublicKeyInfo or RSAPublicKey, or the 32 octets of Ed25519. The error says what is wrong with
/// it.
Result<Key> load_public_key(const KeyRecord& record);
/// data: the canonical header with the signature field at its end.
bool verify(const Key& key, Algorithm algorithm, std::string_view data, std::string_view signature);

Key generate_key(Algorithm algorithm);
/// PKCS#8 in PEM; what stands before "-----BEGIN" is passed over.
std::string private_key_pem(const Key& key);
Result<Key> load_private_key(const std::string& pem);
Result<Algorithm> algorithm_of(const Key& key);
/// Throws std::runtime_error.
std::string sign(const Key& key, std::string_view data);
/// "v=DKIM1; k=rsa; p=...": what DNS is to hold.
std::string key_record_text(const Key& key);

}  // namespace postrider::dkim
