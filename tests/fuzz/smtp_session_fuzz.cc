// The SMTP server as a state machine, from the outside: whatever a client says, each command has one reply, commands
// have their order, and a 250 that takes over a message stands for exactly one message in the queue.
//
// The input is lines. Its first octet chooses the port, its second how the rest is sent: step by step, each line when
// the one before it was answered, so that every reply can be told; or all at once in pieces, as a stream.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "mta/session_settings.h"
#include "mta/smtp_service.h"
#include "store/queue.h"
#include "tests/fuzz/fuzz_state.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/wire.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr size_t kMaxMessage = 20'000;
constexpr size_t kMaxChunk = 60'000;
constexpr size_t kMaxLine = 500;  // less than the server takes
constexpr UnixTime kNow = 1'800'000'000;

/// Takes what it is handed and remembers the ids.
class CountingAcceptor final : public Acceptor {
 public:
  CountingAcceptor(const std::string& state, const Clock& clock)
      : queue_(state, clock), spool_directory_(queue_.spool_directory()) {}
  store::QueueId next_id() override { return queue_.next_id(); }
  const std::string& spool_directory() const override { return spool_directory_; }
  asio::awaitable<Acceptance> accept(store::QueuedMessage message) override {
    must(!message.recipients.empty() && message.body != nullptr, "a message has recipients and a body");
    must(message.body->size() <= kMaxMessage + 10'000, "a message has a limit");
    for (size_t i = 0; i < message.recipients.size(); ++i) {
      must(message.recipients[i].number == static_cast<int64_t>(i) + 1, "recipients are numbered");
      must(!message.recipients[i].address.empty(), "a recipient has an address");
    }
    const store::QueuedMessage* one = &message;
    auto flushed = queue_.commit({&one, 1}, {});
    ids.push_back(store::queue_id_text(message.id));
    std::vector<store::RecipientUpdate> ends;
    for (const auto& recipient : message.recipients) {
      store::RecipientUpdate end;
      end.message = message.id;
      end.number = recipient.number;
      end.ended = true;
      ends.push_back(end);
    }
    queue_.update(ends);
    co_return flushed;
  }
  std::vector<std::string> ids;

 private:
  store::Queue queue_;
  std::string spool_directory_;
};

/// All that sessions need, made once: what one leaves behind does not change what the next one is told.
struct Server {
  fuzz::State state;
  ManualClock clock{kNow};
  net::WorkerPool workers{0};
  store::DirectoryService directory{state.path(), clock};
  store::Accounts accounts{state.path(), 4, clock};
  std::unique_ptr<CountingAcceptor> acceptor = std::make_unique<CountingAcceptor>(state.path(), clock);
  SmtpService service{state.path(), clock, directory, accounts, workers, workers, *acceptor, 1};

  Server() {
    directory.with([](store::Directory& open) {
      const auto record = fuzz::cheap_password("secret");
      must(open.add_domain("example.test").has_value(), "a domain");
      for (const char* name : {"alice@example.test", "bob@example.test"}) {
        must(open.add_account(name, record).has_value(), "an account");
      }
      must(open.set_alias("team@example.test", {"alice@example.test", "carol@elsewhere.example"}).has_value(),
           "an alias");
    });
    Config config;
    config.server.hostname = "mx.example.test";
    config.server.state = state.path();
    config.smtp.greeting_delay = std::chrono::milliseconds(0);
    config.smtp.error_delay = std::chrono::milliseconds(0);
    config.smtp.max_message_size = kMaxMessage;
    config.smtp.max_line = 1'000;
    config.login.max_failures = config.login.max_failures_per_account = 0;
    auto settings = make_settings(config, nullptr);
    must(settings.has_value(), "settings");
    service.configure(*settings);
    service.failure_delay = std::chrono::milliseconds(0);
  }
};

Server& server() {
  static Server& server = *new Server;
  return server;
}

/// One reply, its lines put together. Aborts on what is none.
struct Reply {
  int code = 0;
  std::string text;
};

class Client {
 public:
  explicit Client(Role role) : server_(::server()), accepted_before_(server_.acceptor->ids.size()) {
    wire_.spawn(server_.service.run(wire_.connection(), 0, role));
  }

