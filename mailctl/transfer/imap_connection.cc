#include "mailctl/transfer/imap_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/base/number.h"
#include "common/net/openssl.h"
#include "mailctl/transfer/imap_answer.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxShownText = 200;  // octets of what a server says, in a sentence of ours
constexpr size_t kReadSize = 64 << 10;

/// For people: no control characters, not endless.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, kMaxShownText));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return is_ctl(c); }, '?');
  return out;
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  return address->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

}  // namespace

RemoteServer parse_server(const std::string& text, bool starttls, bool no_tls) {
  RemoteServer server;
  server.starttls = starttls;
  server.tls = !no_tls;
  const size_t bracket = text.starts_with('[') ? text.find(']') : std::string::npos;
  const size_t colon = bracket != std::string::npos                     ? text.find(':', bracket)
                       : std::count(text.begin(), text.end(), ':') == 1 ? text.find(':')
                                                                        : std::string::npos;
  server.host = bracket != std::string::npos ? text.substr(1, bracket - 1) : text.substr(0, colon);
  server.port = colon != std::string::npos ? text.substr(colon + 1) : starttls || no_tls ? "143" : "993";
  const auto port = parse_number<uint16_t>(server.port);
  if (server.host.empty() || !port || *port == 0)
    throw CommandFailed(fmt::format("{} is no server: write HOST or HOST:PORT.", text), kUsage);
  return server;
}

std::optional<std::string> imap_quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (is_ctl(c) || is_8bit(c)) return std::nullopt;
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

struct ImapConnection::Socket {
  int descriptor = -1;
  bool loopback = false;
  bool failed = false;  // nobody waits for its answer any more
  net::SslContextPtr context;
  net::SslPtr tls;

  ~Socket() {
    tls.reset();
    if (descriptor >= 0) ::close(descriptor);
  }

  /// An empty text, or why not.
  std::string connect(const RemoteServer& server) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found); error != 0)
      return ::gai_strerror(error);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    std::string why = "it has no address";
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      descriptor = ::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (descriptor < 0) return std::strerror(errno);
      const timeval patience = {kRemotePatience, 0};
      ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      loopback = is_loopback(one->ai_addr);
      if (::connect(descriptor, one->ai_addr, one->ai_addrlen) == 0) return {};
      why = std::strerror(errno);
      ::close(std::exchange(descriptor, -1));
    }
    return why;
  }

  std::string start_tls(const RemoteServer& server) {
    ERR_clear_error();
    context = net::make_tls_context(TLS_client_method());
    SSL_CTX_set_default_verify_paths(context.get());
    tls.reset(SSL_new(context.get()));
    in6_addr ignored{};
    const bool is_address = ::inet_pton(AF_INET, server.host.c_str(), &ignored) == 1 ||
                            ::inet_pton(AF_INET6, server.host.c_str(), &ignored) == 1;
    if (is_address) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), server.host.c_str());
    } else {
      SSL_set1_host(tls.get(), server.host.c_str());
      SSL_set_tlsext_host_name(tls.get(), server.host.c_str());
    }
    SSL_set_verify(tls.get(), server.any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    if (SSL_set_fd(tls.get(), descriptor) == 1 && SSL_connect(tls.get()) == 1) return {};
    const long verified = SSL_get_verify_result(tls.get());
    return verified != X509_V_OK && !server.any_certificate ? X509_verify_cert_error_string(verified)
                                                            : net::openssl_error();
  }

  /// 0: it is gone, or says nothing.
  size_t read(char* out, size_t size) {
    ssize_t got = 0;
    do {
      got = tls ? SSL_read(tls.get(), out, static_cast<int>(size)) : ::read(descriptor, out, size);
    } while (got < 0 && !tls && errno == EINTR);
    return got > 0 ? static_cast<size_t>(got) : 0;
  }

  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t done = tls ? SSL_write(tls.get(), bytes.data(), static_cast<int>(bytes.size()))
                               : ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (done <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(done));
    }
    return true;
  }
};

ImapConnection::ImapConnection(const RemoteServer& server, MakeSpool make_spool)
    : server_(server), make_spool_(std::move(make_spool)), socket_(std::make_unique<Socket>()) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (const std::string why = socket_->connect(server_); !why.empty())
    throw CommandFailed(fmt::format("{} port {} cannot be reached: {}.", server_.host, server_.port, why));
  if (!socket_->loopback && (!server_.tls || server_.any_certificate))
    throw CommandFailed("--no-tls and --insecure are for servers on this machine only.", kUsage);
  const auto secure = [&] {
    if (const std::string why = socket_->start_tls(server_); !why.empty())
      throw CommandFailed(fmt::format("There is no TLS that can be trusted with {}: {}.", server_.host, why));
  };
  if (server_.tls && !server_.starttls) secure();
  const std::string greeting = read_answer().text;
  if (istarts_with(greeting, "* PREAUTH")) {
    logged_in_ = true;
  } else if (!istarts_with(greeting, "* OK")) {
    fail("greets with: " + shown(greeting));
  }
  if (server_.tls && server_.starttls) {
    if (auto done = command("STARTTLS"); !done) fail("refuses STARTTLS: " + done.error().message);
    // What came before TLS was not said by whom TLS is with.
    if (!buffer_.empty() || logged_in_) fail("says more than it may before TLS");
    secure();
  }
  ask_capabilities();
}

