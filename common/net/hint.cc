#include "common/net/hint.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <span>
#include <system_error>
#include <thread>
#include <unordered_map>

namespace postrider::net {
namespace {

constexpr size_t kMaxBatch = 128;  // hints in one datagram
constexpr size_t kMaxPending =
    100'000;                            // accounts that wait to be told of; more are dropped, the database is the truth
constexpr int kPollTime = 100;          // milliseconds, so that an end is noticed
constexpr int kMaxReceivedAtOnce = 64;  // datagrams before others on the loop get their turn

// Both ends are this program, on this machine: the struct itself is the format.
static_assert(std::is_trivially_copyable_v<Hint> && sizeof(Hint) == 24);

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw std::system_error(ENAMETOOLONG, std::generic_category(), "The socket's path is too long: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// -1, with errno, where there is none to be had.
int try_datagram_socket() {
  return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int datagram_socket() {
  const int descriptor = try_datagram_socket();
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "socket");
  return descriptor;
}

}  // namespace

// --- sender

struct HintSender::Impl {
  explicit Impl(const std::string& path) : address(address_of(path)), direct(datagram_socket()) {}
  ~Impl() { ::close(direct); }

  enum class Sent { yes, no_room, nobody_there };

  Sent send_to(std::span<const Hint> hints) {
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    const ssize_t sent =
        ::sendto(direct, hints.data(), hints.size_bytes(), MSG_DONTWAIT | MSG_NOSIGNAL, where, sizeof address);
    if (sent >= 0) return Sent::yes;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? Sent::no_room : Sent::nobody_there;
  }

  /// The mutex is held.
  void keep(const Hint& hint) {
    auto [place, added] = pending.try_emplace(hint.account, hint);
    if (added) {
      if (pending.size() > kMaxPending) pending.erase(place);
      return;
    }
    place->second.modseq = std::max(place->second.modseq, hint.modseq);
    if (place->second.mailbox != hint.mailbox) place->second.mailbox = 0;
  }
  /// The same. What there is no memory for is dropped, as a hint may be.
  void try_to_keep(std::span<const Hint> hints) {
    try {
      for (const Hint& hint : hints) keep(hint);
    } catch (const std::bad_alloc&) {
    }
  }

  using Batch = std::array<Hint, kMaxBatch>;

  /// Gives how many; needs no memory, so that it cannot fail.
  size_t take_batch(Batch& batch) {
    size_t count = 0;
    for (; count < batch.size() && !pending.empty(); ++count) {
      batch[count] = pending.begin()->second;
      pending.erase(pending.begin());
    }
    return count;
  }

  /// Waits until the receiver has room. Only a connected socket can be asked that.
  bool wait_for_room() const {
    const int connected = try_datagram_socket();
    if (connected < 0) {  // the process has no descriptor left just now
      ::poll(nullptr, 0, kPollTime);
      return true;
    }
    bool there = ::connect(connected, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (there) {
      pollfd waited{connected, POLLOUT, 0};
      ::poll(&waited, 1, kPollTime);
    }
    ::close(connected);
    return there;
  }

  void deliver() {
    std::unique_lock lock(mutex);
    while (true) {
      work_or_end.wait(lock, [this] { return ending || full; });
      if (ending) return;
      lock.unlock();
      const bool there = wait_for_room();
      lock.lock();
      if (!there) pending.clear();
      full = false;
      send_pending(lock);
    }
  }

  /// The mutex is held, but not while something is sent: what others bring meanwhile goes with the next datagram. So
  /// there is one sender at a time, and an older word about an account never follows a newer one.
  void send_pending(std::unique_lock<std::mutex>& lock) {
    if (sending || full) return;
    sending = true;
    Batch batch;
    while (!full && !pending.empty()) {
      const size_t count = take_batch(batch);
      lock.unlock();
      const Sent sent = send_to(std::span(batch).first(count));
      lock.lock();
      if (sent != Sent::no_room) continue;
      full = true;
      work_or_end.notify_one();
      try_to_keep(std::span(batch).first(count));
    }
    sending = false;
  }

  sockaddr_un address;
  int direct;
  std::mutex mutex;
  std::condition_variable work_or_end;
  std::unordered_map<int64_t, Hint> pending;  // by account
  bool sending = false;                       // somebody does
  bool full = false;                          // the receiver has no room: the thread waits for it
  bool ending = false;
  std::thread thread;
};

HintSender::HintSender(std::string path) : impl_(std::make_unique<Impl>(path)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->deliver(); });
}

HintSender::~HintSender() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->work_or_end.notify_all();
  impl_->thread.join();
}

void HintSender::send(const Hint& hint) {
  std::unique_lock lock(impl_->mutex);
  impl_->try_to_keep({&hint, 1});
  impl_->send_pending(lock);
}

// --- receiver

struct HintReceiver::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& loop, std::function<void(const Hint&)> callback)
      : socket(loop), received(std::move(callback)) {}

  void bind(const std::string& path) {
    const int descriptor = datagram_socket();
    socket.assign(asio::local::datagram_protocol(), descriptor);
    const sockaddr_un address = address_of(path);
    ::unlink(path.c_str());
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::system_error(errno, std::generic_category(), "The socket cannot be made: " + path);
    }
    ::chmod(path.c_str(), 0660);
  }

  void wait() {
    socket.async_wait(asio::socket_base::wait_read, [weak = weak_from_this()](const std::error_code& error) {
      auto self = weak.lock();
      if (!self || error) return;
      self->read();
      if (self->socket.is_open()) self->wait();
    });
  }

  void read() {
    std::array<Hint, kMaxBatch> hints;
    for (int i = 0; i < kMaxReceivedAtOnce && socket.is_open(); ++i) {
      const ssize_t size = ::recv(socket.native_handle(), hints.data(), sizeof hints, MSG_DONTWAIT);
      if (size < 0) return;
      const size_t count = static_cast<size_t>(size) / sizeof(Hint);
      for (size_t k = 0; k < count; ++k) received(hints[k]);
    }
  }

  asio::local::datagram_protocol::socket socket;
  std::function<void(const Hint&)> received;
};

HintReceiver::HintReceiver(asio::io_context& loop, std::string path, std::function<void(const Hint&)> received)
    : impl_(std::make_shared<Impl>(loop, std::move(received))) {
  impl_->bind(path);
  impl_->wait();
}

HintReceiver::~HintReceiver() {
  std::error_code ignored;
  impl_->socket.close(ignored);
}

}  // namespace postrider::net