  /// The next reply that is there.
  std::optional<Reply> reply() {
    const std::string_view text = wire_.received();
    Reply reply;
    for (size_t at = 0;;) {
      const size_t end = text.find("\r\n", at);
      if (end == std::string_view::npos) return std::nullopt;
      const std::string_view line = text.substr(at, end - at);
      must(line.size() >= 4 && line.size() <= 510, "a reply line has its length");
      const auto code = parse_number<unsigned>(line.substr(0, 3));
      must(code && *code >= 200 && *code < 600 && (line[3] == ' ' || line[3] == '-'), "a reply begins with a code");
      must(reply.code == 0 || reply.code == static_cast<int>(*code), "a reply has one code");
      for (const char c : line) must(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', "a reply is printable");
      must(line.find("something failed here") == std::string_view::npos, "nothing fails");
      reply.code = static_cast<int>(*code);
      reply.text += line.substr(4);
      at = end + 2;
      if (line[3] == '-') continue;
      wire_.take(at);
      note(reply);
      return reply;
    }
  }
  /// Waits for it. Nothing: the session has ended.
  std::optional<Reply> next() {
    for (;;) {
      if (auto one = reply()) return one;
      if (wire_.ended()) return std::nullopt;
      wire_.wait();
    }
  }
  /// The next reply, if one is there already.
  std::optional<Reply> said_more() {
    wire_.run();
    return reply();
  }
  void send(std::string_view octets) { wire_.send(octets); }
  bool ended() const { return wire_.ended(); }
  /// Every message in the queue has had its 250, and no other one.
  void finish() {
    wire_.hang_up();
    while (reply()) {
    }
    must(wire_.received().empty(), "replies are whole");
    const auto& ids = server_.acceptor->ids;
    must(ids.size() - accepted_before_ == accepted_.size(), "as many messages as 250s");
    for (size_t i = 0; i < accepted_.size(); ++i) must(ids[accepted_before_ + i] == accepted_[i], "in their order");
  }
  size_t accepted() const { return accepted_.size(); }

 private:
  void note(const Reply& reply) {
    constexpr std::string_view kAccepted = " accepted", kStatus = "2.0.0 ";
    if (reply.code != 250 || !reply.text.ends_with(kAccepted) || !reply.text.starts_with(kStatus)) return;
    accepted_.push_back(reply.text.substr(kStatus.size(), reply.text.size() - kStatus.size() - kAccepted.size()));
  }

  Server& server_;
  fuzz::Wire wire_;
  std::vector<std::string> accepted_;
  const size_t accepted_before_;
};

/// Sends a line at a time and knows what has to come of it.
class Conversation {
 public:
  Conversation(Client& client, bool submission) : client_(client), submission_(submission) {}

  void hold(fuzz::Input input) {
    while (!input.at_end() && !over_) command(input);
  }

 private:
  std::optional<Reply> expect() {
    auto reply = client_.next();
    if (!reply) {
      over_ = true;
      return std::nullopt;
    }
    if (const auto goodbye = client_.said_more()) {
      must(goodbye->code == 421 && reply->code >= 400, "a reply that nobody asked for");
      over_ = true;
    }
    if (reply->code == 421) over_ = true;
    return reply;
  }

  void command(fuzz::Input& input) {
    const std::string line(input.line().substr(0, kMaxLine));
    const size_t space = std::min(line.find_first_of(" \t"), line.size());
    const std::string verb = upper(line.substr(0, space));
    const bool plain = line.find_first_of(std::string_view("\r\0", 2)) == std::string::npos;
    if (plain && verb == "BDAT") return chunk(line, input);
    client_.send(line + "\r\n");
    const auto reply = expect();
    if (!reply) return;
    const bool good = reply->code >= 200 && reply->code < 300;
    if (!plain) {
      must(!good, "a line that is none is not obeyed");
    } else if (reply->code == 354) {
      must(verb == "DATA" && recipients_ > 0 && !chunks_, "DATA comes behind MAIL and RCPT");
      content(input);
    } else if (reply->code == 334) {
      must(verb == "AUTH" && submission_ && !logged_in_, "AUTH is for submission");
      exchange(input);
    } else if (reply->code == 235) {
      must(verb == "AUTH", "who logs in said AUTH");
      logged_in_ = true;
    } else if (verb == "BURL" && recipients_ > 0) {
      must(!good || logged_in_, "BURL is for who has logged in");
      reset();
    } else if (good) {
      obeyed(verb);
    } else {
      must(reply->code >= 400, "a refusal");
    }
  }

