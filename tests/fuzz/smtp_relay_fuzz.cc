// Our SMTP and LMTP client against a server that says anything. Whatever it is, each recipient has one outcome, and is
// handed over only where the server said 2xx to it and to the content.
//
// The input is what the server says, a line for each word that it is asked for: the greeting, then a reply to each
// command. "\" within a line is a line end, so that a reply may have more of them, and more replies may come than were
// asked for. What the server does when it has no more to say is hang up.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/smtp/reply.h"
#include "mta/outcome.h"
#include "mta/relay_client.h"
#include "store/message_source.h"
#include "tests/fuzz/fuzz_state.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr int kMaxConnections = 30;
constexpr size_t kMaxTurns = 20'000;
constexpr int kIdleTurns = 3;
constexpr std::string_view kContent = "Subject: x\r\n\r\n.dot\r\n\xC3\xB6\r\n";

struct Surroundings {
  fuzz::State state;
  net::WorkerPool workers{0};
  int listener = -1;

  Surroundings() {
    set_log_level(LogLevel::error);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
             ::listen(listener, 8) == 0,
         "a listener");
  }
  std::string path() const { return state.file("server"); }
};

Surroundings& surroundings() {
  static Surroundings& all = *new Surroundings;
  return all;
}

std::string words_of(std::string_view line) {
  std::string words(line);
  for (size_t at = 0; (at = words.find('\\', at)) != std::string::npos; at += 2) words.replace(at, 1, "\r\n");
  return words + "\r\n";
}

/// The class of the reply that was made last, 2 to 5; 0 for what is not exactly one reply.
int class_of(std::string_view words) {
  smtp::ReplyParser parser;
  const size_t taken = parser.feed(words);
  if (taken != words.size() || parser.state() != smtp::ReplyParser::State::complete) return 0;
  return parser.take().code / 100;
}