ImapConnection::~ImapConnection() {
  if (socket_->failed) return;
  try {
    (void)command("LOGOUT");
  } catch (const std::exception&) {  // gone already
  }
}

void ImapConnection::fail(const std::string& what) const {
  socket_->failed = true;
  throw CommandFailed(fmt::format("The server {} {}.", server_.host, what));
}

void ImapConnection::ask_capabilities() {
  capabilities_.clear();
  auto done = command("CAPABILITY", [this](ImapAnswer& answer) {
    if (auto found = parse_capabilities(answer.text)) capabilities_ = *found;
  });
  if (!done) fail("does not say what it can: " + done.error().message);
}

bool ImapConnection::has(std::string_view capability) const {
  return capabilities_.find(fmt::format(" {} ", capability)) != std::string::npos;
}

void ImapConnection::log_in(const std::string& user, const std::string& password) {
  if (logged_in_) return;
  Result<void> done;
  const auto name = imap_quoted(user), secret = imap_quoted(password);
  if (has("AUTH=PLAIN")) {
    const std::string tag = fmt::format("a{}", next_tag_++);
    if (!socket_->write(tag + " AUTHENTICATE PLAIN\r\n")) fail("is gone");
    done = finish(tag, {}, base64_encode(fmt::format("{0}{1}{0}{2}", '\0', user, password)));
  } else if (has("LOGINDISABLED") || !name || !secret) {
    fail("offers no login that would do; without TLS some offer none");
  } else {
    done = command(fmt::format("LOGIN {} {}", *name, *secret));
  }
  if (!done) fail(fmt::format("does not let {} in: {}", user, done.error().message));
  logged_in_ = true;
  ask_capabilities();
}

Result<void> ImapConnection::command(std::string_view text, const Visit& visit) {
  const std::string tag = fmt::format("a{}", next_tag_++);
  if (!socket_->write(fmt::format("{} {}\r\n", tag, text))) fail("is gone");
  return finish(tag, visit, {});
}

Result<void> ImapConnection::finish(const std::string& tag, const Visit& visit, const std::string& continuation) {
  bool asked = false;
  while (true) {
    ImapAnswer answer = read_answer();
    std::string_view text = answer.text;
    if (text.starts_with("* ")) {
      if (visit) visit(answer);
    } else if (text.starts_with('+') && !continuation.empty() && !std::exchange(asked, true)) {
      if (!socket_->write(continuation + "\r\n")) fail("is gone");
    } else if (text.starts_with(tag + ' ')) {
      text.remove_prefix(tag.size() + 1);
      if (istarts_with(text, "OK")) return {};
      return failure(shown(text));
    } else {
      fail("does not speak IMAP: " + shown(text));
    }
  }
}

/// A line of at most that many octets, without its line end.
std::string ImapConnection::read_line(size_t room) {
  size_t looked = 0;
  while (true) {
    const size_t end = buffer_.find('\n', looked);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      if (line.size() > room) fail("sends an answer without an end");
      return line;
    }
    looked = buffer_.size();
    if (looked > room) fail("sends an answer without an end");
    buffer_.resize(looked + kReadSize);
    buffer_.resize(looked + socket_->read(buffer_.data() + looked, kReadSize));
    if (buffer_.size() == looked) fail("closed the connection, or is silent");
  }
}

void ImapConnection::read_literal(uint64_t size, const std::function<void(std::string_view)>& sink) {
  while (size > 0) {
    if (buffer_.empty()) {
      buffer_.resize(kReadSize);
      buffer_.resize(socket_->read(buffer_.data(), kReadSize));
      if (buffer_.empty()) fail("closed the connection, or is silent, within a message");
    }
    const size_t part = std::min<uint64_t>(size, buffer_.size());
    sink(std::string_view(buffer_).substr(0, part));
    buffer_.erase(0, part);
    size -= part;
  }
}

ImapAnswer ImapConnection::read_answer() {
  ImapAnswer answer;
  while (true) {
    answer.text += read_line(kMaxAnswer - answer.text.size());
    const auto size = literal_size(answer.text);
    if (!size) return answer;
    std::string_view before(answer.text);
    before = before.substr(0, before.rfind('{'));
    if (before.size() >= 7 && iequals(before.substr(before.size() - 7), "BODY[] ")) {
      if (*size > kMaxRemoteMessage || answer.body) fail("sends a message that has no end");
      answer.body.emplace(make_spool_());
      read_literal(*size, [&](std::string_view piece) { answer.body->append(piece); });
      answer.text = std::string(before) + "\"\"";
    } else {
      if (*size > kMaxAnswer - answer.text.size()) fail("sends an answer without an end");
      answer.text += "\r\n";
      read_literal(*size, [&](std::string_view piece) { answer.text += piece; });
    }
    if (answer.text.size() >= kMaxAnswer) fail("sends an answer without an end");
  }
}

}  // namespace postrider::mailctl