  void obeyed(const std::string& verb) {
    if (verb == "HELO" || verb == "EHLO") {
      greeted_ = true;
      forget();
    } else if (verb == "RSET") {
      forget();
    } else if (verb == "MAIL") {
      must(greeted_ && !mail_ && (!submission_ || logged_in_), "MAIL comes behind EHLO, once");
      mail_ = true;
    } else if (verb == "RCPT") {
      must(mail_ && !chunks_, "RCPT comes behind MAIL");
      ++recipients_;
    } else {
      must(verb == "NOOP" || verb == "QUIT" || verb == "HELP" || verb == "VRFY" || verb == "EXPN", "a command that is");
    }
  }

  /// Whatever there is of a transaction.
  void reset() {
    if (over_) return;
    client_.send("RSET\r\n");
    if (const auto reply = expect()) must(reply->code == 250 || reply->code == 421, "RSET is always obeyed");
    forget();
  }

  void forget() {
    mail_ = chunks_ = false;
    recipients_ = 0;
  }

  /// A message up to its final dot, or to the end of the input.
  void content(fuzz::Input& input) {
    const size_t before = client_.accepted();
    for (bool first = true;; first = false) {
      const std::string_view rest = input.rest();
      const std::string_view dot = first ? ".\r\n" : "\r\n.\r\n";
      if (first && rest.starts_with(dot)) {
        client_.send(input.take(dot.size()));
        break;
      }
      const size_t end = rest.find("\r\n.\r\n");
      if (end != std::string_view::npos) {
        client_.send(input.take(end + 5));
        break;
      }
      // Seeds have lines that end with LF alone; here these are content, and refused.
      client_.send(input.take(rest.size()));
      must(!client_.said_more(), "a reply before the end of the message");
      client_.send(rest == "." || rest.ends_with("\r\n.") ? "x\r\n.\r\n" : "\r\n.\r\n");
      break;
    }
    const auto reply = expect();
    must(reply.has_value(), "a message has its reply");
    const bool accepted = client_.accepted() == before + 1;
    must(accepted == (reply->code == 250) && (accepted || reply->code >= 400), "250 means that it is in the queue");
    forget();
  }

  void chunk(const std::string& line, fuzz::Input& input) {
    const size_t before = client_.accepted();
    client_.send(line + "\r\n");
    const size_t digits = line.find_first_not_of(" \t", 4);
    const size_t end = digits == std::string::npos ? digits : line.find_first_not_of("0123456789", digits);
    const auto size =
        digits == std::string::npos ? std::nullopt : parse_number<uint64_t>(line.substr(digits, end - digits));
    if (!size || *size > kMaxChunk) {
      over_ = true;  // either it is refused, and the session with it, or it goes on for longer than there is input
      return;
    }
    std::string octets(input.take(static_cast<size_t>(*size)));
    octets.resize(static_cast<size_t>(*size), 'x');
    client_.send(octets);
    const auto reply = expect();
    if (!reply) return;
    const bool last = client_.accepted() == before + 1;
    if (reply->code == 250) must(recipients_ > 0, "a chunk comes behind RCPT");
    if (reply->code == 250 && !last) {
      chunks_ = true;
    } else if (last || recipients_ > 0) {
      forget_chunks(*reply);
    }
  }

  /// A message that ended, either way; a chunk that was no command leaves all as it was.
  void forget_chunks(const Reply& reply) {
    if (reply.code == 501) {
      over_ = true;
    } else {
      forget();
    }
  }

  void exchange(fuzz::Input& input) {
    for (;;) {
      client_.send(std::string(input.line()) + "\r\n");
      const auto reply = expect();
      if (!reply || reply->code == 421) return;
      if (reply->code == 334) continue;
      must(reply->code == 235 || reply->code >= 400, "a login ends");
      logged_in_ = logged_in_ || reply->code == 235;
      return;
    }
  }

  Client& client_;
  const bool submission_;
  bool over_ = false;
  bool greeted_ = false, logged_in_ = false, mail_ = false, chunks_ = false;
  size_t recipients_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const bool submission = input.choice(2) == 1;
  const unsigned piece = input.choice(10);
  input.line();  // seeds have a line end here
  Client client(submission ? Role::submission : Role::smtp);
  const auto greeting = client.next();
  must(greeting && greeting->code == 220, "a greeting");
  if (piece == 0) {
    Conversation(client, submission).hold(input);
  } else {
    const size_t octets = piece * piece * piece;
    while (!input.at_end() && !client.ended()) client.send(input.take(octets));
  }
  client.finish();
  return 0;
}
