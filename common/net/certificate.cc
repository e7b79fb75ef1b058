// Making a self-signed certificate, and reading what one says.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/net/openssl.h"
#include "common/net/tls.h"

namespace postrider::net {
namespace {

constexpr long kTenYears = 3'652L * 86'400;  // seconds
constexpr int kSerialBits = 128;

bool is_ip_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_random_serial(X509* certificate) {
  BIGNUM* number = BN_new();
  const bool done = number != nullptr && BN_rand(number, kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return done;
}

/// nullptr: OpenSSL's error queue says why.
CertificatePtr make_certificate(EVP_PKEY* key, const std::string& host_name) {
  CertificatePtr certificate(X509_new());
  if (!certificate) return nullptr;
  X509_set_version(certificate.get(), X509_VERSION_3);
  if (!set_random_serial(certificate.get())) return nullptr;
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -86'400);  // clocks differ
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kTenYears);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  // A common name has at most 64 characters; the subjectAltName is what counts.
  const std::string common = host_name.size() <= 64 ? host_name : "postrider";
  const auto* text = reinterpret_cast<const unsigned char*>(common.c_str());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  const std::string alternative = (is_ip_address(host_name) ? "IP:" : "DNS:") + host_name;
  if (!add_extension(certificate.get(), NID_subject_alt_name, alternative) ||
      !add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(certificate.get(), NID_ext_key_usage, "serverAuth") ||
      X509_sign(certificate.get(), key, EVP_sha256()) == 0) {
    return nullptr;
  }
  return certificate;
}

/// Makes a file with that mode and the PEM text that fill gives; it is there as a whole or not at all. False: errno
/// says why.
template <class Fill>
bool write_pem(const std::string& path, mode_t mode, Fill fill) {
  BioPtr memory(BIO_new(BIO_s_mem()));
  if (!memory || fill(memory.get()) != 1) {
    errno = ENOMEM;
    return false;
  }
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(memory.get(), &bytes));
  const std::string unfinished = path + ".new";
  const int file = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return false;
  ::fchmod(file, mode);
  const bool written = ::write(file, bytes, size) == static_cast<ssize_t>(size) && ::fsync(file) == 0;
  const int reason = errno;
  ::close(file);
  errno = reason;
  return written && ::rename(unfinished.c_str(), path.c_str()) == 0;
}

/// Both daemons may start at once: one makes the pair, the other waits for the whole of it.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder) : file_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (file_ >= 0) ::flock(file_, LOCK_EX);
  }
  ~FolderLock() {
    if (file_ >= 0) ::close(file_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

CertificatePtr read_certificate(const std::string& file) {
  BioPtr bio(BIO_new_file(file.c_str(), "r"));
  if (!bio) return nullptr;
  return CertificatePtr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

std::string key_hash(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned digest_size = 0;
  const bool hashed =
      EVP_Digest(der, static_cast<size_t>(size), digest.data(), &digest_size, EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  return hashed ? fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + digest_size, "")) : std::string();
}

}  // namespace

Result<void> make_self_signed(const std::string& certificate_file, const std::string& key_file,
                              const std::string& host_name) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto either_is_there = [&] { return fs::exists(certificate_file, error) || fs::exists(key_file, error); };
  for (const std::string& file : {certificate_file, key_file}) {
    if (either_is_there()) break;
    const fs::path folder = fs::path(file).parent_path();
    if (!folder.empty()) fs::create_directories(folder, error);
    if (error) return failure(fmt::format("The folder {} cannot be made: {}.", folder.string(), error.message()));
  }
  const std::string folder = fs::path(key_file).parent_path().string();
  const FolderLock lock(folder.empty() ? "." : folder);
  if (either_is_there()) return {};
  KeyPtr key(EVP_EC_gen("P-256"));
  CertificatePtr certificate = key ? make_certificate(key.get(), host_name) : nullptr;
  if (!certificate) return failure(fmt::format("No certificate can be made for {}: {}.", host_name, openssl_error()));
  auto key_pem = [&](BIO* to) {
    return PEM_write_bio_PKCS8PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  };
  auto certificate_pem = [&](BIO* to) { return PEM_write_bio_X509(to, certificate.get()); };
  // The key first: a certificate without a key would look like one that somebody put there.
  if (!write_pem(key_file, 0640, key_pem)) {
    return failure(fmt::format("The key file {} cannot be written: {}.", key_file, std::strerror(errno)));
  }
  if (!write_pem(certificate_file, 0644, certificate_pem)) {
    return failure(
        fmt::format("The certificate file {} cannot be written: {}.", certificate_file, std::strerror(errno)));
  }
  return {};
}

Result<CertificateFacts> inspect_certificate(const std::string& certificate_file, const std::string& host_name) {
  CertificatePtr certificate = read_certificate(certificate_file);
  if (!certificate)
    return failure(fmt::format("The certificate file {} cannot be read: {}.", certificate_file, openssl_error()));
  CertificateFacts facts;
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) == 1) facts.not_after = timegm(&end);
  facts.self_signed =
      X509_NAME_cmp(X509_get_subject_name(certificate.get()), X509_get_issuer_name(certificate.get())) == 0;
  facts.covers_host = is_ip_address(host_name)
                          ? X509_check_ip_asc(certificate.get(), host_name.c_str(), 0) == 1
                          : X509_check_host(certificate.get(), host_name.data(), host_name.size(), 0, nullptr) == 1;
  facts.key_sha256 = key_hash(certificate.get());
  return facts;
}

}  // namespace postrider::net
