#include "tests/mta/session_fixture.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/base64.h"
#include "common/net/daemon.h"
#include "common/net/tls.h"

namespace postrider {
namespace {

constexpr int kPatience = 20;  // seconds until a test that waits for the server fails

const sasl::PasswordRecord& secret() {
  static const sasl::PasswordRecord record = sasl::make_password_record("secret").value();
  return record;
}

bool matches(std::string_view pattern, std::string_view text) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (text.substr(0, star) != pattern.substr(0, star)) return false;
  const auto rest = pattern.substr(star + 1);
  for (size_t at = star; at <= text.size(); ++at) {
    if (matches(rest, text.substr(at))) return true;
  }
  return false;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    switch (text[++at]) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case '0':
        out += '\0';
        break;
      case 'u':
        out += "\xC3\xB6";
        break;
      default:
        out += text[at];
        break;
    }
  }
  return out;
}

asio::awaitable<DnsAnswer> answer_from(DnsTable& table, std::string name, DnsType type) {
  if (name.starts_with("probe-")) co_return DnsAnswer();  // CheckDns looks whether somebody is there
  co_return *table.answer({std::move(name), type});
}

}  // namespace

std::string base64(std::string_view text) {
  return base64_encode(text);
}

RecordingAcceptor::RecordingAcceptor(const std::string& state, const Clock& clock)
    : queue_(state, clock), spool_directory_(queue_.spool_directory()) {}

store::QueueId RecordingAcceptor::next_id() {
  std::lock_guard lock(mutex_);
  return queue_.next_id();
}

asio::awaitable<Acceptance> RecordingAcceptor::accept(store::QueuedMessage message) {
  std::lock_guard lock(mutex_);
  if (refusal_) co_return tl::unexpected(*refusal_);
  const store::QueuedMessage* one = &message;
  const auto flushed = queue_.commit({&one, 1}, {});
  Taken taken;
  message.body->read([&taken](std::string_view piece) { taken.text += piece; });
  taken.envelope = std::move(message);
  taken_.push_back(std::move(taken));
  co_return flushed;
}

std::vector<Taken> RecordingAcceptor::taken() {
  std::lock_guard lock(mutex_);
  return taken_;
}

void RecordingAcceptor::refuse_with(NotAccepted::Reason reason) {
  std::lock_guard lock(mutex_);
  refusal_ = NotAccepted{reason, "by the test"};
}

