#include "common/daemon/confine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "common/base/log.h"

namespace postrider {
namespace {

// Kernels before 5.19 (version 2) forbid every rename from one folder into another.
constexpr int kNeededLandlock = 2;
constexpr uint64_t kTruncate = uint64_t{1} << 14;  // version 3; Debian 12's header does not name it

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;  // not known here: no seccomp
#endif

// What no mail server does, and whoever took one over would like to.
constexpr uint32_t kForbidden[] = {
    __NR_execve,
    __NR_execveat,
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_mount,
    __NR_umount2,
    __NR_pivot_root,
    __NR_chroot,
    __NR_setns,
    __NR_unshare,
    __NR_init_module,
    __NR_finit_module,
    __NR_delete_module,
    __NR_kexec_load,
    __NR_bpf,
    __NR_perf_event_open,
    __NR_userfaultfd,
    __NR_keyctl,
    __NR_add_key,
    __NR_request_key,
    __NR_reboot,
    __NR_swapon,
    __NR_swapoff,
    __NR_settimeofday,
    __NR_clock_settime,
    __NR_sethostname,
    __NR_personality,
    __NR_open_by_handle_at,
    __NR_acct,
};

std::string restrict_calls() {
  if (kArchitecture == 0) return "seccomp on this kind of processor";
  constexpr size_t kCount = std::size(kForbidden);
  std::array<sock_filter, kCount + 7> filter{};
  size_t at = 0;
  const auto add = [&](uint16_t code, uint8_t yes, uint8_t no, uint32_t value) {
    filter[at++] = {code, yes, no, value};
  };
  // Another architecture's calls have other numbers.
  add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<uint8_t>(kCount + 3), kArchitecture);
  add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr));
  add(BPF_JMP | BPF_JGE | BPF_K, static_cast<uint8_t>(kCount + 1), 0, 0x40000000);  // x32
  for (size_t i = 0; i < kCount; ++i)
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint8_t>(kCount - i), 0, kForbidden[i]);
  add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
  add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
  const sock_fprog program{static_cast<unsigned short>(at), filter.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return {};
  return fmt::format("seccomp ({})", std::strerror(errno));
}

std::string restrict_files(const std::vector<std::string>& writable) {
  const long version = ::syscall(__NR_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < kNeededLandlock) return "Landlock (Linux 5.19 has it)";
  constexpr uint64_t kChange = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                               LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                               LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                               LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                               LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
  const uint64_t change = kChange | (version >= 3 ? kTruncate : 0);
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = change | LANDLOCK_ACCESS_FS_EXECUTE;
  const auto set = static_cast<int>(::syscall(__NR_landlock_create_ruleset, &rules, sizeof rules, 0));
  if (set < 0) return fmt::format("Landlock ({})", std::strerror(errno));
  bool allowed = true;
  const auto allow = [&](const std::string& folder, uint64_t access) {
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = access;
    beneath.parent_fd = ::open(folder.c_str(), O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0) return;  // not there: nothing to write to
    allowed = ::syscall(__NR_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0 && allowed;
    ::close(beneath.parent_fd);
  };
  for (const std::string& folder : writable) allow(folder, change);
  allow("/dev", LANDLOCK_ACCESS_FS_WRITE_FILE);
  const bool done = allowed && ::syscall(__NR_landlock_restrict_self, set, 0) == 0;
  const std::string why = done ? std::string() : fmt::format("Landlock ({})", std::strerror(errno));
  ::close(set);
  return why;
}

}  // namespace

Confinement confine(const std::vector<std::string>& writable) {
  Confinement done;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    done.missing = fmt::format("no_new_privs ({})", std::strerror(errno));
    return done;
  }
  const std::string files = restrict_files(writable);
  const std::string calls = restrict_calls();
  done.landlock = files.empty();
  done.seccomp = calls.empty();
  done.missing = files + (files.empty() || calls.empty() ? "" : ", ") + calls;
  return done;
}

void confine_daemon(const Config& config) {
  if (config.server.confine != "on") return;
  const char* temporary = std::getenv("TMPDIR");
  const Confinement done = confine({config.server.state, config.server.pid_directory, "/tmp", "/var/tmp",
                                    temporary != nullptr ? temporary : "/tmp"});
  if (done.missing.empty()) {
    log_info("confined", {{"writes", config.server.state}, {"programs", "none"}});
  } else {
    log_warn("not_confined", {{"missing", done.missing}});
  }
}

}  // namespace postrider
