// SmtpLink: connecting, greeting, TLS and logging in.
#include "mta/relay_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/base/log.h"
#include "common/sasl/client.h"

namespace postrider {
namespace {

using config::RouteTarget;

constexpr std::chrono::seconds kGoodbyeTimeout{5};
constexpr int kNoMailHere = 521, kDomainTakesNoMail = 556;  // RFC 7504

}  // namespace

SmtpLink::~SmtpLink() {
  drop();
}

void SmtpLink::drop() {
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
}

Outcome SmtpLink::unreachable(std::string status, std::string text) const {
  Outcome outcome = Outcome::temporary(std::move(status), std::move(text));
  outcome.kind = Outcome::Kind::unreachable;
  if (connection_ != nullptr) outcome.remote = to_string(peer_);
  outcome.tls = tls_;
  return outcome;
}

Outcome SmtpLink::outcome_of(const smtp::ServerReply& reply) const {
  Outcome outcome;
  outcome.remote = to_string(peer_);
  outcome.tls = tls_;
  outcome.reply = reply.to_string();
  outcome.status = reply.status.empty() ? fmt::format("{}.0.0", reply.code / 100) : reply.status;
  if (reply.code >= 200 && reply.code < 300) {
    outcome.kind = Outcome::Kind::relayed;
    outcome.reports_itself = extensions_.has("DSN");
  } else if (reply.code == 421) {
    outcome.kind = Outcome::Kind::unreachable;
  } else {
    outcome.kind = reply.is_permanent() ? Outcome::Kind::permanent : Outcome::Kind::temporary;
  }
  return outcome;
}

asio::awaitable<void> SmtpLink::close() {
  if (connection_ == nullptr) co_return;
  try {
    connection_->set_deadline(kGoodbyeTimeout);
    connection_->queue("QUIT\r\n");
    co_await connection_->flush();
  } catch (const net::ConnectionEnded&) {
    // It has gone before us.
  }
  drop();
}

// --- connecting

const TlsRequirement& SmtpLink::wanted() const {
  static const TlsRequirement as_it_comes;
  return peer_.tls != nullptr ? *peer_.tls : as_it_comes;
}

asio::awaitable<SmtpLink::Failure> SmtpLink::open(TlsNeed need) {
  tls_.clear();
  need_ = need;
  if (route_->failure) co_return route_->failure;
  if (!route_->path.empty()) co_return co_await open_local();
  RelayAddresses addresses = co_await parts_.router.addresses(route_, need);
  if (addresses.forbidden && addresses.failure) tell_reporter(*addresses.forbidden, {}, addresses.forbidden->reason);
  if (addresses.failure) co_return addresses.failure;
  Dialer dialer(std::move(addresses.list), settings().connect_timeout);
  Failure last;
  for (size_t greeted = 0; greeted < kMaxGreetedHosts; ++greeted) {
    connection_ = co_await dialer.next();
    if (connection_ == nullptr) break;
    peer_ = dialer.address();
    plain_ = false;
    last = co_await greet();
    if (!last) co_return std::nullopt;
    drop();
    tls_.clear();
  }
  // What a server said tells more than that another one could not be reached.
  if (!last) last = unreachable("4.4.1", fmt::format("No mail host takes a connection: {}", dialer.error()));
  co_return last;
}

asio::awaitable<SmtpLink::Failure> SmtpLink::open_local() {
  peer_ = RelayAddress();
  peer_.host = route_->path;
  std::string trouble;
  try {
    connection_ = co_await net::connect_local(route_->path);
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  if (connection_ == nullptr)
    co_return unreachable("4.4.1", fmt::format("{} takes no connection: {}", route_->path, trouble));
  Failure failed = co_await greet();
  if (failed) drop();
  co_return failed;
}

asio::awaitable<SmtpLink::Failure> SmtpLink::greet() {
  for (;;) {
    messages_ = 0;
    most_recipients_ = kMaxRelayRecipients;
    needs_reset_ = leaving_ = unheard_ = false;
    bool tls_failed = false;
    std::string trouble;
    try {
      if (route_->protocol == RouteTarget::Protocol::smtps) {
        connection_->set_deadline(settings().command_timeout);
        co_await start_tls();
      }
      smtp::ServerReply greeting = co_await read_reply(settings().command_timeout);
      if (greeting.code != 220) {
        Outcome outcome = outcome_of(greeting);
        // These two say "no mail here, ever" (RFC 7504); any other refusal may be of the hour.
        bool never = greeting.code == kNoMailHere || greeting.code == kDomainTakesNoMail;
        if (!never) outcome.kind = Outcome::Kind::unreachable;
        co_return outcome;
      }
      Failure failed = co_await say_hello();
      if (!failed) failed = co_await protect();
      if (!failed) failed = co_await log_in();
      co_return failed;
    } catch (const net::ConnectionEnded& end) {
      tls_failed = end.reason() == net::EndReason::tls_failed;
      trouble = end.what();
    } catch (const std::runtime_error& error) {
      trouble = error.what();
    }
    if (tls_failed) tell_reporter(wanted(), {}, trouble);
    bool again = tls_failed && !plain_ && wanted().level == TlsLevel::opportunistic &&
                 route_->protocol == RouteTarget::Protocol::smtp;
    if (again) again = co_await redial_without_tls();
    if (!again)
      co_return unreachable(tls_failed ? "4.7.5" : "4.4.2", fmt::format("{} was connected and then failed: {}{}",
                                                                        to_string(peer_), trouble, because()));
  }
}

asio::awaitable<bool> SmtpLink::redial_without_tls() {
  log_info("relay_tls_failed", {{"host", peer_.host}, {"address", peer_.endpoint.address().to_string()}});
  plain_ = true;
  drop();
  try {
    connection_ = co_await net::connect(peer_.endpoint, settings().connect_timeout);
  } catch (const std::exception&) {
    co_return false;
  }
  co_return true;
}

asio::awaitable<SmtpLink::Failure> SmtpLink::say_hello() {
  smtp::ServerReply reply = co_await command(fmt::format("{} {}", is_lmtp() ? "LHLO" : "EHLO", settings().hostname));
  extensions_ = reply.code == 250 ? smtp::parse_extensions(reply) : smtp::Extensions();
  if (reply.is_permanent() && !is_lmtp()) reply = co_await command(fmt::format("HELO {}", settings().hostname));
  if (reply.code == 250) co_return std::nullopt;
  Outcome outcome = outcome_of(reply);
  outcome.kind = Outcome::Kind::unreachable;
  co_return outcome;
}

asio::awaitable<void> SmtpLink::start_tls() {
  net::DaneAnchors dane;
  if (wanted().level == TlsLevel::dane) dane = {wanted().tlsa, {peer_.host}};
  if (!route_->any_address) dane.names.push_back(route_->domain);  // RFC 7672 3.2.3
  const std::string& name = peer_.tls_name.empty() ? peer_.host : peer_.tls_name;
  co_await connection_->start_tls_client(parts_.tls, name, std::move(dane));
}

/// " (MTA-STS: the policy names mx.example.net)", where somebody asks for more than what comes.
std::string SmtpLink::because() const {
  return wanted().level == TlsLevel::opportunistic ? std::string() : fmt::format(" ({})", wanted().reason);
}

/// STARTTLS where it is offered (RFC 3207), and whether the connection is as safe as it has to be.
asio::awaitable<SmtpLink::Failure> SmtpLink::protect() {
  bool possible = !plain_ && !connection_->encrypted() && parts_.tls != nullptr && extensions_.has("STARTTLS");
  if (possible) {
    smtp::ServerReply reply = co_await command("STARTTLS");
    if (reply.code == 220) {
      connection_->set_deadline(settings().command_timeout);
      co_await start_tls();
      Failure failed = co_await say_hello();  // what was offered before counts for nothing now
      if (failed) co_return failed;
    }
  }
  net::TlsSession session = connection_->tls();
  tls_ = connection_->encrypted() ? session.protocol + " " + session.cipher : std::string();
  tell_reporter(wanted(), session, {});
  Failure failed = judge(session);
  if (!failed && session.verified && wanted().level > TlsLevel::encrypted) tls_ += ", certificate verified" + because();
  co_return failed;
}

SmtpLink::Failure SmtpLink::judge(const net::TlsSession& session) const {
  const bool any = wanted().level == TlsLevel::opportunistic && route_->protocol != RouteTarget::Protocol::smtps;
  if (any) return std::nullopt;
  if (!connection_->encrypted()) {
    return unreachable("4.7.4", fmt::format("{} offers no TLS, without which this server may not talk to it{}",
                                            peer_.host, because()));
  }
  const bool checked = wanted().level == TlsLevel::verified || (wanted().level == TlsLevel::dane && !session.no_anchor);
  if (checked && !session.verified) {
    return unreachable("4.7.5", fmt::format("The certificate of {} is not the one that it must have: {}{}", peer_.host,
                                            session.trouble, because()));
  }
  if (need_ == TlsNeed::required && !extensions_.has("REQUIRETLS")) {
    return Outcome::permanent(
        "5.7.30",
        fmt::format("{} does not promise to protect the message on its further way (REQUIRETLS)", peer_.host));
  }
  return std::nullopt;
}

/// AUTH (RFC 4954) where the route has a user. That it fails is the administrator's to mend, so mail waits for it.
asio::awaitable<SmtpLink::Failure> SmtpLink::log_in() {
  if (route_->login == nullptr) co_return std::nullopt;
  const smtp::Extension* offered = extensions_.find("AUTH");
  bool protected_channel = connection_->encrypted() || connection_->from_loopback();
  auto name = sasl::choose_mechanism(offered != nullptr ? offered->parameters : std::string(), protected_channel);
  if (!name) co_return unreachable("4.7.0", fmt::format("{} offers no way to log in that could be used", peer_.host));
  auto mechanism = sasl::make_client(*name, route_->login->user, route_->login->password);
  if (!mechanism)
    co_return unreachable("4.7.0", "The password for the smart host cannot be used: " + mechanism.error().message);
  std::string line = fmt::format("AUTH {}", sasl::to_string(*name));
  if (auto initial = (*mechanism)->initial()) line += " " + base64_encode(*initial);
  smtp::ServerReply reply = co_await command(std::move(line));
  for (int step = 0; reply.code == 334 && step < kMaxAuthSteps; ++step) {
    auto challenge = base64_decode(reply.lines.front());
    auto job = [&] { return (*mechanism)->answer(challenge.value_or("")); };
    Result<std::string> answer = co_await parts_.workers.run(std::move(job));
    if (!answer) {
      co_await command("*");
      co_return unreachable("4.7.8", fmt::format("Logging in to {} failed: {}", peer_.host, answer.error().message));
    }
    reply = co_await command(base64_encode(*answer));
  }
  if (reply.code == 235 && (*mechanism)->may_succeed()) co_return std::nullopt;
  Outcome outcome = outcome_of(reply);
  outcome.kind = Outcome::Kind::unreachable;
  outcome.status = "4.7.8";
  outcome.reply = fmt::format("{} does not let {} log in: {}", peer_.host, route_->login->user, reply.to_string());
  log_warn("relay_login_failed", {{"host", peer_.host}, {"user", route_->login->user}, {"reply", reply.to_string()}});
  co_return outcome;
}

// --- commands and replies

/// A reply that nobody asked for would be taken for that to the next command.
void SmtpLink::must_be_in_step() const {
  if (!connection_->input().empty()) throw std::runtime_error("the server says more than it was asked");
}

asio::awaitable<smtp::ServerReply> SmtpLink::command(std::string line) {
  must_be_in_step();
  connection_->set_deadline(settings().command_timeout);
  connection_->queue(line);
  connection_->queue("\r\n");
  co_await connection_->flush();
  co_return co_await read_reply(settings().command_timeout);
}

/// timeout: for the whole reply, however slowly it comes.
asio::awaitable<smtp::ServerReply> SmtpLink::read_reply(Milliseconds timeout) {
  smtp::ReplyParser parser;
  connection_->set_deadline(timeout);
  for (;;) {
    std::string_view input = connection_->input();
    if (input.empty()) {
      co_await connection_->read_more();
      continue;
    }
    size_t taken = parser.feed(input);
    connection_->consume(taken);
    if (parser.state() == smtp::ReplyParser::State::malformed) {
      throw std::runtime_error("what the server says is no SMTP reply");
    }
    if (parser.state() != smtp::ReplyParser::State::complete) continue;
    smtp::ServerReply reply = parser.take();
    leaving_ = leaving_ || reply.code == 421;
    if (unheard_ && reply.code == 421)
      throw std::runtime_error(reply.to_string());  // it was about to end the idle connection
    unheard_ = false;
    co_return reply;
  }
}

}  // namespace postrider
