#include "tests/mta/relay_server.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/sasl/authenticator.h"

namespace postrider {

/// The other end: blocking, plain or in TLS.
class RelayServer::Peer {
 public:
  Peer(int descriptor, std::chrono::milliseconds slowness) : descriptor_(descriptor), slowness_(slowness) {}
  ~Peer() {
    if (tls_ != nullptr) SSL_free(tls_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool encrypted() const { return tls_ != nullptr; }
  bool start_tls(SSL_CTX* context, bool& resumed) {
    SSL* tls = SSL_new(context);
    SSL_set_fd(tls, descriptor_);
    bool done = SSL_accept(tls) == 1;
    resumed = SSL_session_reused(tls) == 1;
    tls_ = tls;
    buffer_.clear();
    return done;
  }
  bool read_line(std::string& line) {
    size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!fill()) return false;
    }
    line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return true;
  }
  bool read_octets(size_t count, std::string& octets) {
    while (buffer_.size() < count) {
      if (!fill()) return false;
    }
    octets += buffer_.substr(0, count);
    buffer_.erase(0, count);
    return true;
  }
  bool say(const std::string& text) {
    if (text == kSilence) return true;
    if (text.empty()) {
      ::shutdown(descriptor_, SHUT_RDWR);
      return false;
    }
    std::string all = text + "\r\n";
    if (slowness_.count() == 0) return put(all);
    for (char c : all) {
      if (!put(std::string(1, c))) return false;
      std::this_thread::sleep_for(slowness_);
    }
    return true;
  }

 private:
  bool fill() {
    char buffer[16 << 10];
    auto got = tls_ != nullptr ? SSL_read(tls_, buffer, sizeof buffer)
                               : static_cast<int>(::read(descriptor_, buffer, sizeof buffer));
    if (got <= 0) return false;
    buffer_.append(buffer, static_cast<size_t>(got));
    return true;
  }
  bool put(std::string_view text) {
    while (!text.empty()) {
      auto size = static_cast<int>(text.size());
      auto sent = tls_ != nullptr ? SSL_write(tls_, text.data(), size)
                                  : static_cast<int>(::write(descriptor_, text.data(), text.size()));
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  const int descriptor_;
  const std::chrono::milliseconds slowness_;
  SSL* tls_ = nullptr;
  std::string buffer_;
};

RelayServer::RelayServer(const std::string& address, uint16_t port, const std::string& unix_path)
    : address_(address), unix_path_(unix_path) {
  std::signal(SIGPIPE, SIG_IGN);
  replies_ = {{"EHLO", "250-server\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000"},
              {"HELO", "250 server"},
              {"LHLO", "250-server\r\n250-PIPELINING\r\n250 8BITMIME"}};
  if (unix_path_.empty()) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &where.sin_addr);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) throw std::runtime_error("bind");
    socklen_t size = sizeof where;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
    port_ = ntohs(where.sin_port);
  } else {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path, unix_path_.data(), unix_path_.size());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) throw std::runtime_error("bind");
  }
  ::listen(listener_, 1'000);
  thread_ = std::thread([this] { serve(); });
}

RelayServer::~RelayServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);  // wakes accept()
  thread_.join();
  ::close(listener_);
  {
    std::lock_guard lock(mutex_);
    for (int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& session : sessions_) session.join();
  for (int socket : sockets_) ::close(socket);
}

void RelayServer::reply(const std::string& line, const std::string& text) {
  std::lock_guard lock(mutex_);
  replies_[line] = text;
}

void RelayServer::reply_once(const std::string& line, const std::string& text) {
  std::lock_guard lock(mutex_);
  once_[line].push_back(text);
}

void RelayServer::use_tls(const std::string& host_name, bool wrapped) {
  certificate_ = folder_.path() + "/certificate.pem";
  const std::string key = folder_.path() + "/key.pem";
  if (auto made = net::make_self_signed(certificate_, key, host_name); !made)
    throw std::runtime_error(made.error().message);
  wrapped_ = wrapped;
  use_certificate(certificate_, key);
}

void RelayServer::use_certificate(const std::string& certificate, const std::string& key) {
  tls_ = net::TlsServerContext::load(certificate, key).value();
  if (!wrapped_) reply("EHLO", "250-server\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 SIZE 1000000");
}

void RelayServer::know_old_tls_only() {
  SSL_CTX_set_cipher_list(tls_->native(), "DEFAULT:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(tls_->native(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(tls_->native(), TLS1_VERSION);
}

void RelayServer::want_login(const std::string& mechanisms, const std::string& user, const std::string& password) {
  mechanisms_ = mechanisms;
  user_ = user;
  password_ = sasl::make_password_record(password).value();
  std::string starttls = tls_ != nullptr && !wrapped_ ? "250-STARTTLS\r\n" : "";
  reply("EHLO", "250-server\r\n250-PIPELINING\r\n" + starttls + "250 AUTH " + mechanisms);
}

std::vector<std::string> RelayServer::commands() {
  std::lock_guard lock(mutex_);
  return commands_;
}

bool RelayServer::wait_for(size_t messages) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return got_.size() >= messages; });
}

bool RelayServer::wait_for_connections(int count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return connections_ >= count; });
}

std::vector<RelayServer::Got> RelayServer::got() {
  std::lock_guard lock(mutex_);
  return got_;
}

void RelayServer::serve() {
  while (!stopping_) {
    int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0 || stopping_) {
      if (socket >= 0) ::close(socket);
      return;
    }
    std::lock_guard lock(mutex_);
    ++connections_;
    sockets_.push_back(socket);
    sessions_.emplace_back([this, socket] { session(socket); });
    changed_.notify_all();
  }
}

