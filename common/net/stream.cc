#include "common/net/stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

namespace postrider::net {
namespace {

// RFC 9266 section 4.2.
constexpr std::string_view kExporterLabel = "EXPORTER-Channel-Binding";
constexpr size_t kExporterSize = 32;

bool is_ip_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

std::string_view result_type(long result) {
  switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "certificate-host-mismatch";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate-expired";
    case X509_V_ERR_DANE_NO_MATCH:
    case X509_V_OK:  // no TLSA record could be used
      return "validation-failure";
    default:
      return "certificate-not-trusted";
  }
}

/// The text of a subjectAltName that is an address: rfc822Name (RFC 5280 4.2.1.6) or SmtpUTF8Mailbox (RFC 9598).
const ASN1_STRING* address_in(const GENERAL_NAME& name) {
  if (name.type == GEN_EMAIL) return name.d.rfc822Name;
  if (name.type != GEN_OTHERNAME || OBJ_obj2nid(name.d.otherName->type_id) != NID_id_on_SmtpUTF8Mailbox) return nullptr;
  const ASN1_TYPE* value = name.d.otherName->value;
  return value != nullptr && value->type == V_ASN1_UTF8STRING ? value->value.utf8string : nullptr;
}

std::vector<std::string> mail_addresses(const X509* certificate) {
  std::vector<std::string> addresses;
  std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()) && addresses.size() < kMaxClientAddresses; ++i) {
    const ASN1_STRING* text = address_in(*sk_GENERAL_NAME_value(names.get(), i));
    if (text == nullptr) continue;
    std::string address(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                        static_cast<size_t>(ASN1_STRING_length(text)));
    const auto odd = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
    const bool whole = address.find('@') != std::string::npos && std::none_of(address.begin(), address.end(), odd);
    if (whole) addresses.push_back(std::move(address));
  }
  return addresses;
}

