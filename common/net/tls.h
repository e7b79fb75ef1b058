// TLS contexts: a certificate and key from files, made anew when the files change. TLS 1.2 or newer.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/result.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using SSL_SESSION = struct ssl_session_st;

namespace postrider::net {

struct TlsSession {
  std::string protocol;  // "TLSv1.3"
  std::string cipher;    // "TLS_AES_256_GCM_SHA384"
  int bits = 0;
  std::string server_name;  // SNI, as sent
  // Client side: the certificate is valid for that name and leads to an authority, or fits a TLSA record.
  bool verified = false;
  std::string trouble;     // why it is not
  std::string failure;     // the same as a result type of TLS-RPT (RFC 8460 4.3.1)
  bool no_anchor = false;  // there were TLSA records, and OpenSSL can use none of them (RFC 7672 2.2)
  bool resumed = false;    // goes on with the secrets of an earlier connection
};

/// What DNSSEC says of a server's certificate (RFC 7672).
struct DaneAnchors {
  std::vector<std::string> tlsa;   // RDATA; empty: nothing, authorities and the name decide
  std::vector<std::string> names;  // that the certificate may have besides the host's, where usage 2 looks at names
};

/// PEM files: the chain, leaf first, and its key.
struct CertificateFiles {
  std::string certificate, key;
  bool operator==(const CertificateFiles&) const = default;
};

constexpr size_t kMaxCertificates = 1'000;   // of a server
constexpr size_t kMaxClientAddresses = 100;  // that are read from one certificate

/// What a server shows: the certificates that are good for the name that the client asks for (SNI), one of each kind of
/// key; those for the first certificate's names where it asks for none, or for one that nobody here has.
class TlsServerContext {
 public:
  /// The error names the file and what to do. certificates: one at least. client_ca: a PEM file of authorities whose
  /// certificates clients may show; empty: none is asked for.
  static Result<std::shared_ptr<TlsServerContext>> load(const std::vector<CertificateFiles>& certificates,
                                                        const std::string& client_ca = {});
  static Result<std::shared_ptr<TlsServerContext>> load(const std::string& certificate_file,
                                                        const std::string& key_file) {
    return load({{certificate_file, key_file}});
  }
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;
  SSL_CTX* native() const { return context_; }
  /// Asks for a certificate in this handshake; none has to be shown, and one that is not good does no harm. Nothing
  /// where no authority is known.
  void ask_client(SSL* tls) const;
  /// When the first of the certificates expires, as unix time.
  int64_t expires() const;

 private:
  explicit TlsServerContext(SSL_CTX* context);
  Result<void> trust_clients_of(const std::string& file);
  struct Certificate;
  static int choose(SSL* tls, void* self);
  std::vector<const Certificate*> fitting(const char* name) const;

  SSL_CTX* context_;
  std::vector<std::unique_ptr<Certificate>> certificates_;
  std::vector<const Certificate*> default_;
  bool trusts_clients_ = false;
};

constexpr size_t kMaxTlsSessions = 2'000;  // that are kept to be resumed

/// For connections to other servers: takes any certificate and records whether it was a good one (RFC 7435); whoever
/// needs a good one looks at TlsSession::verified before the first word. Remembers sessions, so that the next
/// connection to the same peer needs no full handshake.
class TlsClientContext {
 public:
  /// Trusts the system's authorities. Throws std::runtime_error when OpenSSL gives no context.
  static std::shared_ptr<TlsClientContext> make();
  /// Trusts the certificates of this PEM file too. Before the first connection.
  Result<void> trust(const std::string& certificate_file);
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;
  SSL_CTX* native() const { return context_; }

  /// Before the handshake: takes up that peer's last session, if there is one, and keeps the next ones. peer must live
  /// as long as tls.
  void prepare(SSL* tls, const std::string* peer);

 private:
  explicit TlsClientContext(SSL_CTX* context);
  static int new_session(SSL* tls, SSL_SESSION* session);
  void keep(const std::string& peer, SSL_SESSION* session);

  SSL_CTX* context_;
  std::mutex mutex_;
  std::map<std::string, SSL_SESSION*> sessions_;  // owned
};

/// Writes a self-signed certificate (ECDSA P-256, ten years, the name as subjectAltName) and its key (0640), when
/// neither file is there. Missing folders are made. Nothing is done, and that is no error, when one of the files is
/// there.
Result<void> make_self_signed(const std::string& certificate_file, const std::string& key_file,
                              const std::string& host_name);

struct CertificateFacts {
  int64_t not_after = 0;     // seconds since 1970
  bool self_signed = false;  // issued by itself
  bool covers_host = false;  // valid for the host name asked about
  std::string key_sha256;    // of its SubjectPublicKeyInfo, in hexadecimal: what a TLSA record 3 1 1 says (RFC 6698)
};
/// What a certificate file says, for people who ask what is wrong. host_name: without a trailing dot.
Result<CertificateFacts> inspect_certificate(const std::string& certificate_file, const std::string& host_name);

}  // namespace postrider::net
