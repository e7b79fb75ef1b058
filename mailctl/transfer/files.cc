#include "mailctl/transfer/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "mailctl/transfer/importer.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxSmallRead = 1 << 20;  // octets of a file with keywords or subscriptions

}  // namespace

std::string why_not(const std::string& path, const char* what) {
  const int error = errno;
  std::string text = fmt::format("{} cannot be {}: {}.", path, what, std::strerror(error));
  if ((error == EACCES || error == EPERM) && ::geteuid() != 0) {
    const passwd* user = ::getpwuid(::geteuid());
    text += fmt::format(" mailctl works as the user {} here; let that user in.",
                        user != nullptr ? user->pw_name : std::to_string(::geteuid()));
  }
  return text;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool File::read(std::string& out, const std::string& path) {
  const size_t before = out.size();
  out.resize(before + kTransferPiece);
  ssize_t got = 0;
  do {
    got = ::read(descriptor_, out.data() + before, kTransferPiece);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw CommandFailed(why_not(path, "read"));
  out.resize(before + static_cast<size_t>(got));
  return got > 0;
}

void File::write(std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw CommandFailed(why_not(path, "written"));
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

File open_to_read(const std::string& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file) return file;
  if (::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode)) return file;
  errno = EINVAL;
  return File();
}

File open_to_write(const std::string& path, int flags) {
  File file(::open(path.c_str(), flags | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) throw CommandFailed(why_not(path, "written"));
  return file;
}

void make_folders(const std::string& path) {
  if (path.empty() || ::mkdir(path.c_str(), 0700) == 0) return;
  if (errno == ENOENT) {
    make_folders(std::filesystem::path(path).parent_path());
    if (::mkdir(path.c_str(), 0700) == 0) return;
  }
  std::error_code ignored;
  if (errno != EEXIST || !std::filesystem::is_directory(path, ignored)) throw CommandFailed(why_not(path, "made"));
}

void replace_file(const std::string& path, std::string_view text) {
  const std::string next = path + ".new";
  {
    File file = open_to_write(next, O_CREAT | O_TRUNC);
    file.write(text, next);
    if (::fsync(file.get()) != 0) throw CommandFailed(why_not(next, "flushed"));
  }
  if (::rename(next.c_str(), path.c_str()) != 0) throw CommandFailed(why_not(path, "replaced"));
}

std::string read_small(const std::string& path) {
  std::string text;
  File file = open_to_read(path);
  if (!file) return text;
  while (text.size() < kMaxSmallRead && file.read(text, path)) {
  }
  return text;
}

bool list_folder(const std::string& path, const std::function<void(std::string_view name)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (folder == nullptr) return false;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) return errno == 0;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visit(name);
  }
}

}  // namespace postrider::mailctl
