#include "common/net/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/net/openssl.h"

namespace postrider::net {
namespace {

// TLS 1.2 with forward secrecy and authenticated peers; TLS 1.3 has nothing to choose from that is bad.
constexpr const char* kCiphers = "HIGH:!aNULL:!eNULL:!kRSA:!PSK:!SRP:!DSS:!MD5:!3DES:!CAMELLIA:!ARIA:!AESCCM";

}  // namespace

SslContextPtr make_tls_context(const SSL_METHOD* method) {
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

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:#x}", code);
}

std::shared_ptr<TlsClientContext> TlsClientContext::make() {
  ERR_clear_error();
  SslContextPtr context = make_tls_context(TLS_client_method());
  // The handshake goes on with any certificate; what the check said is in TlsSession::verified.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_default_verify_paths(context.get());
  if (SSL_CTX_dane_enable(context.get()) != 1)
    throw std::runtime_error("OpenSSL cannot look at TLSA records: " + openssl_error());
  ERR_clear_error();
  return std::shared_ptr<TlsClientContext>(new TlsClientContext(context.release()));
}

Result<void> TlsClientContext::trust(const std::string& certificate_file) {
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context_, certificate_file.c_str()) == 1) return {};
  return failure(
      fmt::format("The file {} holds no certificates that can be trusted ({}).", certificate_file, openssl_error()));
}

TlsClientContext::TlsClientContext(SSL_CTX* context) : context_(context) {
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, &TlsClientContext::new_session);
  SSL_CTX_set_app_data(context_, this);
}

TlsClientContext::~TlsClientContext() {
  for (const auto& [peer, session] : sessions_) SSL_SESSION_free(session);
  SSL_CTX_free(context_);
}

void TlsClientContext::prepare(SSL* tls, const std::string* peer) {
  SSL_set_app_data(tls, const_cast<std::string*>(peer));
  SSL_SESSION* session = nullptr;
  {
    std::lock_guard lock(mutex_);
    // Taken out: a session is resumed once, so that connections cannot be linked by it (RFC 8446 C.4).
    auto found = sessions_.extract(*peer);
    if (!found.empty()) session = found.mapped();
  }
  if (session == nullptr) return;
  SSL_set_session(tls, session);
  SSL_SESSION_free(session);
}

/// OpenSSL hands over a session; 1: it is ours from now on.
int TlsClientContext::new_session(SSL* tls, SSL_SESSION* session) {
  auto* self = static_cast<TlsClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)));
  const auto* peer = static_cast<const std::string*>(SSL_get_app_data(tls));
  if (peer == nullptr || SSL_SESSION_is_resumable(session) == 0) return 0;
  self->keep(*peer, session);
  return 1;
}

void TlsClientContext::keep(const std::string& peer, SSL_SESSION* session) {
  std::lock_guard lock(mutex_);
  SSL_SESSION*& kept = sessions_[peer];
  SSL_SESSION_free(kept);
  kept = session;
  if (sessions_.size() <= kMaxTlsSessions) return;
  auto other = sessions_.begin();  // any: resuming is a saving, not a need
  if (other->first == peer) ++other;
  SSL_SESSION_free(other->second);
  sessions_.erase(other);
}

}  // namespace postrider::net
