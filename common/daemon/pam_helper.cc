#include "common/daemon/pam_helper.h"

#include <fmt/format.h>
#include <security/pam_appl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "common/base/log.h"

namespace postrider {
namespace {

// A request is a number, the length of the name, the name, the password; an answer is the number and 1 or 0.
constexpr size_t kHead = sizeof(uint32_t) * 2;
constexpr size_t kMaxRequest = kHead + 2 * kMaxPamText;

/// Answers PAM's one question, which is for the password.
int answer(int count, const pam_message** messages, pam_response** responses, void* data) {
  auto* made = static_cast<pam_response*>(std::calloc(static_cast<size_t>(count), sizeof(pam_response)));
  if (made == nullptr) return PAM_BUF_ERR;
  for (int i = 0; i < count; ++i) {
    if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF) made[i].resp = ::strdup(static_cast<const char*>(data));
  }
  *responses = made;
  return PAM_SUCCESS;
}

void no_delay(int, unsigned, void*) {}  // the daemons have their own, and it holds up nobody else

bool authenticate(const std::string& service, const std::string& folder, const std::string& user,
                  std::string& password) {
  const pam_conv conversation{&answer, password.data()};
  pam_handle_t* handle = nullptr;
  int status = folder.empty()
                   ? ::pam_start(service.c_str(), user.c_str(), &conversation, &handle)
                   : ::pam_start_confdir(service.c_str(), user.c_str(), &conversation, folder.c_str(), &handle);
  if (status != PAM_SUCCESS) return false;
  const auto delay = &no_delay;
  const void* item = nullptr;
  std::memcpy(&item, &delay, sizeof item);
  ::pam_set_item(handle, PAM_FAIL_DELAY, item);
  status = ::pam_authenticate(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  if (status == PAM_SUCCESS) status = ::pam_acct_mgmt(handle, PAM_SILENT);
  ::pam_end(handle, status);
  return status == PAM_SUCCESS;
}

/// The helper's whole life: it ends with the daemon, whose end closes the socket.
[[noreturn]] void serve(int socket, const std::string& service, const std::string& folder) {
  ::prctl(PR_SET_NAME, "postrider-pam");
  std::array<char, kMaxRequest> request;
  for (;;) {
    const ssize_t size = ::recv(socket, request.data(), request.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < static_cast<ssize_t>(kHead)) ::_exit(0);
    uint32_t number = 0, name = 0;
    std::memcpy(&number, request.data(), sizeof number);
    std::memcpy(&name, request.data() + sizeof number, sizeof name);
    const std::string_view text(request.data() + kHead, static_cast<size_t>(size) - kHead);
    std::string password(text.substr(std::min<size_t>(name, text.size())));
    const std::string user(text.substr(0, name));
    std::array<char, sizeof number + 1> reply{};
    std::memcpy(reply.data(), &number, sizeof number);
    reply.back() = authenticate(service, folder, user, password) ? 1 : 0;
    ::explicit_bzero(password.data(), password.size());
    ::explicit_bzero(request.data(), request.size());
    ::send(socket, reply.data(), reply.size(), MSG_NOSIGNAL);
  }
}

}  // namespace

Result<std::unique_ptr<PamHelper>> PamHelper::start(const std::string& service, const std::string& folder) {
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return failure(fmt::format("The helper for PAM has no socket: {}.", std::strerror(errno)));
  }
  const pid_t process = ::fork();
  if (process < 0) return failure(fmt::format("The helper for PAM cannot be started: {}.", std::strerror(errno)));
  if (process == 0) {
    std::signal(SIGTERM, SIG_IGN);  // it goes when the daemon goes, which may be later
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    ::close(sockets[0]);
    serve(sockets[1], service, folder);
  }
  ::close(sockets[1]);
  const timeval patience{kPamPatience.count(), 0};
  ::setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return std::unique_ptr<PamHelper>(new PamHelper(sockets[0], process));
}

PamHelper::~PamHelper() {
  ::close(socket_);
  ::kill(process_, SIGKILL);  // it may be waiting for some module of PAM
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool PamHelper::check(const std::string& user, std::string_view password) {
  if (user.empty() || user.size() > kMaxPamText || password.empty() || password.size() > kMaxPamText) return false;
  if (password.find('\0') != std::string_view::npos || user.find('\0') != std::string::npos) return false;
  std::lock_guard lock(mutex_);
  const uint32_t number = ++asked_;
  const auto name = static_cast<uint32_t>(user.size());
  std::string request(kHead, '\0');
  std::memcpy(request.data(), &number, sizeof number);
  std::memcpy(request.data() + sizeof number, &name, sizeof name);
  request += user;
  request += password;
  const ssize_t sent = ::send(socket_, request.data(), request.size(), MSG_NOSIGNAL);
  ::explicit_bzero(request.data(), request.size());
  std::array<char, sizeof number + 1> reply{};
  while (sent > 0) {
    const ssize_t size = ::recv(socket_, reply.data(), reply.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size != static_cast<ssize_t>(reply.size())) break;
    uint32_t answered = 0;
    std::memcpy(&answered, reply.data(), sizeof answered);
    if (answered == number) return reply.back() == 1;  // else: to a question that nobody waits for any more
  }
  log_error("pam_helper", {{"reason", "it does not answer"}, {"user", user}});
  return false;
}

}  // namespace postrider
