// One connection to a filter, as long as the SMTP session that it looks at. Everything awaits on the session's loop;
// nothing is thrown: a filter that fails becomes the answer that the configuration wants for that.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/milter.h"
#include "common/milter/head.h"
#include "common/milter/protocol.h"
#include "common/net/connection.h"
#include "common/net/worker_pool.h"
#include "mta/check_dns.h"
#include "store/message_source.h"

namespace postrider {

struct MilterTimeouts {
  std::chrono::seconds connect{10}, command{30}, content{300};
};

/// What a filter says to a step.
struct MilterAnswer {
  std::optional<smtp::Reply> refusal;
  bool discard = false;  // the message is taken and thrown away
  bool close = false;    // the session ends with the refusal
};

/// A message on its way through the filters.
struct MilterMessage {
  MilterMessage(std::string_view head, std::shared_ptr<const store::Spool> message, uint64_t offset)
      : head(head), body(std::move(message)), body_offset(offset) {}

  milter::Head head;
  std::shared_ptr<const store::Spool> body;  // from body_offset on
  uint64_t body_offset;
  bool body_changed = false;
  std::optional<std::string> sender;        // another one: address without brackets
  std::vector<std::string> added, removed;  // recipients: addresses without brackets
  std::optional<std::string> quarantine;    // why
  std::string spam;                         // the filter that says so, and how: "rspamd: X-Spam: Yes"
};

class MilterClient {
 public:
  /// What does not change: where a body that is replaced goes, and how large it may be.
  struct Surroundings {
    CheckDns* dns = nullptr;  // null: names are not looked up
    net::WorkerPool* workers = nullptr;
    std::string spool_directory;
    uint64_t max_message_size = 0;
    MilterTimeouts timeouts;
    std::string on_failure;  // where the target does not say
  };
  MilterClient(config::MilterTarget target, std::shared_ptr<const Surroundings> surroundings);

  const std::string& name() const { return target_.name; }

  // The steps of a session. None is taken where the filter wants to hear no more of the session or of the message.
  struct Hello {
    std::string client_name, client_address, helo;
    uint16_t client_port = 0;
  };
  /// Connects where that is still to be done; then the client's name, HELO where it is new, MAIL.
  asio::awaitable<MilterAnswer> mail(const Hello& hello, const milter::Macros& macros,
                                     const std::vector<std::string>& strings);
  asio::awaitable<MilterAnswer> rcpt(const milter::Macros& macros, const std::vector<std::string>& strings);
  /// A recipient that we refused, for filters that want to see those too; nothing comes of the answer.
  asio::awaitable<void> refused_rcpt(const milter::Macros& macros, const std::vector<std::string>& strings);
  asio::awaitable<MilterAnswer> data(const milter::Macros& macros);
  asio::awaitable<MilterAnswer> unknown(const std::string& line);
  asio::awaitable<MilterAnswer> message(const milter::Macros& macros, MilterMessage& message);
  /// The message at hand comes to nothing.
  void abort();
  /// The session ends.
  void quit();

 private:
  using Kind = milter::Response::Kind;
  using Clock = std::chrono::steady_clock;

  bool listens() const { return connection_ != nullptr && !deaf_ && !done_; }
  bool says(milter::Omission omission) const { return (negotiation_.omissions & omission) != 0; }
  asio::awaitable<void> connect();
  asio::awaitable<asio::ip::tcp::endpoint> endpoint();
  asio::awaitable<MilterAnswer> guarded(asio::awaitable<MilterAnswer> step);
  asio::awaitable<MilterAnswer> greet(const Hello& hello, const milter::Macros& macros,
                                      const std::vector<std::string>& strings);
  asio::awaitable<MilterAnswer> command(milter::Command command, milter::Stage stage, const milter::Macros& macros,
                                        const std::vector<std::string>& strings);
  asio::awaitable<MilterAnswer> ask(milter::Command command);
  asio::awaitable<MilterAnswer> show(const milter::Macros& macros, MilterMessage& message);
  asio::awaitable<milter::Response> show_fields(const milter::Macros& macros, const MilterMessage& message);
  asio::awaitable<milter::Response> show_body(const MilterMessage& message);
  asio::awaitable<milter::Response> answer(std::chrono::seconds timeout);
  asio::awaitable<milter::Response> response();
  asio::awaitable<void> send(std::chrono::seconds timeout);
  asio::awaitable<void> change(const milter::Response& change, MilterMessage& message);
  asio::awaitable<void> replace_body(std::string piece);
  MilterAnswer judge(const milter::Response& response, milter::Command command);
  MilterAnswer failed(const std::string& reason);
  MilterAnswer nothing() const;
  void forget_connection();

  const config::MilterTarget target_;
  const std::shared_ptr<const Surroundings> surroundings_;
  std::shared_ptr<net::Connection> connection_;
  milter::Negotiation negotiation_;
  std::string sent_helo_;
  bool greeted_ = false;               // the client's name was sent
  bool in_message_ = false;            // MAIL was sent
  bool deaf_ = false;                  // it accepted the session
  bool done_ = false;                  // it accepted or gave up the message at hand
  std::optional<smtp::Reply> broken_;  // it failed, and so does every step of the message at hand
  std::shared_ptr<store::Spool> new_body_;
};

}  // namespace postrider