Client::Client(uint16_t port, std::string address) {
  socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval patience{kPatience, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const int error = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  EXPECT_EQ(error, 0) << "cannot connect";
}

Client::~Client() {
  close();
}

void Client::close() {
  if (tls_ != nullptr) SSL_free(tls_);
  tls_ = nullptr;
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Client::send(std::string_view octets) {
  while (!octets.empty()) {
    const auto sent = tls_ != nullptr ? SSL_write(tls_, octets.data(), static_cast<int>(octets.size()))
                                      : static_cast<int>(::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL));
    if (sent <= 0) return;  // the server closed: its last words are to be read
    octets.remove_prefix(static_cast<size_t>(sent));
  }
}

int Client::receive(char* to, int size) {
  if (tls_ != nullptr) return SSL_read(tls_, to, size);
  const auto received = ::recv(socket_, to, static_cast<size_t>(size), 0);
  EXPECT_FALSE(received < 0 && errno == EAGAIN) << "the server says nothing";
  return static_cast<int>(received);
}

std::optional<std::string> Client::line() {
  for (;;) {
    const auto end = buffer_.find("\r\n");
    if (end != std::string::npos) {
      std::string text = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      return text;
    }
    char piece[4096];
    const int received = receive(piece, sizeof piece);
    if (received <= 0) return std::nullopt;
    buffer_.append(piece, static_cast<size_t>(received));
  }
}

std::optional<std::string> Client::reply() {
  for (;;) {
    auto text = line();
    if (!text || text->size() < 4 || (*text)[3] != '-') return text;
  }
}

void Client::start_tls() {
  static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  tls_ = SSL_new(context);
  SSL_set_fd(tls_, socket_);
  EXPECT_EQ(SSL_connect(tls_), 1) << "TLS handshake failed";
}

SessionTest::SessionTest() {
  std::string name = (std::filesystem::temp_directory_path() / "postrider-session-XXXXXX").string();
  folder = ::mkdtemp(name.data());
  config.server.hostname = "mx.example.test";
  config.server.state = folder.string();
  config.smtp.greeting_delay = std::chrono::milliseconds(0);
  directory = std::make_unique<store::DirectoryService>(folder.string(), clock);
  accounts = std::make_unique<store::Accounts>(folder.string(), 10, clock);
  acceptor = std::make_unique<RecordingAcceptor>(folder.string(), clock);
  directory->with([](store::Directory& d) {
    EXPECT_TRUE(d.add_domain("example.test"));
    EXPECT_TRUE(
        d.add_domain("b\xC3\xBC"
                     "cher.example"));
    EXPECT_TRUE(d.add_account("alice@example.test", secret()));
    EXPECT_TRUE(d.add_account("bob@example.test", secret()));
    EXPECT_TRUE(
        d.set_alias("team@example.test", {"alice@example.test", "bob@example.test", "carol@elsewhere.example"}));
  });
}

SessionTest::~SessionTest() {
  stop();
  std::filesystem::remove_all(folder);
}

void SessionTest::configure(const std::function<void(Config&)>& change) {
  ASSERT_FALSE(server) << "too late";
  change(config);
}

void SessionTest::start() {
  const auto certificate = (folder / "certificate.pem").string(), key = (folder / "key.pem").string();
  ASSERT_TRUE(net::make_self_signed(certificate, key, "mx.example.test"));
  auto tls = net::TlsStore::open({{certificate, key}});
  ASSERT_TRUE(tls) << tls.error().message;
  workers = std::make_unique<net::WorkerPool>(2);
  password_workers = std::make_unique<net::WorkerPool>(1);
  net::ConnectionLimits limits;
  server = std::make_unique<net::Server>(1, limits);
  service = std::make_unique<SmtpService>(folder.string(), clock, *directory, *accounts, *workers, *password_workers,
                                          *acceptor, 1);
  service->failure_delay = std::chrono::milliseconds(0);
  if (answers_ != nullptr) {
    check_dns_ = std::make_unique<CheckDns>([this](asio::io_context&) -> CheckDns::Ask {
      return [this](std::string name, DnsType type) { return answer_from(*answers_, std::move(name), type); };
    });
    checks_ = std::make_unique<InboundChecks>(*check_dns_, *workers, clock);
    signer_ = std::make_unique<Signer>(folder.string(), clock);
    service->authenticate_with(checks_.get(), signer_.get());
    service->look_up_with(check_dns_.get());
  }
  forwarding = std::make_unique<Forwarding>(folder.string(), *directory, clock);
  forwarding->configure({config.server.hostname, true});
  service->restore_senders_with(forwarding.get());
  auto settings = make_settings(config, *tls);
  ASSERT_TRUE(settings) << settings.error().message;
  service->configure(*settings);
  for (Role role : {Role::smtp, Role::submission, Role::submissions}) {
    net::ListenOptions options;
    options.name = to_string(role);
    options.address = "127.0.0.1";
    auto session = [this, role](std::shared_ptr<net::Connection> connection, size_t loop) {
      return service->run(std::move(connection), loop, role);
    };
    auto opened =
        server->listen(options, session, [this](const std::string& reason) { return service->refusal(reason); });
    ASSERT_TRUE(opened) << opened.error().message;
    ports_.push_back(*opened);
  }
  thread_ = std::thread([this] { server->run(); });
}

void SessionTest::stop() {
  if (!server) return;
  server->stop(std::chrono::seconds(0));
  if (thread_.joinable()) thread_.join();
  workers.reset();
  password_workers.reset();
  server.reset();
  service.reset();
  checks_.reset();
  check_dns_.reset();
}

uint16_t SessionTest::port(Role role) {
  if (!server) start();
  return ports_.at(static_cast<size_t>(role));
}

Taken SessionTest::only_message() {
  auto all = taken();
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? Taken() : all.front();
}

void SessionTest::talk(std::string_view conversation, Role role) {
  Client client(port(role));
  go_on(client, conversation);
}

void SessionTest::go_on(Client& client, std::string_view conversation) {
  std::string pending;
  const auto flush = [&] {
    if (!pending.empty()) client.send(pending);
    pending.clear();
  };
  while (!conversation.empty()) {
    const auto end = conversation.find('\n');
    auto step = conversation.substr(0, end);
    conversation.remove_prefix(end == std::string_view::npos ? conversation.size() : end + 1);
    const auto begin = step.find_first_not_of(' ');
    if (begin == std::string_view::npos) continue;
    step.remove_prefix(begin);
    if (step.starts_with("C:")) {
      pending += unescape(step.substr(std::min<size_t>(3, step.size()))) + "\r\n";
    } else if (step.starts_with("C+ ")) {
      pending += unescape(step.substr(3));
    } else if (step.starts_with("S: ") && step.ends_with(" ...")) {
      flush();
      const auto reply = client.reply();
      ASSERT_TRUE(reply) << "closed instead of: " << step;
      ASSERT_EQ(reply->substr(0, 3), step.substr(3, 3)) << *reply;
    } else if (step.starts_with("S: ")) {
      flush();
      const auto line = client.line();
      ASSERT_TRUE(line) << "closed instead of: " << step;
      ASSERT_TRUE(matches(unescape(step.substr(3)), *line)) << "expected " << step << "\n     got    " << *line;
    } else if (step == "TLS") {
      flush();
      client.start_tls();
    } else if (step == "END") {
      flush();
      const auto line = client.line();
      ASSERT_FALSE(line) << *line;
    } else {
      FAIL() << "not a step of a conversation: " << step;
    }
  }
  flush();
}

}  // namespace postrider
