#include "tests/imapd/transcript.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "common/base/ascii.h"
#include "common/base/random.h"

namespace postrider::imap {
namespace {

constexpr int kPatience = 10'000;  // ms
constexpr std::string_view kPassword = "secret";

const sasl::PasswordRecord& password() {
  static const sasl::PasswordRecord record = *sasl::make_password_record(kPassword);  // hashing is slow: once
  return record;
}

std::string fresh_folder() {
  std::string name = "postrider-imapd-test-";
  for (char c : random_bytes(8)) name += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return (std::filesystem::temp_directory_path() / name).string();
}

}  // namespace

bool fits(std::string_view line, std::string_view pattern) {
  constexpr std::string_view kAny = "...";
  size_t any = pattern.find(kAny);
  if (any == std::string_view::npos) return line == pattern;
  if (!line.starts_with(pattern.substr(0, any))) return false;
  line.remove_prefix(any);
  pattern.remove_prefix(any + kAny.size());
  for (size_t skipped = 0; skipped <= line.size(); ++skipped) {
    if (fits(line.substr(skipped), pattern)) return true;
  }
  return false;
}

Client::Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("The daemon does not answer.");
  }
}

Client::~Client() {
  ::close(socket_);
}

void Client::send(std::string_view octets) {
  while (!octets.empty()) {
    ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    octets.remove_prefix(static_cast<size_t>(sent));
  }
}

bool Client::fill() {
  pollfd wait{socket_, POLLIN, 0};
  if (::poll(&wait, 1, kPatience) != 1) {
    buffer_ += "(nothing)\r\n";
    return true;
  }
  std::array<char, 65536> piece;
  ssize_t got = ::recv(socket_, piece.data(), piece.size(), 0);
  if (got <= 0) return false;
  buffer_.append(piece.data(), static_cast<size_t>(got));
  return true;
}

std::string Client::line() {
  size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill()) return "(closed)";
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

std::string Client::octets(size_t count) {
  while (buffer_.size() < count) {
    if (!fill()) break;
  }
  std::string octets = buffer_.substr(0, count);
  buffer_.erase(0, octets.size());
  return octets;
}

Transcript::Transcript(const Options& options) : state_(fresh_folder()) {
  std::filesystem::create_directories(state_);
  Config config;
  config.server.state = state_.string();
  config.server.hostname = "mail.example.test";
  config.server.workers = 2;
  config.imap.max_append_size = options.max_append_size;
  config.imap.max_connections_per_user = options.max_connections_per_user;
  config.imap.message_limit = options.message_limit;
  config.imap.save_limit = options.save_limit;
  config.store.max_messages = options.max_messages;
  config.store.expunged_folder = options.expunged_folder;
  std::shared_ptr<net::TlsStore> tls;
  if (options.tls) {
    std::string certificate = state_ / "certificate.pem", key = state_ / "key.pem";
    EXPECT_TRUE(net::make_self_signed(certificate, key, config.server.hostname));
    tls = *net::TlsStore::open({{certificate, key}});
  }
  server_ = std::make_unique<net::Server>(2, net::ConnectionLimits());
  service_ = std::make_unique<ImapService>(config, *server_, tls, clock_);
  service_->services().failure_delay = std::chrono::milliseconds(1);
  service_->services().directory.with([&](store::Directory& directory) {
    EXPECT_TRUE(directory.add_domain("example.test"));
    account_ = directory.add_account("alice@example.test", password())->id;
    bob_ = directory.add_account("bob@example.test", password())->id;
    EXPECT_TRUE(directory.add_account("carol@example.test", password()));
    if (options.quota != 0) EXPECT_TRUE(directory.set_quota("alice@example.test", options.quota));
  });
  port_ = *listen(*server_, service_, "127.0.0.1", 0, false);
  service_->start();
  hints_ = std::make_unique<net::HintSender>(hint_socket(config));
  thread_ = std::thread([this] { server_->run(); });
}

void Transcript::stop() {
  if (!std::exchange(stopped_, true)) server_->stop(std::chrono::seconds(5));
}

Transcript::~Transcript() {
  sessions_.clear();
  stop();
  thread_.join();
  hints_.reset();
  service_.reset();
  server_.reset();
  std::filesystem::remove_all(state_);
}

Client& Transcript::stranger(char name) {
  auto& slot = sessions_[name];
  slot = std::make_unique<Client>(port_);
  EXPECT_TRUE(fits(slot->line(), "* OK [CAPABILITY IMAP4rev1 ...]..."));
  return *slot;
}

Client& Transcript::session(char name) {
  auto found = sessions_.find(name);
  if (found != sessions_.end()) return *found->second;
  Client& client = stranger(name);
  std::string_view user = is_digit(name) ? "carol" : is_lower(name) ? "bob" : "alice";
  client.send(fmt::format("login LOGIN {}@example.test secret\r\n", user));
  EXPECT_TRUE(fits(client.line(), "login OK [CAPABILITY ...] Welcome."));
  return client;
}

void Transcript::play(std::string_view script) {
  size_t number = 0;
  while (!script.empty()) {
    size_t end = std::min(script.find('\n'), script.size());
    std::string_view step = trim(script.substr(0, end));
    script.remove_prefix(std::min(end + 1, script.size()));
    ++number;
    if (step.empty()) continue;
    ASSERT_GE(step.size(), 2u) << "step " << number;
    Client& client = session(step[0]);
    bool skip = step.substr(1).starts_with("<*");
    std::string_view text = step.substr(std::min(step.size(), size_t{skip ? 4u : 3u}));
    if (step[1] == '>') {
      client.send(std::string(text) + "\r\n");
      continue;
    }
    std::string line = client.line();
    while (skip && !fits(line, text) && line != "(closed)" && line != "(nothing)") line = client.line();
    ASSERT_TRUE(fits(line, text)) << "step " << number << " wants " << step << "\nand gets     " << line;
  }
}

store::Uid Transcript::deliver_to(store::AccountId owner, std::string_view mailbox, std::string_view message) {
  auto spool = std::make_shared<store::Spool>((state_ / "spool").string());
  spool->append(message);
  store::PreparedMessage prepared = store::prepare_message(spool);
  auto account = service_->services().accounts.open(owner);
  store::MailboxId id = account->find_mailbox(mailbox)->id;
  store::Edit edit(*account);
  store::Uid uid =
      edit.append(id, prepared, "Delivered-To: alice@example.test\r\n", {}, clock_.unix_time(), 0, 0).value();
  store::ModSeq modseq = edit.modseq();
  edit.commit();
  hints_->send({owner, id, modseq});
  return uid;
}

}  // namespace postrider::imap
