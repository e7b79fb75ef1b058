// What mta and imapd do alike around their loops: descriptors, signals, user, PID file, readiness, certificates.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/net/tls.h"

namespace postrider::net {

/// Raises the limit of open files as far as the system lets us, at most to wanted. Gives the limit in effect.
uint64_t raise_descriptor_limit(uint64_t wanted = uint64_t{1} << 20);

/// Becomes this user and group for good; nothing where user is empty. Sockets and keys that need root are opened
/// before. The error is a sentence.
Result<void> drop_privileges(const std::string& user, const std::string& group);

/// Makes the state folder where it is missing: for this user and group alone (for the process's own where user is
/// empty), and what is made in it gets its group. A folder that is there is left alone. Before drop_privileges(); the
/// error is a sentence.
Result<void> prepare_state_folder(const std::string& path, const std::string& user, const std::string& group);

/// Tells the service manager (systemd's NOTIFY_SOCKET protocol), if there is one: "READY=1", "STOPPING=1",
/// "RELOADING=1".
void notify_service_manager(std::string_view state);

/// STATE/mta.pid: the process's number, locked as long as it lives, so that there is one daemon for a state folder.
class PidFile {
 public:
  /// The error says that another one runs, with its number, or why the file cannot be written.
  static Result<PidFile> take(const std::string& path);
  ~PidFile();  // removes the file
  PidFile(PidFile&& other) noexcept;
  PidFile& operator=(PidFile&&) = delete;

 private:
  PidFile(std::string path, int file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  int file_;
};

/// SIGHUP, SIGTERM and SIGINT as calls on a loop.
class Signals {
 public:
  Signals(asio::io_context& loop, std::function<void()> on_reload, std::function<void()> on_stop);

 private:
  void wait();
  asio::signal_set signals_;
  std::function<void()> on_reload_, on_stop_;
};

/// The certificate that new handshakes use, made anew when the files changed. From any thread.
class TlsStore : public std::enable_shared_from_this<TlsStore> {
 public:
  /// Loads the files; the error is a sentence. client_ca: as for TlsServerContext::load().
  static Result<std::shared_ptr<TlsStore>> open(std::vector<CertificateFiles> files, std::string client_ca = {});

  /// For the next handshake; sessions keep what they have.
  std::shared_ptr<TlsServerContext> current() const;
  /// When the first of its certificates expires, as unix time.
  int64_t expires() const { return current()->expires(); }
  /// Loads again if a file is another one than before (by time and size). A failure is logged, and the old one stays.
  /// True: there is a new one.
  bool reload_if_changed();
  /// Other files from now on (configuration); the old ones stay where the new ones cannot be used.
  Result<void> use(std::vector<CertificateFiles> files, std::string client_ca = {});
  /// Looks every half minute, as long as the loop runs and there is somebody else who holds this.
  void watch(asio::io_context& loop);

 private:
  TlsStore() = default;
  std::string stamp() const;

  mutable std::mutex mutex_;
  std::vector<CertificateFiles> files_;
  std::string client_ca_;
  std::string stamp_;
  std::shared_ptr<TlsServerContext> current_;
};

}  // namespace postrider::net
