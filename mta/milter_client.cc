#include "mta/milter_client.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/mailauth/ip.h"

namespace postrider {
namespace {

namespace status = smtp::status;
using milter::Command;
using milter::Response;
using milter::Stage;

constexpr size_t kMaxRecipientChanges = 1'000;
constexpr size_t kMaxReason = 500;  // octets of why a message is held

[[noreturn]] void fail(const std::string& reason) {
  throw std::runtime_error(reason);
}

/// "<a@b>" or "a@b".
std::string without_brackets(std::string_view path) {
  path = trim(path);
  if (path.size() >= 2 && path.front() == '<' && path.back() == '>') path = path.substr(1, path.size() - 2);
  return std::string(path);
}

/// Whether a field that a filter adds says that the message is spam, as rspamd and SpamAssassin write it.
bool says_spam(std::string_view name, std::string_view value) {
  value = trim(value);
  return (iequals(name, "X-Spam") || iequals(name, "X-Spam-Flag")) &&
         (istarts_with(value, "yes") || istarts_with(value, "true"));
}

std::string printable(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  std::replace_if(out.begin(), out.end(), is_ctl, ' ');
  return out;
}

}  // namespace

MilterClient::MilterClient(config::MilterTarget target, std::shared_ptr<const Surroundings> surroundings)
    : target_(std::move(target)), surroundings_(std::move(surroundings)) {}

/// Whatever goes wrong between us and the filter ends here.
asio::awaitable<MilterAnswer> MilterClient::guarded(asio::awaitable<MilterAnswer> step) {
  std::string trouble;
  try {
    co_return co_await std::move(step);
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  co_return failed(trouble);
}

MilterAnswer MilterClient::failed(const std::string& reason) {
  forget_connection();
  done_ = true;
  const std::string& wanted = target_.on_failure.empty() ? surroundings_->on_failure : target_.on_failure;
  log_warn("milter_failed", {{"milter", target_.name}, {"reason", reason}, {"then", wanted}});
  if (wanted == "reject") {
    broken_ = smtp::Reply(550, status::kNotAuthorized, "a filter here does not work, and without it no mail is taken");
  } else if (wanted != "accept") {
    broken_ = smtp::Reply(451, status::kFilterTrouble, "a filter here does not work at the moment; try again later");
  }
  return nothing();
}

/// Of a filter that is not asked: what failed once fails for the rest of the message.
MilterAnswer MilterClient::nothing() const {
  MilterAnswer answer;
  answer.refusal = broken_;
  return answer;
}

void MilterClient::forget_connection() {
  if (connection_) connection_->close();
  connection_.reset();
  greeted_ = in_message_ = deaf_ = false;
  sent_helo_.clear();
}

// --- the connection

asio::awaitable<asio::ip::tcp::endpoint> MilterClient::endpoint() {
  std::error_code error;
  const std::string& host = target_.host == "localhost" ? std::string("127.0.0.1") : target_.host;
  auto address = asio::ip::make_address(host, error);
  if (error) {
    if (surroundings_->dns == nullptr || !is_askable(host)) fail("its host name cannot be looked up");
    std::vector<DnsQuestion> questions{{lower(host), DnsType::a}, {lower(host), DnsType::aaaa}};
    const auto answers = co_await surroundings_->dns->ask(std::move(questions),
                                                          CheckDns::Steady::now() + surroundings_->timeouts.connect);
    std::optional<IpAddress> found;
    for (const auto& answer : answers) {
      if (!found && answer != nullptr && !answer->records.empty())
        found = IpAddress::from_rdata(answer->records.front());
    }
    if (!found) fail("DNS knows no address of " + host);
    address = asio::ip::make_address(found->to_string());
  }
  co_return asio::ip::tcp::endpoint(address, target_.port);
}

asio::awaitable<void> MilterClient::connect() {
  const auto timeout = surroundings_->timeouts.connect;
  if (!target_.path.empty()) {
    connection_ = co_await net::connect_local(target_.path);
  } else {
    const auto to = co_await endpoint();
    connection_ = co_await net::connect(to, timeout);
  }
  std::string packet;
  milter::append_negotiation(packet);
  connection_->queue(packet);
  co_await send(timeout);
  for (;;) {
    const auto read = milter::read_packet(connection_->input());
    if (read.status == milter::Packet::Status::malformed) fail("what it says is no milter protocol");
    if (read.status == milter::Packet::Status::complete) {
      if (read.letter != static_cast<char>(Command::negotiate)) fail("it does not negotiate");
      auto negotiated = milter::parse_negotiation(read.data);
      if (!negotiated) fail(negotiated.error().message);
      negotiation_ = std::move(*negotiated);
      connection_->consume(read.taken);
      co_return;
    }
    co_await connection_->read_more(milter::kMaxPacket + milter::kLengthOctets);
  }
}

asio::awaitable<void> MilterClient::send(std::chrono::seconds timeout) {
  connection_->set_deadline(timeout);
  co_await connection_->flush();
}

/// One response; those that only say that it takes longer are stepped over, and renew the time.
asio::awaitable<Response> MilterClient::response() {
  for (;;) {
    const auto read = milter::read_packet(connection_->input());
    if (read.status == milter::Packet::Status::malformed) fail("what it says is no milter protocol");
    if (read.status == milter::Packet::Status::incomplete) {
      co_await connection_->read_more(milter::kMaxPacket + milter::kLengthOctets);
      continue;
    }
    auto parsed = milter::parse_response(read.letter, read.data);
    connection_->consume(read.taken);
    if (!parsed) fail("it answers what the protocol does not know");
    co_return std::move(*parsed);
  }
}

asio::awaitable<Response> MilterClient::answer(std::chrono::seconds timeout) {
  for (;;) {
    co_await send(timeout);
    Response said = co_await response();
    if (said.kind == Kind::progress) continue;
    if (said.is_change()) fail("it changes a message before its end");
    co_return said;
  }
}

// --- the envelope

asio::awaitable<MilterAnswer> MilterClient::mail(const Hello& hello, const milter::Macros& macros,
                                                 const std::vector<std::string>& strings) {
  done_ = false;
  broken_.reset();
  return guarded(greet(hello, macros, strings));
}

asio::awaitable<MilterAnswer> MilterClient::greet(const Hello& hello, const milter::Macros& macros,
                                                  const std::vector<std::string>& strings) {
  if (deaf_) co_return MilterAnswer();
  // A filter that was started anew between two messages is no failure.
  if (connection_ != nullptr && !connection_->is_quiet()) forget_connection();
  if (connection_ == nullptr) co_await connect();
  abort();  // what came to nothing before
  if (!greeted_) {
    greeted_ = true;
    if (!says(milter::kNoConnect)) {
      std::string packets;
      milter::append_macros(packets, Command::connect, Stage::connect, negotiation_.symbols[0], macros);
      milter::append_connect(packets, hello.client_name, hello.client_address, hello.client_port);
      connection_->queue(packets);
      if (!says(milter::kNoReplyToConnect)) {
        const MilterAnswer judged = co_await ask(Command::connect);
        if (judged.refusal || judged.discard) greeted_ = false;  // the next message hears it too
        if (judged.refusal || judged.discard || deaf_) co_return judged;
      }
    }
  }
  if (sent_helo_ != hello.helo) {
    sent_helo_ = hello.helo;
    if (!says(milter::kNoHelo)) {
      const std::vector<std::string> name{hello.helo};
      const MilterAnswer judged = co_await command(Command::helo, Stage::helo, macros, name);
      if (judged.refusal || judged.discard) sent_helo_.clear();
      if (judged.refusal || judged.discard || deaf_) co_return judged;
    }
  }
  in_message_ = true;
  if (says(milter::kNoMail)) co_return MilterAnswer();
  co_return co_await command(Command::mail, Stage::mail, macros, strings);
}

asio::awaitable<MilterAnswer> MilterClient::command(Command command, Stage stage, const milter::Macros& macros,
                                                    const std::vector<std::string>& strings) {
  std::string packets;
  milter::append_macros(packets, command, stage, negotiation_.symbols[static_cast<size_t>(stage)], macros);
  milter::append_strings(packets, command, strings);
  connection_->queue(packets);
  const bool silent = (command == Command::helo && says(milter::kNoReplyToHelo)) ||
                      (command == Command::mail && says(milter::kNoReplyToMail)) ||
                      (command == Command::rcpt && says(milter::kNoReplyToRcpt)) ||
                      (command == Command::data && says(milter::kNoReplyToData));
  if (silent) co_return MilterAnswer();
  co_return co_await ask(command);
}

asio::awaitable<MilterAnswer> MilterClient::ask(Command command) {
  const Response said = co_await answer(surroundings_->timeouts.command);
  co_return judge(said, command);
}

asio::awaitable<MilterAnswer> MilterClient::rcpt(const milter::Macros& macros,
                                                 const std::vector<std::string>& strings) {
  if (!listens() || says(milter::kNoRcpt)) co_return nothing();
  co_return co_await guarded(command(Command::rcpt, Stage::rcpt, macros, strings));
}

asio::awaitable<void> MilterClient::refused_rcpt(const milter::Macros& macros,
                                                 const std::vector<std::string>& strings) {
  if (says(milter::kShowRefused)) co_await rcpt(macros, strings);
}

asio::awaitable<MilterAnswer> MilterClient::data(const milter::Macros& macros) {
  if (!listens() || says(milter::kNoData) || negotiation_.version < 4) co_return nothing();
  const std::vector<std::string> no_strings;
  co_return co_await guarded(command(Command::data, Stage::data, macros, no_strings));
}

asio::awaitable<MilterAnswer> MilterClient::unknown(const std::string& line) {
  if (!listens() || says(milter::kNoUnknown) || negotiation_.version < 3) co_return MilterAnswer();
  std::string packet;
  milter::append_strings(packet, Command::unknown, {line});
  connection_->queue(packet);
  if (says(milter::kNoReplyToUnknown)) co_return MilterAnswer();
  co_return co_await guarded(ask(Command::unknown));
}

/// What an answer means for the session. In reply to the client's name or HELO it is about the whole session.
MilterAnswer MilterClient::judge(const Response& response, Command command) {
  MilterAnswer answer;
  const bool of_session = command == Command::connect || command == Command::helo;
  switch (response.kind) {
    case Kind::accept:
      (of_session ? deaf_ : done_) = true;
      break;
    case Kind::reject:
      answer.refusal = smtp::Reply(
          550, status::kNotAuthorized,
          command == Command::rcpt ? "the recipient is refused by a filter here" : "this is refused by a filter here");
      break;
    case Kind::temporary:
      answer.refusal =
          smtp::Reply(451, status::kFilterTrouble, "a filter here does not take this now; try again later");
      break;
    case Kind::custom:
      answer.refusal = response.reply;
      answer.close = response.reply.code == 421;
      break;
    case Kind::discard:
      answer.discard = true;
      break;
    case Kind::close:
      answer.refusal = smtp::Reply(421, status::kFilterTrouble, "a filter here takes nothing from you; good-bye");
      answer.close = true;
      break;
    default:
      break;
  }
  // A refused recipient leaves the message as it is; anything else ends it.
  const bool ends = (answer.refusal && command != Command::rcpt && command != Command::unknown) || answer.discard;
  if (ends) done_ = true;
  return answer;
}

// --- the message

asio::awaitable<MilterAnswer> MilterClient::message(const milter::Macros& macros, MilterMessage& message) {
  if (!listens()) co_return nothing();
  // What it did before it failed does not count.
  MilterMessage draft = message;
  MilterAnswer answer = co_await guarded(show(macros, draft));
  if (connection_ != nullptr) message = std::move(draft);
  co_return answer;
}

asio::awaitable<MilterAnswer> MilterClient::show(const milter::Macros& macros, MilterMessage& message) {
  Response said = co_await show_fields(macros, message);
  if (said.kind == Kind::go_on) said = co_await show_body(message);
  if (said.kind != Kind::go_on && said.kind != Kind::skip) {
    const MilterAnswer early = judge(said, Command::body);
    abort();
    co_return early;
  }
  std::string packets;
  milter::append_macros(packets, Command::end_of_body, Stage::end_of_message,
                        negotiation_.symbols[static_cast<size_t>(Stage::end_of_message)], macros);
  milter::append_packet(packets, Command::end_of_body);
  connection_->queue(packets);
  co_await send(surroundings_->timeouts.content);
  new_body_.reset();
  for (;;) {
    connection_->set_deadline(surroundings_->timeouts.content);
    said = co_await response();
    if (said.is_change()) {
      co_await change(said, message);
    } else if (said.kind != Kind::progress) {
      break;
    }
  }
  in_message_ = false;
  done_ = true;
  if (new_body_ != nullptr) {
    message.body = std::move(new_body_);
    message.body_offset = 0;
    message.body_changed = true;
  }
  co_return judge(said, Command::end_of_body);
}

asio::awaitable<Response> MilterClient::show_fields(const milter::Macros& macros, const MilterMessage& message) {
  const auto timeout = surroundings_->timeouts.content;
  Response said;
  if (!says(milter::kNoFields)) {
    for (const milter::Head::Field& field : message.head.fields()) {
      if (field.name.empty()) continue;
      std::string packet;
      milter::append_field(packet, field.name, milter::Head::shown(field, says(milter::kLeadingSpace)));
      connection_->queue(packet);
      if (connection_->queued() > milter::kBodyChunk) co_await send(timeout);
      if (says(milter::kNoReplyToFields)) continue;
      said = co_await answer(timeout);
      if (said.kind != Kind::go_on) co_return said;
    }
  }
  if (says(milter::kNoEndOfFields)) co_return Response();
  std::string packets;
  milter::append_macros(packets, Command::end_of_fields, Stage::end_of_fields,
                        negotiation_.symbols[static_cast<size_t>(Stage::end_of_fields)], macros);
  milter::append_packet(packets, Command::end_of_fields);
  connection_->queue(packets);
  if (!says(milter::kNoReplyToEndOfFields)) said = co_await answer(timeout);
  co_return said;
}

asio::awaitable<Response> MilterClient::show_body(const MilterMessage& message) {
  const auto timeout = surroundings_->timeouts.content;
  if (says(milter::kNoBody)) co_return Response();
  auto buffer = std::make_shared<std::string>();
  for (uint64_t offset = message.body_offset; offset < message.body->size();) {
    std::string_view piece;
    if (message.body->in_memory()) {
      piece = message.body->read_at(offset, *buffer);
    } else {
      auto read = [body = message.body, offset, buffer] { return body->read_at(offset, *buffer); };
      piece = co_await surroundings_->workers->run(std::move(read));
    }
    offset += piece.size();
    while (!piece.empty()) {
      std::string packet;
      milter::append_packet(packet, Command::body, piece.substr(0, milter::kBodyChunk));
      piece.remove_prefix(std::min(milter::kBodyChunk, piece.size()));
      connection_->queue(packet);
      co_await send(timeout);
      if (says(milter::kNoReplyToBody)) continue;
      const Response said = co_await answer(timeout);
      if (said.kind != Kind::go_on) co_return said;
    }
  }
  co_return Response();
}

asio::awaitable<void> MilterClient::change(const Response& change, MilterMessage& message) {
  const auto may = [this](uint32_t actions) {
    if ((negotiation_.actions & actions) == 0) fail("it does what it did not say that it would");
  };
  const bool exact = says(milter::kLeadingSpace);
  bool taken = true;
  switch (change.kind) {
    case Kind::add_field:
      may(milter::kAddFields);
      taken = message.head.add(change.name, change.value, exact);
      break;
    case Kind::insert_field:
      may(milter::kAddFields);
      taken = message.head.insert(change.index, change.name, change.value, exact);
      break;
    case Kind::change_field:
      may(milter::kChangeFields);
      taken = message.head.change(change.index, change.name, change.value, exact);
      break;
    case Kind::add_recipient:
      may(milter::kAddRecipients | milter::kAddRecipientsWithParameters);
      message.added.push_back(without_brackets(change.name));
      break;
    case Kind::remove_recipient:
      may(milter::kRemoveRecipients);
      message.removed.push_back(without_brackets(change.name));
      break;
    case Kind::change_sender:
      may(milter::kChangeSender);
      message.sender = without_brackets(change.name);
      break;
    case Kind::quarantine:
      may(milter::kQuarantine);
      message.quarantine = fmt::format("{}: {}", target_.name, printable(change.value, kMaxReason));
      break;
    case Kind::replace_body:
      may(milter::kChangeBody);
      co_await replace_body(change.value);
      break;
    default:
      break;
  }
  if (change.kind != Kind::replace_body && says_spam(change.name, change.value)) {
    message.spam = fmt::format("{}: {}: {}", target_.name, change.name, printable(trim(change.value), 80));
  }
  if (!taken || message.added.size() + message.removed.size() > kMaxRecipientChanges) {
    fail("it changes more of a message than anybody needs to");
  }
}

asio::awaitable<void> MilterClient::replace_body(std::string piece) {
  if (new_body_ == nullptr) new_body_ = std::make_shared<store::Spool>(surroundings_->spool_directory);
  if (new_body_->size() + piece.size() > surroundings_->max_message_size) fail("its new body is too large");
  if (new_body_->will_write(piece.size())) {
    auto write = [body = new_body_, piece = std::move(piece)] { body->append(piece); };
    co_await surroundings_->workers->run(std::move(write));
  } else {
    new_body_->append(piece);
  }
}

void MilterClient::abort() {
  if (connection_ == nullptr || !in_message_) return;
  in_message_ = false;
  std::string packet;
  milter::append_packet(packet, Command::abort);
  connection_->queue(packet);  // goes out with what comes next
}

void MilterClient::quit() {
  if (connection_ == nullptr) return;
  std::string packet;
  milter::append_packet(packet, Command::quit);
  connection_->queue(packet);
  forget_connection();
}

}  // namespace postrider
