// OpenSSL's objects with owners, and its errors as text. For the .cc files of this folder.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace postrider::net {

template <auto release>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};

using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

/// What all contexts have: TLS 1.2 or newer, ciphers with forward secrecy. Throws std::runtime_error.
SslContextPtr make_tls_context(const SSL_METHOD* method);

/// Why the last call of OpenSSL on this thread failed; empties the thread's error queue.
std::string openssl_error();

}  // namespace postrider::net