/// One connection, from the server's side.
class Peer {
 public:
  Peer(int socket, fuzz::Input& input, bool lmtp) : socket_(socket), input_(input), lmtp_(lmtp) { say(); }
  ~Peer() { ::close(socket_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// False: it is over.
  bool turn() {
    std::array<char, 16384> piece;
    const ssize_t got = ::recv(socket_, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    if (got > 0) heard_.append(piece.data(), static_cast<size_t>(got));
    idle_ = got > 0 ? 0 : idle_ + 1;
    if (idle_ > kIdleTurns) {  // both wait: what was said last was less than a reply
      idle_ = 0;
      doubtful = true;
      say();
      return !silent_;
    }
    for (;;) {
      const std::string_view end = in_content_ ? "\r\n.\r\n" : "\r\n";
      // "." may be all of the content.
      const bool empty = in_content_ && heard_.starts_with(".\r\n");
      const size_t at = empty ? 0 : heard_.find(end);
      if (at == std::string::npos) return !silent_;
      const std::string line = heard_.substr(0, at);
      heard_.erase(0, empty ? 3 : at + end.size());
      obey(line);
      if (silent_) return false;
    }
  }

  /// Whether recipient number n (from 0) was said yes to, and the content for that one.
  static void reset(size_t recipients) {
    handed_over.assign(recipients, false);
    doubtful = took_content = false;
  }
  static std::vector<bool> handed_over;
  static bool doubtful;      // it said something that was no single reply: who knows which recipient was meant
  static bool took_content;  // some content, and said yes to it when it had all of it

 private:
  int say(bool to_content = false) {
    if (input_.at_end()) {
      silent_ = true;
      return 0;
    }
    const std::string words = words_of(input_.line());
    if (::send(socket_, words.data(), words.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) silent_ = true;
    const int kind = class_of(words);
    if (to_content && (kind == 2 || kind == 0)) took_content = true;
    if (kind == 0) doubtful = true;
    return kind;
  }

  void obey(const std::string& line) {
    if (in_content_) {
      end_content();
      return;
    }
    must(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a command is one line");
    const std::string verb = upper(line.substr(0, line.find_first_of(" ")));
    const int said = say();
    if (verb == "MAIL" || verb == "RSET" || verb == "EHLO" || verb == "LHLO" || verb == "HELO") accepted_.clear();
    if (verb == "RCPT" && said == 2) {
      const size_t digit = line.find("<r");
      must(digit != std::string::npos, "a recipient of ours");
      accepted_.push_back(static_cast<size_t>(line[digit + 2] - '0'));
    }
    if (verb == "DATA" && said == 3) in_content_ = true;
  }

  void end_content() {
    in_content_ = false;
    int said = 0;
    for (size_t i = 0; i < accepted_.size(); ++i) {
      if (i == 0 || lmtp_) said = say(true);
      if (said == 2) handed_over.at(accepted_[i]) = true;
    }
    if (accepted_.empty()) say(true);
    accepted_.clear();
  }

  const int socket_;
  fuzz::Input& input_;
  const bool lmtp_;
  std::string heard_;
  std::vector<size_t> accepted_;
  bool in_content_ = false, silent_ = false;
  int idle_ = 0;  // turns
};

std::vector<bool> Peer::handed_over;
bool Peer::doubtful = false;
bool Peer::took_content = false;

class Attempt {
 public:
  explicit Attempt(fuzz::Input& input) : input_(input), lmtp_(input.choice(2) == 1) {
    const size_t recipients = 1 + input.choice(3);
    message_.id = 1;
    message_.reverse_path = "sender@example.org";
    message_.eight_bit = true;
    for (size_t i = 0; i < recipients; ++i) {
      store::QueuedRecipient recipient;
      recipient.number = static_cast<int64_t>(i) + 1;
      recipient.address = "r" + std::to_string(i) + "@" + (i == 2 ? "other.example" : "example.net");
      message_.recipients.push_back(recipient);
    }
    auto spool = std::make_shared<store::Spool>(surroundings().state.file("spool"));
    spool->append(kContent);
    message_.body = std::move(spool);
    auto route = std::make_shared<SmtpRoute>();
    route->key = route->domain = "example.net";
    route->protocol = lmtp_ ? config::RouteTarget::Protocol::lmtp : config::RouteTarget::Protocol::smtp;
    route->path = surroundings().path();
    if (input.choice(2) == 1) route->login = std::make_shared<RelayLogin>(RelayLogin{"user", "secret"});
    route_ = route;
    input.line();  // seeds have a line end here
  }

  void run() {
    settings_.hostname = "mx.example.org";
    settings_.spool_directory = surroundings().state.file("spool");
    RouterSettings router_settings;
    router_settings.hostname = settings_.hostname;
    router_settings.dns.server = "127.0.0.1:1";  // nobody is asked
    router_ = std::make_unique<Router>(loop_, router_settings);
    link_ =
        std::make_unique<SmtpLink>(RelayParts{*router_, settings_, surroundings().workers, nullptr, nullptr, nullptr});
    // The second message goes over the connection that the first one may have left.
    for (int message = 0; message < 2; ++message) {
      Peer::reset(message_.recipients.size());
      const auto outcomes = attempt();
      must(outcomes.size() == message_.recipients.size(), "each recipient has an outcome");
      for (size_t i = 0; i < outcomes.size(); ++i) check(outcomes[i], i);
    }
    spawn(link_->close());
    serve();
  }

 private:
  void check(const Outcome& outcome, size_t recipient) {
    must(!outcome.status.empty() && !outcome.reply.empty(), "an outcome says why");
    must(outcome.reply.find_first_of("\r\n") == std::string::npos, "on one line");
    must(outcome.kind != Outcome::Kind::delivered, "it is not in a mailbox here");
    if (outcome.kind == Outcome::Kind::relayed) {
      must(outcome.reply.starts_with("2"), "handed over by a positive reply");
      must(Peer::handed_over.at(recipient) || (Peer::doubtful && Peer::took_content),
           "handed over only where the server took it");
    }
    const Decision decision = decide(outcome, message_, message_.recipients[recipient], Schedule(), 0, 0);
    must((decision.next == Decision::Next::end) == outcome.is_success(), "what is not handed over goes on");
  }

  std::vector<Outcome> attempt() {
    std::vector<Outcome> outcomes;
    auto task = [this](std::vector<Outcome>& result) -> asio::awaitable<void> {
      std::vector<size_t> recipients;
      for (size_t i = 0; i < message_.recipients.size(); ++i) recipients.push_back(i);
      result = co_await link_->attempt(route_, message_, recipients);
    };
    spawn(task(outcomes));
    serve();
    return outcomes;
  }

  void spawn(asio::awaitable<void> task) {
    done_ = false;
    asio::co_spawn(loop_, std::move(task), [this](const std::exception_ptr& trouble) {
      must(trouble == nullptr, "nothing escapes");
      done_ = true;
    });
  }

  /// The loop and the server take turns.
  void serve() {
    for (size_t turns = 0; !done_; ++turns) {
      must(turns < kMaxTurns, "an attempt ends");
      if (loop_.stopped()) loop_.restart();
      loop_.poll();
      const int socket = ::accept4(surroundings().listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        must(++connections_ < kMaxConnections, "connections have a limit");
        peer_ = std::make_unique<Peer>(socket, input_, lmtp_);
      }
      if (peer_ && !peer_->turn()) peer_.reset();
    }
  }

  fuzz::Input& input_;
  const bool lmtp_;
  store::QueuedMessage message_;
  RoutePtr route_;
  RelaySettings settings_;
  asio::io_context loop_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<SmtpLink> link_;
  std::unique_ptr<Peer> peer_;
  bool done_ = true;
  int connections_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  Attempt(input).run();
  return 0;
}
