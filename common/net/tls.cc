#include "common/net/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/net/openssl.h"

namespace postrider::net {
namespace {

// TLS 1.2 with forward secrecy and authenticated peers; TLS 1.3 has nothing to choose from that is bad.
constexpr const char* kCiphers = "HIGH:!aNULL:!eNULL:!kRSA:!PSK:!SRP:!DSS:!MD5:!3DES:!CAMELLIA:!ARIA:!AESCCM";
constexpr unsigned char kSessionContext[] = "postrider";

SslContextPtr make_context(const SSL_METHOD* method) {
  SslContextPtr context(SSL_CTX_new(method));
  if (!context) throw std::runtime_error("OpenSSL cannot make a TLS context: " + openssl_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphers);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // The buffers go while a session is idle; a write may be continued from another place, because output moves as it
  // grows.
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One system call for a record instead of two; whoever waits for the socket has emptied OpenSSL first.
  SSL_CTX_set_read_ahead(context.get(), 1);
  return context;
}

}  // namespace

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:#x}", code);
}

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::load(const std::string& certificate_file,
                                                                 const std::string& key_file) {
  ERR_clear_error();
  SslContextPtr context = make_context(TLS_server_method());
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Resumption is by tickets, which cost us no memory.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_num_tickets(context.get(), 1);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return failure(
        fmt::format("The certificate file {} cannot be used ({}). Put a PEM certificate chain there, readable for "
                    "this user, or remove it together with its key to get a self-signed one.",
                    certificate_file, openssl_error()));
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return failure(
        fmt::format("The key file {} cannot be used ({}). Put the PEM key of the certificate in {} there, readable "
                    "for this user.",
                    key_file, openssl_error(), certificate_file));
  }
  return std::shared_ptr<TlsServerContext>(new TlsServerContext(context.release()));
}

TlsServerContext::~TlsServerContext() {
  SSL_CTX_free(context_);
}

std::shared_ptr<TlsClientContext> TlsClientContext::make() {
  ERR_clear_error();
  SslContextPtr context = make_context(TLS_client_method());
  // The handshake goes on with any certificate; what the check said is in TlsSession::verified.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_default_verify_paths(context.get());
  ERR_clear_error();
  return std::shared_ptr<TlsClientContext>(new TlsClientContext(context.release()));
}

Result<void> TlsClientContext::trust(const std::string& certificate_file) {
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context_, certificate_file.c_str()) == 1) return {};
  return failure(
      fmt::format("The file {} holds no certificates that can be trusted ({}).", certificate_file, openssl_error()));
}

TlsClientContext::~TlsClientContext() {
  SSL_CTX_free(context_);
}

}  // namespace postrider::net
