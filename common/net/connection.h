// One TCP connection of a session: buffered reading and writing, TLS in place, one deadline.
//
// Everything here belongs to one loop. What ends a session from outside (peer gone, deadline, shutdown) is thrown as
// ConnectionEnded from the read or write that was waiting, and is caught once, at the top of the session.
//
// A connection that waits holds no buffers: readiness is awaited, and octets are read when there are some.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/tls.h"

namespace postrider::net {

enum class EndReason { peer_closed, timed_out, reset, tls_failed, shutting_down, closed_here };
std::string_view to_string(EndReason reason);

class ConnectionEnded : public std::runtime_error {
 public:
  explicit ConnectionEnded(EndReason reason, const std::string& detail = {});
  EndReason reason() const { return reason_; }

 private:
  EndReason reason_;
};

class Connection {
 public:
  explicit Connection(asio::ip::tcp::socket socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  asio::any_io_executor executor();
  const std::string& remote_address() const;  // text, without port; IPv4 as such even where it came mapped into IPv6
  uint16_t remote_port() const;
  const std::string& local_address() const;
  uint16_t local_port() const;
  bool from_loopback() const;

  /// The PROXY protocol's header, which has to come first: from now on the addresses are those that it tells. Throws
  /// ConnectionEnded (reset) for anything else.
  asio::awaitable<void> read_proxy_header();

  // --- reading. The buffer grows to its limit, and is given back when it is empty and the session waits.
  /// What was read and not consumed yet. Valid until the next call that reads or consumes.
  std::string_view input() const;
  void consume(size_t octets);
  /// Waits for more input and appends it; at most max_buffered octets are held. Throws ConnectionEnded, and
  /// std::length_error when that many are held already (look at input() first).
  asio::awaitable<void> read_more(size_t max_buffered = kMaxInput);
  static constexpr size_t kMaxInput = 64 << 10;

  /// Whether nothing came since input was consumed and the other side is still there, as far as is known without
  /// waiting: a connection that is kept may have been closed, or hold a reply that nobody asked for.
  bool is_quiet();

  // --- waiting for input or a word from somebody else on this loop (IMAP IDLE). Loses neither.
  enum class Wake { input, notified };
  /// Comes back when read_more() will have something at once, or notify() was called since it last said notified.
  /// Throws ConnectionEnded. max_buffered: as for read_more().
  asio::awaitable<Wake> wait_input_or_notify(size_t max_buffered = kMaxInput);
  void notify();

  // --- writing. One writer at a time: the session.
  /// Appends to the output that the next flush sends.
  void queue(std::string_view octets);
  size_t queued() const { return output_.size(); }
  asio::awaitable<void> flush();
  /// Sends without copying; what was queued goes first.
  asio::awaitable<void> write(std::string_view octets);

  // --- compression (RFC 4978), over TLS where that is
  /// From the next octet on, in both directions; what was read ahead is taken as compressed. Flush before. Once.
  void start_compression();
  /// Plain again, in both directions.
  void stop_compression();
  bool compressed() const;

  // --- TLS
  /// Server side handshake; what is queued is flushed before. Plain text that was read ahead is discarded (command
  /// injection, RFC 3207 4.2); false where some was. Throws ConnectionEnded (tls_failed). ask_client: for a
  /// certificate, where the context knows authorities.
  asio::awaitable<bool> start_tls(std::shared_ptr<TlsServerContext> context, bool ask_client = false);
  /// Client side handshake. host_name: for SNI and for TlsSession::verified; an address is allowed. Takes up the
  /// session of an earlier connection to the same name, address and port where there is one, and dane is empty. Throws
  /// ConnectionEnded (tls_failed), also for plain text that was read ahead.
  asio::awaitable<void> start_tls_client(std::shared_ptr<TlsClientContext> context, std::string host_name,
                                         DaneAnchors dane = {});
  bool encrypted() const;
  /// Protocol and cipher, for trace fields; empty text when not encrypted.
  TlsSession tls() const;
  /// Server side: the mail addresses in the certificate that the client showed, where it is a good one of a known
  /// authority; else none.
  std::vector<std::string> client_addresses() const;
  /// tls-exporter channel binding data (RFC 9266); empty when not encrypted.
  std::string tls_exporter() const;

  // --- time and end
  /// From now on; whatever waits when it passes throws timed_out. Renewed by the next call. Costs next to nothing.
  void set_deadline(std::chrono::steady_clock::duration from_now);
  void clear_deadline();
  /// Wakes whatever waits with that reason; afterwards every read and write throws. Output that is queued (also after
  /// this: a goodbye) is sent by close(), as far as that can be done at once.
  void stop(EndReason reason);
  /// The daemon is going: a session that waits between commands, now or later, is stopped with shutting_down. One that
  /// is busy is left alone until it says otherwise.
  void drain();
  /// Says that a command is under way whose input is still coming (DATA, a literal), so that drain() waits for its end.
  void set_busy(bool busy);
  /// Queued output as far as it can be sent at once, TLS close_notify where due, then close; never waits for the peer.
  void close();

 private:
  class Impl;
  asio::awaitable<void> handshake();
  std::shared_ptr<Impl> impl_;
  std::string output_;
};

/// Connects to another server on the caller's loop. local: the address to come from. Throws std::system_error (what the
/// system said, or std::errc::timed_out).
asio::awaitable<std::shared_ptr<Connection>> connect(asio::ip::tcp::endpoint remote,
                                                     std::chrono::steady_clock::duration timeout,
                                                     std::optional<asio::ip::address> local = std::nullopt);

/// Connects to a Unix socket of this machine, at once or not at all. Throws std::system_error.
asio::awaitable<std::shared_ptr<Connection>> connect_local(std::string path);

}  // namespace postrider::net