std::string RelayServer::reply_for(const std::string& line) {
  std::lock_guard lock(mutex_);
  for (auto& [prefix, texts] : once_) {
    if (texts.empty() || !istarts_with(line, prefix)) continue;
    std::string text = texts.front();
    texts.pop_front();
    return text;
  }
  size_t longest = 0;
  const std::string* text = nullptr;
  for (const auto& [prefix, reply] : replies_) {
    if (!istarts_with(line, prefix) || (text != nullptr && prefix.size() < longest)) continue;
    longest = prefix.size();
    text = &reply;
  }
  if (text != nullptr) return *text;
  if (line == "DATA") return "354 go on";
  if (line == "QUIT") return "221 bye";
  if (line == "GREETING") return "220 server ready";
  if (line == "STARTTLS") return "220 go on";
  return "250 2.0.0 ok";
}

void RelayServer::session(int descriptor) {
  most_at_once_ = std::max(most_at_once_.load(), ++open_);
  Peer peer(descriptor, slowness_);
  Got got;
  std::string line;
  bool resumed = false;
  bool going = !wrapped_ || peer.start_tls(tls_->native(), resumed);
  going = going && peer.say(reply_for("GREETING"));
  while (going && peer.read_line(line)) {
    {
      std::lock_guard lock(mutex_);
      commands_.push_back(line);
    }
    going = handle(peer, line, got);
  }
  --open_;
  ::shutdown(descriptor, SHUT_RDWR);
}

bool RelayServer::handle(Peer& peer, const std::string& line, Got& got) {
  if (istarts_with(line, "AUTH")) return log_in(peer, line, got);
  if (istarts_with(line, "BDAT"))
    return take_content(peer, got, parse_number(line.substr(5, line.find(' ', 5) - 5)).value_or(0));
  std::string reply = reply_for(line);
  if (peer.encrypted() && istarts_with(line, "EHLO")) {
    size_t at = reply.find("250-STARTTLS\r\n");
    if (at != std::string::npos) reply.erase(at, 14);
  }
  if (!peer.say(reply)) return false;
  if (line == "QUIT") return false;
  if (line == "STARTTLS" && reply[0] == '2' && tls_ != nullptr) {
    bool resumed = false;
    bool done = peer.start_tls(tls_->native(), resumed);
    if (resumed) ++resumed_;
    return done;
  }
  bool positive = reply[0] == '2';
  if (istarts_with(line, "MAIL")) got.envelope.clear();
  if (positive && (istarts_with(line, "MAIL") || istarts_with(line, "RCPT"))) got.envelope.push_back(line);
  if (line != "DATA" || reply[0] != '3') return true;
  return take_content(peer, got, 0);
}

/// chunk: octets of BDAT; 0: up to the final dot.
bool RelayServer::take_content(Peer& peer, Got& got, size_t chunk) {
  got.content.clear();
  got.encrypted = peer.encrypted();
  if (chunk > 0) return peer.read_octets(chunk, got.content) && end_content(peer, got);
  std::string line;
  while (peer.read_line(line)) {
    if (line == ".") return end_content(peer, got);
    got.content += (line.starts_with('.') ? line.substr(1) : line) + "\r\n";
  }
  return false;
}

bool RelayServer::end_content(Peer& peer, Got& got) {
  std::vector<std::string> replies;
  if (lmtp_) {
    for (size_t i = 1; i < got.envelope.size(); ++i) {
      replies.push_back(reply_for("\n." + got.envelope[i].substr(got.envelope[i].find('<'))));
    }
  } else {
    replies.push_back(reply_for("\n."));
  }
  bool taken = std::any_of(replies.begin(), replies.end(), [](const std::string& reply) { return reply[0] == '2'; });
  if (taken) {
    std::lock_guard lock(mutex_);
    got_.push_back(got);
    changed_.notify_all();
  }
  for (const std::string& reply : replies) {
    if (!peer.say(reply)) return false;
  }
  return true;
}

bool RelayServer::log_in(Peer& peer, const std::string& line, Got& got) {
  std::string_view rest = std::string_view(line).substr(5);
  auto name = sasl::parse_mechanism_name(rest.substr(0, rest.find(' ')));
  if (!name || mechanisms_.find(sasl::to_string(*name)) == std::string::npos) return peer.say("504 5.5.4 no");
  std::optional<std::string_view> initial;
  if (rest.find(' ') != std::string_view::npos) initial = rest.substr(rest.find(' ') + 1);
  sasl::FakeRecords fakes(std::string(32, 'k'));
  sasl::Authenticator authenticator(*name, fakes);
  sasl::Outcome outcome = authenticator.begin(initial);
  for (;;) {
    if (const auto* challenge = std::get_if<sasl::Challenge>(&outcome)) {
      std::string answer;
      if (!peer.say("334 " + sasl::encode_challenge(*challenge)) || !peer.read_line(answer)) return false;
      outcome = authenticator.line(answer);
    } else if (const auto* wanted = std::get_if<sasl::NeedCredentials>(&outcome)) {
      outcome = authenticator.supply(wanted->user == user_ ? &password_ : nullptr);
    } else {
      const auto* check = std::get_if<sasl::CheckPassword>(&outcome);
      bool right = check != nullptr && check->user == user_ && sasl::verify_password(password_, check->password);
      if (!right && std::get_if<sasl::Authenticated>(&outcome) == nullptr) return peer.say("535 5.7.8 wrong");
      got.user = user_;
      return peer.say("235 2.7.0 welcome");
    }
  }
}

}  // namespace postrider
