#include "common/net/connection_impl.h"

#include <sys/socket.h>

#include <array>

namespace postrider::net {
namespace {

// Reads or writes that went on at once before others on the loop get their turn.
constexpr int kMaxWithoutWaiting = 16;
// Input that is thrown away when closing, so that the peer gets our last words and not a reset.
constexpr size_t kMaxDiscarded = 256 << 10;

asio::ip::address unmapped(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

/// A Unix socket, whose ends have no addresses that fit an IP endpoint.
bool is_local(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.ss_family == AF_UNIX;
}

/// What is read goes through here, so that no connection holds room for what may come.
std::array<char, Connection::kMaxInput>& scratch() {
  thread_local std::array<char, Connection::kMaxInput> buffer;
  return buffer;
}

}  // namespace

Connection::Impl::Impl(asio::ip::tcp::socket socket)
    : socket_(std::move(socket)), stream_(socket_.native_handle()), timer_(socket_.get_executor()) {
  std::error_code error;
  socket_.native_non_blocking(true, error);
  if (is_local(socket_.native_handle())) {
    loopback = true;
    return;
  }
  const auto remote = socket_.remote_endpoint(error);
  if (!error) {
    const asio::ip::address address = unmapped(remote.address());
    remote_address = address.to_string();
    remote_port = remote.port();
    loopback = address.is_loopback();
  }
  const auto local = socket_.local_endpoint(error);
  if (!error) {
    local_address = unmapped(local.address()).to_string();
    local_port = local.port();
  }
}

void Connection::Impl::consume(size_t octets) {
  consumed_ = std::min(consumed_ + octets, input_.size());
  fresh_input = false;
  if (consumed_ == input_.size()) {
    input_.clear();
    consumed_ = 0;
  }
}

void Connection::Impl::discard_input() {
  input_.clear();
  consumed_ = 0;
  fresh_input = false;
}

void Connection::Impl::release_empty_input() {
  if (input_.empty()) std::string().swap(input_);
}

bool Connection::Impl::read_now(size_t max_buffered) {
  throw_if_ended();
  const size_t held = input_.size() - consumed_;
  if (held >= max_buffered) throw std::length_error("more input was asked for than may be buffered");
  if (consumed_ > 0) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  if (compression && inflate_now(max_buffered - held)) return true;
  auto& buffer = scratch();
  const auto outcome = stream_.read(buffer.data(), std::min(buffer.size(), max_buffered - held));
  if (outcome.status != Stream::Status::done) {
    expect_more(outcome);
    return false;
  }
  std::string_view octets(buffer.data(), outcome.octets);
  if (!compression) {
    input_.append(octets);
    return true;
  }
  compression->feed(octets);
  // Octets that become none can come without end: the others on the loop get their turn before more is read.
  wanted_ = Stream::Status::done;
  return inflate_now(max_buffered - held);
}

bool Connection::Impl::inflate_now(size_t room) {
  switch (compression->inflate(room, input_)) {
    case Compression::Inflated::some:
      return true;
    case Compression::Inflated::nothing:
      return false;
    case Compression::Inflated::broken:
      break;
  }
  fail(EndReason::reset, "the compressed stream is broken");
}

void Connection::Impl::start_compression() {
  compression = std::make_unique<Compression>();
  compression->feed(input());
  discard_input();
}

void Connection::Impl::stop_compression() {
  input_ += compression->take_rest();
  compression.reset();
}

asio::awaitable<void> Connection::Impl::wait(Stream::Status wanted) {
  without_waiting_ = 0;
  if (wanted == Stream::Status::done) {
    co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    co_return throw_if_ended();
  }
  const auto type = wanted == Stream::Status::want_write ? asio::socket_base::wait_write : asio::socket_base::wait_read;
  std::error_code error;
  co_await socket_.async_wait(type, asio::redirect_error(asio::use_awaitable, error));
  throw_if_ended();
  if (error && error != asio::error::operation_aborted) fail(EndReason::reset, error.message());
}

asio::awaitable<void> Connection::Impl::be_fair() {
  if (++without_waiting_ < kMaxWithoutWaiting) co_return;
  without_waiting_ = 0;
  co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  throw_if_ended();
}

void Connection::Impl::throw_if_ended() const {
  if (ended_) throw ConnectionEnded(*ended_);
}

void Connection::Impl::throw_if_drained() {
  if (draining && !busy && input().empty()) fail(EndReason::shutting_down);
}

void Connection::Impl::expect_more(const Stream::Outcome& outcome) {
  switch (outcome.status) {
    case Stream::Status::done:
      return;
    case Stream::Status::want_read:
    case Stream::Status::want_write:
      wanted_ = outcome.status;
      return;
    case Stream::Status::closed:
      fail(EndReason::peer_closed);
    case Stream::Status::reset:
      fail(EndReason::reset);
    case Stream::Status::tls_error:
      fail(EndReason::tls_failed, stream_.error());
  }
}

void Connection::Impl::fail(EndReason reason, const std::string& detail) {
  if (!ended_) ended_ = reason;
  throw ConnectionEnded(reason, detail);
}

void Connection::Impl::cancel() {
  std::error_code ignored;
  socket_.cancel(ignored);
}

void Connection::Impl::stop(EndReason reason) {
  if (ended_) return;
  ended_ = reason;
  cancel();
}

void Connection::Impl::close(std::string_view output) {
  if (closed_) return;
  closed_ = true;
  const bool peer_listens = !ended_ || *ended_ == EndReason::timed_out || *ended_ == EndReason::shutting_down ||
                            *ended_ == EndReason::closed_here;
  if (!ended_) ended_ = EndReason::closed_here;
  timer_.cancel();
  std::error_code ignored;
  if (peer_listens && !stream_.mute()) {
    if (!write_interrupted) {
      while (!output.empty()) {
        const auto outcome = stream_.write(output, {});
        if (outcome.status != Stream::Status::done) break;
        output.remove_prefix(outcome.octets);
      }
    }
    stream_.finish();
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    auto& buffer = scratch();
    for (size_t discarded = 0; discarded < kMaxDiscarded;) {
      const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got <= 0) break;
      discarded += static_cast<size_t>(got);
    }
  }
  socket_.close(ignored);
  std::string().swap(input_);
  consumed_ = 0;
}

void Connection::Impl::set_deadline(std::chrono::steady_clock::time_point when) {
  deadline_ = when;
  if (ended_ || when == std::chrono::steady_clock::time_point::max()) return;
  // A timer that fires too early sees the later deadline and is armed again; only an earlier one has to be told.
  if (!armed_ || deadline_ < armed_for_) arm();
}

void Connection::Impl::arm() {
  armed_ = true;
  armed_for_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (error) return;  // armed anew, or closed
    self->armed_ = false;
    if (self->ended_ || self->deadline_ == std::chrono::steady_clock::time_point::max()) return;
    if (std::chrono::steady_clock::now() < self->deadline_) return self->arm();
    self->stop(EndReason::timed_out);
  });
}

}  // namespace postrider::net
