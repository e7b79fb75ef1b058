// Passwords of this system's users, as PAM checks them: in a process of its own, which is made before the daemon gives
// up root, because shadow passwords are nobody else's to read, and because what PAM loads has no place in a daemon.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/result.h"
#include "common/sasl/password.h"

namespace postrider {

constexpr std::chrono::seconds kPamPatience{20};  // for one answer; then the login fails
constexpr size_t kMaxPamText = 1'024;             // octets of a name or a password

class PamHelper final : public sasl::PasswordSource {
 public:
  /// Forks: before there are threads. service: the name of a file in /etc/pam.d, or of one in folder where that is not
  /// empty. The error is a sentence.
  static Result<std::unique_ptr<PamHelper>> start(const std::string& service, const std::string& folder = {});
  ~PamHelper() override;
  PamHelper(const PamHelper&) = delete;
  PamHelper& operator=(const PamHelper&) = delete;

  /// Blocks; for worker threads, from any of them, one after the other. False too where the helper is gone.
  bool check(const std::string& user, std::string_view password) override;

 private:
  PamHelper(int socket, pid_t process) : socket_(socket), process_(process) {}

  std::mutex mutex_;
  const int socket_;
  const pid_t process_;
  uint32_t asked_ = 0;
};

}  // namespace postrider
