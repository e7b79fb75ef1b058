// Octets through a non-blocking socket, plain or in TLS: every call does what it can now and says what it would wait
// for. For connection.cc; nothing here awaits.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/openssl.h"
#include "common/net/tls.h"

namespace postrider::net {

class Stream {
 public:
  enum class Status { done, want_read, want_write, closed, reset, tls_error };
  struct Outcome {
    Status status = Status::done;
    size_t octets = 0;
  };

  /// The descriptor stays the caller's, and is non-blocking.
  explicit Stream(int descriptor) : descriptor_(descriptor) {}

  /// At least one octet when done.
  Outcome read(char* into, size_t room);
  /// Sends from first, then from second; octets counts both. At least one when done. After want_read or want_write the
  /// same octets must come first in the next call.
  Outcome write(std::string_view first, std::string_view second);

  /// Begin; then handshake() until done. False: OpenSSL has no memory.
  bool begin_server(const TlsServerContext& context, bool ask_client);
  /// peer: what tells whose session may be resumed.
  bool begin_client(std::shared_ptr<TlsClientContext> context, const std::string& host_name, std::string peer,
                    const DaneAnchors& dane);
  Outcome handshake();
  /// Tells the peer that nothing more comes (close_notify), if that can be done at once.
  void finish();

  bool encrypted() const { return tls_ != nullptr && established_; }
  TlsSession session() const;
  /// See Connection::client_addresses().
  std::vector<std::string> client_addresses() const;
  /// RFC 9266; empty when not encrypted.
  std::string exporter() const;
  /// Why TLS failed.
  const std::string& error() const { return error_; }
  /// Nothing more can be sent: TLS is broken, or in the middle of its handshake.
  bool mute() const { return broken_ || (tls_ != nullptr && !established_); }

 private:
  bool begin(SSL_CTX* context);
  bool anchor(const std::string& host_name, const DaneAnchors& dane);
  Outcome explain(int result, bool handshaking);
  Outcome write_tls(std::string_view octets);

  int descriptor_;
  std::shared_ptr<TlsClientContext> client_;  // outlives tls_, which tells it of new sessions
  std::string peer_;
  SslPtr tls_;
  bool established_ = false;
  bool no_anchor_ = false;
  bool broken_ = false;
  std::string error_;
};

}  // namespace postrider::net