/// OpenSSL writes with write(2), which has no MSG_NOSIGNAL.
void ignore_broken_pipes() {
  [[maybe_unused]] static const auto once = std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

Stream::Outcome Stream::read(char* into, size_t room) {
  if (!tls_) {
    const ssize_t got = ::recv(descriptor_, into, room, MSG_DONTWAIT);
    if (got > 0) return {Status::done, static_cast<size_t>(got)};
    if (got == 0) return {Status::closed, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {Status::want_read, 0};
    return {Status::reset, 0};
  }
  size_t total = 0;
  // Several records may have been read ahead; the socket does not become readable again for them.
  do {
    ERR_clear_error();
    size_t got = 0;
    const int result = SSL_read_ex(tls_.get(), into + total, room - total, &got);
    if (result != 1) {
      if (total > 0) break;
      return explain(result, false);
    }
    total += got;
  } while (total < room && SSL_has_pending(tls_.get()) == 1);
  return {Status::done, total};
}

Stream::Outcome Stream::write(std::string_view first, std::string_view second) {
  if (tls_) return write_tls(first.empty() ? second : first);
  std::array<iovec, 2> parts{
      {{const_cast<char*>(first.data()), first.size()}, {const_cast<char*>(second.data()), second.size()}}};
  msghdr message{};
  message.msg_iov = first.empty() ? &parts[1] : parts.data();
  message.msg_iovlen = first.empty() || second.empty() ? 1 : 2;
  const ssize_t sent = ::sendmsg(descriptor_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return {Status::done, static_cast<size_t>(sent)};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {Status::want_write, 0};
  return {errno == EPIPE ? Status::closed : Status::reset, 0};
}

Stream::Outcome Stream::write_tls(std::string_view octets) {
  ERR_clear_error();
  size_t sent = 0;
  const int result = SSL_write_ex(tls_.get(), octets.data(), octets.size(), &sent);
  if (result == 1) return {Status::done, sent};
  return explain(result, false);
}

Stream::Outcome Stream::explain(int result, bool handshaking) {
  const int reason = errno;
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {Status::want_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {Status::want_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {Status::closed, 0};
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      error_ = "the connection was lost";
      return {reason == 0 || reason == EPIPE ? Status::closed : Status::reset, 0};
    default:
      break;
  }
  broken_ = true;
  // Many peers just close instead of saying so first.
  const bool truncated = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  error_ = openssl_error();
  return {truncated && !handshaking ? Status::closed : Status::tls_error, 0};
}

bool Stream::begin(SSL_CTX* context) {
  ignore_broken_pipes();
  ERR_clear_error();
  tls_.reset(SSL_new(context));
  established_ = false;
  return tls_ != nullptr && SSL_set_fd(tls_.get(), descriptor_) == 1;
}

bool Stream::begin_server(const TlsServerContext& context, bool ask_client) {
  if (!begin(context.native())) return false;
  if (ask_client) context.ask_client(tls_.get());
  SSL_set_accept_state(tls_.get());
  return true;
}

/// Only what fits a TLSA record is verified (RFC 7671 5): with usage 3 it alone, with usage 2 the name as well.
bool Stream::anchor(const std::string& host_name, const DaneAnchors& dane) {
  if (SSL_dane_enable(tls_.get(), host_name.c_str()) != 1) return false;
  SSL_dane_set_flags(tls_.get(), DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  for (const std::string& name : dane.names) {
    if (SSL_add1_host(tls_.get(), name.c_str()) != 1) return false;
  }
  int usable = 0;
  for (const std::string& rdata : dane.tlsa) {
    if (rdata.size() < 4) continue;
    const auto* octets = reinterpret_cast<const unsigned char*>(rdata.data());
    if (SSL_dane_tlsa_add(tls_.get(), octets[0], octets[1], octets[2], octets + 3, rdata.size() - 3) == 1) ++usable;
  }
  no_anchor_ = usable == 0;
  ERR_clear_error();
  return true;
}

bool Stream::begin_client(std::shared_ptr<TlsClientContext> context, const std::string& host_name, std::string peer,
                          const DaneAnchors& dane) {
  client_ = std::move(context);
  peer_ = std::move(peer);
  if (!begin(client_->native())) return false;
  SSL_set_connect_state(tls_.get());
  // No session is resumed there: the records may have changed since.
  if (!dane.tlsa.empty()) return anchor(host_name, dane);
  client_->prepare(tls_.get(), &peer_);
  if (host_name.empty()) return true;
  if (is_ip_address(host_name))
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_.get()), host_name.c_str()) == 1;
  return SSL_set_tlsext_host_name(tls_.get(), host_name.c_str()) == 1 &&
         SSL_set1_host(tls_.get(), host_name.c_str()) == 1;
}

Stream::Outcome Stream::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_.get());
  if (result == 1) {
    established_ = true;
    return {Status::done, 0};
  }
  return explain(result, true);
}

void Stream::finish() {
  if (!encrypted() || broken_) return;
  ERR_clear_error();
  SSL_shutdown(tls_.get());
  ERR_clear_error();
}

TlsSession Stream::session() const {
  TlsSession session;
  if (!encrypted()) return session;
  session.protocol = SSL_get_version(tls_.get());
  session.cipher = SSL_get_cipher_name(tls_.get());
  session.bits = SSL_get_cipher_bits(tls_.get(), nullptr);
  if (const char* name = SSL_get_servername(tls_.get(), TLSEXT_NAMETYPE_host_name)) session.server_name = name;
  session.resumed = SSL_session_reused(tls_.get()) == 1;
  const long result = SSL_get_verify_result(tls_.get());
  session.verified = SSL_get0_peer_certificate(tls_.get()) != nullptr && result == X509_V_OK && !no_anchor_;
  if (!session.verified) {
    session.trouble = X509_verify_cert_error_string(result);
    session.failure = result_type(result);
  }
  session.no_anchor = no_anchor_;
  return session;
}

std::vector<std::string> Stream::client_addresses() const {
  std::vector<std::string> addresses;
  if (!encrypted() || SSL_is_server(tls_.get()) != 1) return addresses;
  const X509* certificate = SSL_get0_peer_certificate(tls_.get());
  if (certificate == nullptr || SSL_get_verify_result(tls_.get()) != X509_V_OK) return addresses;
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) return addresses;  // while the connection was open
  return mail_addresses(certificate);
}

std::string Stream::exporter() const {
  if (!encrypted()) return {};
  std::string value(kExporterSize, '\0');
  const int done = SSL_export_keying_material(tls_.get(), reinterpret_cast<unsigned char*>(value.data()), value.size(),
                                              kExporterLabel.data(), kExporterLabel.size(), nullptr, 0, 1);
  return done == 1 ? value : std::string();
}

}  // namespace postrider::net
