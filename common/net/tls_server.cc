// TlsServerContext: which certificates a server has, and which of them a client gets to see.
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "common/net/openssl.h"
#include "common/net/tls.h"

namespace postrider::net {
namespace {

constexpr unsigned char kSessionContext[] = "postrider";
// Of handshakes that asked for a certificate: no session of another port is good there.
constexpr unsigned char kAskedSessionContext[] = "postrider-asked";
// Elliptic curves and classical groups that are neither weak nor odd.
constexpr const char* kGroups = "X25519:P-256:X448:P-384:P-521";

using ChainPtr =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); })>;

/// Notes what the check says and goes on in any case.
int check_client(X509_STORE_CTX* check, void*) {
  const bool good = X509_verify_cert(check) == 1;
  if (!good && X509_STORE_CTX_get_error(check) == X509_V_OK) X509_STORE_CTX_set_error(check, X509_V_ERR_UNSPECIFIED);
  return 1;
}

/// A ticket carries the client's certificate past its end and past that of its authority: whoever showed one makes a
/// whole handshake again.
SSL_TICKET_RETURN take_ticket(SSL*, SSL_SESSION* session, const unsigned char*, size_t, SSL_TICKET_STATUS status,
                              void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (SSL_SESSION_get0_peer(session) != nullptr) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

}  // namespace

struct TlsServerContext::Certificate {
  CertificatePtr leaf;
  ChainPtr chain;  // without the leaf
  KeyPtr key;

  int kind() const { return EVP_PKEY_get_base_id(key.get()); }
  bool covers(const char* name) const { return X509_check_host(leaf.get(), name, 0, 0, nullptr) == 1; }
  /// Whether it is good for some name of the other one.
  bool covers_names_of(const Certificate& other) const;
};

bool TlsServerContext::Certificate::covers_names_of(const Certificate& other) const {
  std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(other.leaf.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                           static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (covers(text.c_str())) return true;
  }
  return false;
}

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::load(const std::vector<CertificateFiles>& certificates,
                                                                 const std::string& client_ca) {
  ERR_clear_error();
  SslContextPtr context = make_tls_context(TLS_server_method());
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set1_groups_list(context.get(), kGroups);
  // Resumption is by tickets, which cost us no memory.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_num_tickets(context.get(), 1);
  std::shared_ptr<TlsServerContext> server(new TlsServerContext(context.release()));
  if (certificates.size() > kMaxCertificates)
    return failure(fmt::format("There are more than {} certificates.", kMaxCertificates));
  for (const CertificateFiles& files : certificates) {
    // OpenSSL reads files into a context only; this one is thrown away.
    const SslContextPtr reader = make_tls_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(reader.get(), files.certificate.c_str()) != 1) {
      return failure(
          fmt::format("The certificate file {} cannot be used ({}). Put a PEM certificate chain there, readable for "
                      "this user, or remove it together with its key to get a self-signed one.",
                      files.certificate, openssl_error()));
    }
    if (SSL_CTX_use_PrivateKey_file(reader.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(reader.get()) != 1) {
      return failure(
          fmt::format("The key file {} cannot be used ({}). Put the PEM key of the certificate in {} there, readable "
                      "for this user.",
                      files.key, openssl_error(), files.certificate));
    }
    auto certificate = std::make_unique<Certificate>();
    X509* leaf = SSL_CTX_get0_certificate(reader.get());
    EVP_PKEY* key = SSL_CTX_get0_privatekey(reader.get());
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(reader.get(), &chain);
    X509_up_ref(leaf);
    EVP_PKEY_up_ref(key);
    certificate->leaf.reset(leaf);
    certificate->key.reset(key);
    if (chain != nullptr) certificate->chain.reset(X509_chain_up_ref(chain));
    server->certificates_.push_back(std::move(certificate));
  }
  const Certificate& first = *server->certificates_.front();
  server->default_.push_back(&first);
  for (const auto& other : server->certificates_) {
    const auto same_kind = [&](const Certificate* one) { return one->kind() == other->kind(); };
    const bool known = std::any_of(server->default_.begin(), server->default_.end(), same_kind);
    if (!known && other->covers_names_of(first)) server->default_.push_back(other.get());
  }
  SSL_CTX_set_cert_cb(server->context_, &TlsServerContext::choose, server.get());
  if (client_ca.empty()) return server;
  if (auto trusted = server->trust_clients_of(client_ca); !trusted) return tl::unexpected(trusted.error());
  return server;
}

int64_t TlsServerContext::expires() const {
  int64_t first = INT64_MAX;
  for (const auto& certificate : certificates_) {
    std::tm end{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate->leaf.get()), &end) == 1)
      first = std::min<int64_t>(first, timegm(&end));
  }
  return first;
}

Result<void> TlsServerContext::trust_clients_of(const std::string& file) {
  ERR_clear_error();
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
  X509_STORE* store = X509_STORE_new();
  if (names == nullptr || store == nullptr || X509_STORE_load_file(store, file.c_str()) != 1) {
    const std::string reason = openssl_error();
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    X509_STORE_free(store);
    return failure(
        fmt::format("The file {} cannot be used for clients' certificates ({}). Put the PEM certificates of "
                    "their authorities there, or leave tls.client_ca empty.",
                    file, reason));
  }
  SSL_CTX_set_client_CA_list(context_, names);
  SSL_CTX_set0_verify_cert_store(context_, store);
  SSL_CTX_set_cert_verify_callback(context_, check_client, nullptr);
  SSL_CTX_set_session_ticket_cb(context_, nullptr, take_ticket, nullptr);
  trusts_clients_ = true;
  return {};
}

void TlsServerContext::ask_client(SSL* tls) const {
  if (!trusts_clients_) return;
  SSL_set_verify(tls, SSL_VERIFY_PEER, nullptr);
  SSL_set_session_id_context(tls, kAskedSessionContext, sizeof kAskedSessionContext - 1);
}

TlsServerContext::TlsServerContext(SSL_CTX* context) : context_(context) {}

TlsServerContext::~TlsServerContext() {
  SSL_CTX_free(context_);
}

std::vector<const TlsServerContext::Certificate*> TlsServerContext::fitting(const char* name) const {
  std::vector<const Certificate*> list;
  for (const auto& certificate : certificates_) {
    const auto same_kind = [&](const Certificate* one) { return one->kind() == certificate->kind(); };
    if (name != nullptr && certificate->covers(name) && std::none_of(list.begin(), list.end(), same_kind))
      list.push_back(certificate.get());
  }
  return list.empty() ? default_ : list;
}

/// OpenSSL asks which certificates to use, and takes the one whose kind the client knows.
int TlsServerContext::choose(SSL* tls, void* self) {
  const auto* server = static_cast<const TlsServerContext*>(self);
  SSL_certs_clear(tls);
  for (const Certificate* one : server->fitting(SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name))) {
    if (SSL_use_cert_and_key(tls, one->leaf.get(), one->key.get(), one->chain.get(), 1) != 1) return 0;
  }
  return 1;
}

}  // namespace postrider::net
