#include "common/net/connection.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "common/net/connection_impl.h"
#include "common/net/proxy_header.h"

namespace postrider::net {
namespace {

// Octets up to which one more copy is cheaper than one more piece.
constexpr size_t kCopied = 4 << 10;
// Octets that are compressed at once.
constexpr size_t kCompressed = 64 << 10;

/// Sets a flag while a scope waits, whatever way it ends.
class Marked {
 public:
  explicit Marked(bool& flag) : flag_(flag) { flag_ = true; }
  ~Marked() { flag_ = false; }
  Marked(const Marked&) = delete;
  Marked& operator=(const Marked&) = delete;

 private:
  bool& flag_;
};

}  // namespace

std::string_view to_string(EndReason reason) {
  switch (reason) {
    case EndReason::peer_closed:
      return "closed by the other side";
    case EndReason::timed_out:
      return "timed out";
    case EndReason::reset:
      return "connection lost";
    case EndReason::tls_failed:
      return "TLS failed";
    case EndReason::shutting_down:
      return "shutting down";
    case EndReason::closed_here:
      return "closed here";
  }
  return "ended";
}

ConnectionEnded::ConnectionEnded(EndReason reason, const std::string& detail)
    : std::runtime_error(detail.empty() ? std::string(to_string(reason))
                                        : fmt::format("{}: {}", to_string(reason), detail)),
      reason_(reason) {}

Connection::Connection(asio::ip::tcp::socket socket) : impl_(std::make_shared<Impl>(std::move(socket))) {}
Connection::~Connection() {
  impl_->close({});
}

asio::any_io_executor Connection::executor() {
  return impl_->socket().get_executor();
}
const std::string& Connection::remote_address() const {
  return impl_->remote_address;
}
uint16_t Connection::remote_port() const {
  return impl_->remote_port;
}
const std::string& Connection::local_address() const {
  return impl_->local_address;
}
uint16_t Connection::local_port() const {
  return impl_->local_port;
}
bool Connection::from_loopback() const {
  return impl_->loopback;
}

std::string_view Connection::input() const {
  return impl_->input();
}
void Connection::consume(size_t octets) {
  impl_->consume(octets);
}

asio::awaitable<void> Connection::read_more(size_t max_buffered) {
  if (impl_->fresh_input) {
    impl_->fresh_input = false;
    impl_->throw_if_ended();
    co_return;
  }
  bool waited = false;
  while (!impl_->read_now(max_buffered)) {
    impl_->throw_if_drained();
    impl_->release_empty_input();
    if (output_.empty()) std::string().swap(output_);
    Marked idle(impl_->idle);
    waited = true;
    co_await impl_->wait(impl_->wanted());
  }
  if (!waited) co_await impl_->be_fair();
}

bool Connection::is_quiet() {
  try {
    return input().empty() && !impl_->read_now(kMaxInput);
  } catch (const ConnectionEnded&) {
    return false;
  }
}

asio::awaitable<void> Connection::read_proxy_header() {
  for (;;) {
    const ProxyHeader header = net::read_proxy_header(input());
    if (header.status == ProxyHeader::Status::malformed) impl_->fail(EndReason::reset, "no PROXY header");
    if (header.status == ProxyHeader::Status::complete) {
      consume(header.taken);
      if (header.source.empty()) co_return;
      impl_->remote_address = header.source;
      impl_->remote_port = header.source_port;
      impl_->local_address = header.destination;
      impl_->local_port = header.destination_port;
      impl_->loopback = asio::ip::make_address(header.source).is_loopback();
      co_return;
    }
    // Not an octet more than the header has: what comes behind it may be for TLS.
    co_await read_more(input().size() + header.missing);
  }
}

asio::awaitable<Connection::Wake> Connection::wait_input_or_notify(size_t max_buffered) {
  while (true) {
    impl_->throw_if_ended();
    if (impl_->notified) {
      impl_->notified = false;
      co_return Wake::notified;
    }
    if (impl_->fresh_input) co_return Wake::input;
    // Readiness is not enough to go by: in TLS it may be for something that is no input at all.
    if (impl_->read_now(max_buffered)) {
      impl_->fresh_input = true;
      co_return Wake::input;
    }
    impl_->throw_if_drained();
    impl_->release_empty_input();
    if (output_.empty()) std::string().swap(output_);
    Marked idle(impl_->idle);
    Marked waiting(impl_->waiting_for_notify);
    co_await impl_->wait(impl_->wanted());
  }
}

void Connection::notify() {
  impl_->notified = true;
  // The wait holds no data, so that nothing is lost when it is cancelled.
  if (impl_->waiting_for_notify) impl_->wake();
}

void Connection::queue(std::string_view octets) {
  if (impl_->compression) {
    impl_->compression->compress(octets, output_);
  } else {
    output_.append(octets);
  }
}

asio::awaitable<void> Connection::flush() {
  size_t sent = 0;
  try {
    while (sent < output_.size()) {
      impl_->throw_if_ended();
      const auto outcome = impl_->stream().write(std::string_view(output_).substr(sent), {});
      sent += outcome.octets;
      if (outcome.status == Stream::Status::done) continue;
      impl_->expect_more(outcome);
      co_await impl_->wait(outcome.status);
    }
  } catch (...) {
    output_.erase(0, sent);
    throw;
  }
  output_.clear();
  impl_->throw_if_ended();
}

asio::awaitable<void> Connection::write(std::string_view octets) {
  for (; impl_->compression && octets.size() > kCompressed; octets.remove_prefix(kCompressed)) {
    queue(octets.substr(0, kCompressed));
    co_await flush();
  }
  if (octets.size() <= kCopied || impl_->compression) {
    queue(octets);
    co_await flush();
    co_return;
  }
  size_t queued_sent = 0;
  size_t sent = 0;
  try {
    while (sent < octets.size()) {
      impl_->throw_if_ended();
      const std::string_view first = std::string_view(output_).substr(queued_sent);
      const auto outcome = impl_->stream().write(first, octets.substr(sent));
      queued_sent += std::min(outcome.octets, first.size());
      sent += outcome.octets - std::min(outcome.octets, first.size());
      if (outcome.status == Stream::Status::done) continue;
      impl_->expect_more(outcome);
      co_await impl_->wait(outcome.status);
    }
  } catch (...) {
    impl_->write_interrupted = true;
    output_.erase(0, queued_sent);
    throw;
  }
  output_.clear();
  co_await impl_->be_fair();
}

asio::awaitable<bool> Connection::start_tls(std::shared_ptr<TlsServerContext> context, bool ask_client) {
  co_await flush();
  const bool clean = input().empty();
  impl_->discard_input();
  if (!impl_->stream().begin_server(*context, ask_client)) impl_->fail(EndReason::tls_failed, "no memory");
  co_await handshake();
  co_return clean;
}

asio::awaitable<void> Connection::start_tls_client(std::shared_ptr<TlsClientContext> context, std::string host_name,
                                                   DaneAnchors dane) {
  co_await flush();
  if (!input().empty()) impl_->fail(EndReason::tls_failed, "the server sent plain text after its reply to STARTTLS");
  std::string peer = fmt::format("{} {} {}", host_name, remote_address(), remote_port());
  if (!impl_->stream().begin_client(std::move(context), host_name, std::move(peer), dane)) {
    impl_->fail(EndReason::tls_failed, "no memory");
  }
  co_await handshake();
}

asio::awaitable<void> Connection::handshake() {
  while (true) {
    impl_->throw_if_ended();
    const auto outcome = impl_->stream().handshake();
    if (outcome.status == Stream::Status::done) co_return;
    if (outcome.status != Stream::Status::want_read && outcome.status != Stream::Status::want_write) {
      impl_->fail(EndReason::tls_failed, impl_->stream().error());
    }
    co_await impl_->wait(outcome.status);
  }
}

void Connection::start_compression() {
  impl_->start_compression();
}
void Connection::stop_compression() {
  impl_->stop_compression();
}
bool Connection::compressed() const {
  return impl_->compression != nullptr;
}

bool Connection::encrypted() const {
  return impl_->stream().encrypted();
}
TlsSession Connection::tls() const {
  return impl_->stream().session();
}
std::vector<std::string> Connection::client_addresses() const {
  return impl_->stream().client_addresses();
}
std::string Connection::tls_exporter() const {
  return impl_->stream().exporter();
}

void Connection::set_deadline(std::chrono::steady_clock::duration from_now) {
  impl_->set_deadline(std::chrono::steady_clock::now() + from_now);
}
void Connection::clear_deadline() {
  impl_->set_deadline(std::chrono::steady_clock::time_point::max());
}

void Connection::stop(EndReason reason) {
  impl_->stop(reason);
}

void Connection::drain() {
  impl_->draining = true;
  // Whoever waits looks again, and finds that it is to end.
  if (impl_->idle && !impl_->busy) impl_->wake();
}

void Connection::set_busy(bool busy) {
  impl_->busy = busy;
}

void Connection::close() {
  impl_->close(output_);
  std::string().swap(output_);
}

asio::awaitable<std::shared_ptr<Connection>> connect(asio::ip::tcp::endpoint remote,
                                                     std::chrono::steady_clock::duration timeout,
                                                     std::optional<asio::ip::address> local) {
  auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::socket socket(executor, remote.protocol());
  if (local) socket.bind(asio::ip::tcp::endpoint(*local, 0));
  socket.set_option(asio::ip::tcp::no_delay(true));
  asio::steady_timer timer(executor, timeout);
  // The socket lives in this frame; the handler may run after it, so it looks at a flag that it shares first.
  auto waiting = std::make_shared<asio::ip::tcp::socket*>(&socket);
  auto timed_out = std::make_shared<bool>(false);
  timer.async_wait([waiting, timed_out](const std::error_code& error) {
    if (error || *waiting == nullptr) return;
    *timed_out = true;
    std::error_code ignored;
    (*waiting)->cancel(ignored);
  });
  std::error_code error;
  co_await socket.async_connect(remote, asio::redirect_error(asio::use_awaitable, error));
  *waiting = nullptr;
  timer.cancel();
  // In the standard category, which can be compared with std::errc, as Asio's cannot.
  if (error) throw std::system_error(*timed_out ? ETIMEDOUT : error.value(), std::system_category());
  co_return std::make_shared<Connection>(std::move(socket));
}

asio::awaitable<std::shared_ptr<Connection>> connect_local(std::string path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto fail = [](int code) { throw std::system_error(code, std::system_category()); };
  if (path.size() >= sizeof address.sun_path) fail(ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  auto executor = co_await asio::this_coro::executor;
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail(errno);
  // Asio needs some protocol's name for it; all that is done with the socket fits any stream.
  asio::ip::tcp::socket socket(executor, asio::ip::tcp::v4(), descriptor);
  // Non-blocking: where too many wait to be accepted it fails, and is tried again like any other failure.
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(errno);
  co_return std::make_shared<Connection>(std::move(socket));
}

}  // namespace postrider::net
