#include "mailctl/sendmail/drop_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/random.h"

namespace postrider::sendmail {
namespace {

constexpr size_t kBuffer = 64 << 10;  // octets written at once

std::string reason() {
  return std::strerror(errno);
}

}  // namespace

DropWriter::DropWriter(std::string folder, std::string key, std::string path, int file, uint64_t max_size)
    : folder_(std::move(folder)), key_(std::move(key)), path_(std::move(path)), file_(file), max_size_(max_size) {}

DropWriter::DropWriter(DropWriter&& other) noexcept
    : folder_(std::move(other.folder_)),
      key_(std::move(other.key_)),
      path_(std::move(other.path_)),
      buffer_(std::move(other.buffer_)),
      file_(std::exchange(other.file_, -1)),
      max_size_(other.max_size_),
      size_(other.size_) {}

DropWriter::~DropWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(path_.c_str());
}

Result<DropWriter> DropWriter::begin(const std::string& folder, uint64_t max_size) {
  std::string key = fmt::format("{:016x}{:016x}", random_u64(), random_u64());
  std::string path = fmt::format("{}/.tmp.{}", folder, key);
  // Everybody may read the file, since mta may be another user; nobody else can reach it in a folder that lets nobody
  // in.
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
  if (file < 0 && errno == ENOENT) {
    return failure(fmt::format("{} is not there; mta makes it when it is started for the first time.", folder));
  }
  if (file < 0) return failure(fmt::format("Mail cannot be left in {}: {}.", folder, reason()));
  ::fchmod(file, 0444);
  return DropWriter(folder, std::move(key), std::move(path), file, max_size);
}

Result<void> DropWriter::write(std::string_view text) {
  size_ += text.size();
  if (size_ > max_size_)
    return failure(fmt::format("The message is larger than {} octets, which is all that is taken.", max_size_));
  buffer_ += text;
  return buffer_.size() >= kBuffer ? flush_buffer() : Result<void>();
}

Result<void> DropWriter::flush_buffer() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure(fmt::format("The message cannot be written: {}.", reason()));
    rest.remove_prefix(static_cast<size_t>(written));
  }
  buffer_.clear();
  return {};
}

Result<void> DropWriter::commit() {
  if (auto flushed = flush_buffer(); !flushed) return flushed;
  if (::fsync(file_) != 0) return failure(fmt::format("The message cannot be flushed to the disk: {}.", reason()));
  // The names of a user's files are numbered: that limits them without reading the folder.
  auto start = static_cast<int>(random_u64() % kMaxWaitingDrops);
  for (int i = 0; i < kMaxWaitingDrops; ++i) {
    std::string name = fmt::format("{}/{}.{}", folder_, ::getuid(), (start + i) % kMaxWaitingDrops);
    if (::link(path_.c_str(), name.c_str()) == 0) {
      // The link is flushed with the file that it is of, where the folder cannot be opened.
      ::fsync(file_);
      int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (folder >= 0) {
        ::fsync(folder);
        ::close(folder);
      }
      ::unlink(path_.c_str());
      ::close(std::exchange(file_, -1));
      return {};
    }
    if (errno != EEXIST) return failure(fmt::format("The message cannot be left for mta: {}.", reason()));
  }
  return failure(fmt::format("{} messages of yours wait already. Is mta running?", kMaxWaitingDrops));
}

}  // namespace postrider::sendmail
