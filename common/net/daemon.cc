#include "common/net/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "common/base/ascii.h"
#include "common/base/log.h"

namespace postrider::net {
namespace {

constexpr std::chrono::seconds kCertificateInterval{30};
constexpr size_t kNameBuffer = 16 << 10;  // octets for a user's or group's row

std::optional<std::pair<uid_t, gid_t>> find_user(const std::string& name) {
  std::array<char, kNameBuffer> buffer{};
  passwd row{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &row, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return std::pair(row.pw_uid, row.pw_gid);
}

std::optional<gid_t> find_group(const std::string& name) {
  std::array<char, kNameBuffer> buffer{};
  group row{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &row, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return row.gr_gid;
}

/// The numbers of a user and of a group; the user's own group where group is empty.
Result<std::pair<uid_t, gid_t>> find_identity(const std::string& user, const std::string& group) {
  auto ids = find_user(user);
  if (!ids)
    return failure(
        fmt::format("server.user: there is no user {} on this system. Make it with adduser --system.", user));
  if (group.empty()) return *ids;
  const auto found = find_group(group);
  if (!found) return failure(fmt::format("server.group: there is no group {} on this system.", group));
  return std::pair(ids->first, *found);
}

/// Changes whenever the file does.
std::string file_stamp(const std::string& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return fmt::format("missing {}", errno);
  return fmt::format("{}.{} {} {}", facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec, facts.st_size, facts.st_ino);
}

}  // namespace

uint64_t raise_descriptor_limit(uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  if (before >= wanted) return before;
  rlimit raised{wanted, std::max<rlim_t>(wanted, limit.rlim_max)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;  // only root goes above the hard limit
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

Result<void> drop_privileges(const std::string& user, const std::string& group) {
  if (user.empty()) return {};
  const auto identity = find_identity(user, group);
  if (!identity) return tl::unexpected(identity.error());
  const auto [uid, gid] = *identity;
  if (::geteuid() == uid && ::getegid() == gid) return {};
  if (::geteuid() != 0)
    return failure(fmt::format("Only root and {} (server.user) may do this; start it as one of them.", user));
  if (::initgroups(user.c_str(), gid) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0) {
    return failure(fmt::format("The process cannot become the user {}: {}.", user, std::strerror(errno)));
  }
  if (uid != 0 && ::setuid(0) == 0) return failure("The privileges of root were not given up.");
  return {};
}

Result<void> prepare_state_folder(const std::string& path, const std::string& user, const std::string& group) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  if (const auto above = std::filesystem::path(path).parent_path(); !above.empty()) {
    std::filesystem::create_directories(above, error);
  }
  if (::mkdir(path.c_str(), 0770) != 0 && errno != EEXIST) {
    return failure(fmt::format("The state folder {} cannot be made: {}.", path, std::strerror(errno)));
  }
  if (!user.empty() && ::geteuid() == 0) {
    const auto identity = find_identity(user, group);
    if (!identity) return tl::unexpected(identity.error());
    if (::chown(path.c_str(), identity->first, identity->second) != 0) {
      return failure(fmt::format("The state folder {} cannot be given to {}: {}.", path, user, std::strerror(errno)));
    }
  }
  ::chmod(path.c_str(), 02770);
  return {};
}

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof address.sun_path) return;
  const size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // Linux's abstract names
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // Nobody can be told that nobody can be told.
  [[maybe_unused]] const auto sent =
      ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  ::close(descriptor);
}

Result<PidFile> PidFile::take(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return failure(fmt::format("The PID file {} cannot be made: {}.", path, std::strerror(errno)));
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> text{};
    const ssize_t size = ::read(file, text.data(), text.size() - 1);
    ::close(file);
    const std::string_view number = trim(std::string_view(text.data(), size > 0 ? static_cast<size_t>(size) : 0));
    return failure(fmt::format("Another process ({}) runs already with {}. Stop it first.", number, path));
  }
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const int reason = errno;
    ::close(file);
    return failure(fmt::format("The PID file {} cannot be written: {}.", path, std::strerror(reason)));
  }
  return PidFile(path, file);
}

PidFile::PidFile(PidFile&& other) noexcept : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

PidFile::~PidFile() {
  if (file_ < 0) return;
  // While the lock is held: afterwards it may be somebody else's.
  ::unlink(path_.c_str());
  ::close(file_);
}

Signals::Signals(asio::io_context& loop, std::function<void()> on_reload, std::function<void()> on_stop)
    : signals_(loop, SIGHUP, SIGTERM, SIGINT), on_reload_(std::move(on_reload)), on_stop_(std::move(on_stop)) {
  std::signal(SIGPIPE, SIG_IGN);
  wait();
}

void Signals::wait() {
  signals_.async_wait([this](const std::error_code& error, int number) {
    if (error) return;
    if (number == SIGHUP) {
      log_info("reload", {});
      on_reload_();
    } else {
      log_info("stop", {{"signal", number}});
      on_stop_();
    }
    wait();
  });
}

Result<std::shared_ptr<TlsStore>> TlsStore::open(std::vector<CertificateFiles> files, std::string client_ca) {
  std::shared_ptr<TlsStore> store(new TlsStore);
  if (auto done = store->use(std::move(files), std::move(client_ca)); !done) return tl::unexpected(done.error());
  return store;
}

std::string TlsStore::stamp() const {
  std::string all;
  for (const CertificateFiles& files : files_)
    all += fmt::format("{}|{}|", file_stamp(files.certificate), file_stamp(files.key));
  if (!client_ca_.empty()) all += file_stamp(client_ca_);
  return all;
}

std::shared_ptr<TlsServerContext> TlsStore::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

Result<void> TlsStore::use(std::vector<CertificateFiles> files, std::string client_ca) {
  auto context = TlsServerContext::load(files, client_ca);
  if (!context) return tl::unexpected(context.error());
  std::lock_guard lock(mutex_);
  files_ = std::move(files);
  client_ca_ = std::move(client_ca);
  stamp_ = stamp();
  current_ = std::move(*context);
  return {};
}

bool TlsStore::reload_if_changed() {
  std::lock_guard lock(mutex_);
  std::string now = stamp();
  if (now == stamp_) return false;
  // A pair that is only half replaced fails, and is tried again when the other half is there.
  stamp_ = std::move(now);
  auto context = TlsServerContext::load(files_, client_ca_);
  if (!context) {
    log_warn("certificate_kept", {{"error", context.error().message}});
    return false;
  }
  current_ = std::move(*context);
  log_info("certificate_loaded", {{"file", files_.front().certificate}});
  return true;
}

namespace {

asio::awaitable<void> look_now_and_then(std::weak_ptr<TlsStore> weak) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(kCertificateInterval);
    co_await timer.async_wait(asio::use_awaitable);
    const auto store = weak.lock();
    if (!store) co_return;
    store->reload_if_changed();
  }
}

}  // namespace

void TlsStore::watch(asio::io_context& loop) {
  // The timer is the loop's, not ours: a session that is left when the daemon ends may hold us longer than that.
  asio::co_spawn(loop, look_now_and_then(weak_from_this()), [](const std::exception_ptr& error) {
    if (error) log_error("certificate_watch_ended", {{"advice", "SIGHUP takes up a new certificate"}});
  });
}

}  // namespace postrider::net
