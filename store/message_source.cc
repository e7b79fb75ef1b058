#include "store/message_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/base/random.h"
#include "store/checksum.h"
#include "store/convert.h"
#include "store/thread_keys.h"

namespace postrider::store {
namespace {

constexpr int kZstdLevel = 1;           // four times as fast as level 3, for a tenth more octets
constexpr size_t kMinCompressed = 512;  // smaller pieces stay as they are

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

void write_all(int file, std::string_view bytes, uint64_t at, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path);
    bytes.remove_prefix(static_cast<size_t>(written));
    at += static_cast<uint64_t>(written);
  }
}

/// A spool file's name ends with where its message begins: "0123456789abcdef-3f2a", in hexadecimal.
std::string with_begin(std::string_view path, uint64_t begin) {
  return fmt::format("{}-{:x}", path.substr(0, path.rfind('-')), begin);
}

uint64_t begin_of(const std::string& path) {
  uint64_t begin = 0;
  const size_t dash = path.rfind('-');
  if (dash == std::string::npos || path.find('/', dash) != std::string::npos) return 0;
  auto [end, error] = std::from_chars(path.data() + dash + 1, path.data() + path.size(), begin, 16);
  return error == std::errc() && end == path.data() + path.size() ? begin : 0;
}

/// One context a thread: making one costs more than compressing a small message.
struct ZstdContexts {
  ZSTD_CCtx* compress = ZSTD_createCCtx();
  ZSTD_DCtx* decompress = ZSTD_createDCtx();
  ~ZstdContexts() {
    ZSTD_freeCCtx(compress);
    ZSTD_freeDCtx(decompress);
  }
};

ZstdContexts& zstd() {
  thread_local ZstdContexts contexts;
  return contexts;
}

}  // namespace

Spool::Spool(std::string directory) : directory_(std::move(directory)) {}

Spool::Spool(std::shared_ptr<const Spool> whole, uint64_t offset, uint64_t size)
    : whole_(std::move(whole)), offset_(offset), size_(size) {}

Spool::~Spool() {
  if (file_ >= 0) ::close(file_);
  if (!path_.empty() && !keep_) ::unlink(path_.c_str());
}

Spool::Spool(Spool&& other) noexcept
    : whole_(std::move(other.whole_)),
      offset_(other.offset_),
      directory_(std::move(other.directory_)),
      memory_(std::move(other.memory_)),
      path_(std::exchange(other.path_, {})),
      file_(std::exchange(other.file_, -1)),
      begin_(other.begin_),
      size_(std::exchange(other.size_, 0)),
      keep_(other.keep_) {}

Spool& Spool::operator=(Spool&& other) noexcept {
  if (this != &other) {
    std::swap(whole_, other.whole_);
    std::swap(offset_, other.offset_);
    std::swap(directory_, other.directory_);
    std::swap(memory_, other.memory_);
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
    std::swap(keep_, other.keep_);
  }
  return *this;
}

bool Spool::will_write(size_t more) const {
  return file_ >= 0 || memory_.size() + more > kChunkSize;
}

void Spool::append(std::string_view bytes) {
  if (!will_write(bytes.size())) {
    memory_ += bytes;
    size_ += bytes.size();
    return;
  }
  if (file_ < 0) {
    begin_ = kFrontRoom;
    path_ = with_begin(fmt::format("{}/{:016x}-", directory_, random_u64()), begin_);
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (file_ < 0) {
      std::string path = std::exchange(path_, {});
      fail(path);
    }
    write_all(file_, memory_, begin_, path_);
    memory_ = std::string();
  }
  write_all(file_, bytes, begin_ + size_, path_);
  size_ += bytes.size();
}

void Spool::prepend(std::string_view bytes) {
  if (file_ < 0) {
    memory_.insert(0, bytes);
  } else {
    if (bytes.size() > begin_) throw std::length_error("a spool file has no room for that in front");
    const uint64_t begin = begin_ - bytes.size();
    write_all(file_, bytes, begin, path_);
    std::string path = with_begin(path_, begin);
    if (::rename(path_.c_str(), path.c_str()) != 0) fail(path_);
    path_ = std::move(path);
    begin_ = begin;
  }
  size_ += bytes.size();
}

void Spool::sync() {
  if (file_ < 0) return;
  if (::fdatasync(file_) != 0) fail(path_);
  int directory = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail(directory_);
  int code = ::fsync(directory);
  ::close(directory);
  if (code != 0) fail(directory_);
}

std::string Spool::keep() const {
  keep_ = true;
  return path_;
}

Spool Spool::adopt(std::string path) {
  Spool spool(std::filesystem::path(path).parent_path());
  spool.file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (spool.file_ < 0) fail(path);
  spool.keep_ = true;
  spool.path_ = std::move(path);
  spool.begin_ = begin_of(spool.path_);
  const uint64_t size = std::filesystem::file_size(spool.path_);
  if (size < spool.begin_) throw std::runtime_error(spool.path_ + ": shorter than its name says");
  spool.size_ = size - spool.begin_;
  return spool;
}

std::string_view Spool::read_at(uint64_t offset, std::string& buffer) const {
  return read_at(offset, std::min<uint64_t>(kChunkSize, size_ - offset), buffer);
}

std::string_view Spool::read_at(uint64_t offset, size_t want, std::string& buffer) const {
  if (whole_ != nullptr) return whole_->read_at(offset_ + offset, want, buffer);
  if (file_ < 0) return std::string_view(memory_).substr(offset, want);
  buffer.resize(want);
  size_t have = 0;
  while (have < want) {
    ssize_t count = ::pread(file_, buffer.data() + have, want - have, static_cast<off_t>(begin_ + offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_);
    if (count == 0) throw std::runtime_error(path_ + ": shorter than it was");
    have += static_cast<size_t>(count);
  }
  return buffer;
}

namespace {

/// Whether there is a NUL in it.
bool index_message(const Spool& spool, MimeSummary& summary) {
  bool has_nul = false;
  MimeIndexer indexer;
  spool.read([&](std::string_view piece) {
    indexer.feed(piece);
    has_nul = has_nul || piece.find('\0') != std::string_view::npos;
  });
  summary = indexer.finish();
  return has_nul;
}

}  // namespace

PreparedMessage prepare_message(std::shared_ptr<const Spool> spool) {
  PreparedMessage message;
  bool has_nul = index_message(*spool, message.summary);
  const auto& parts = message.summary.index.parts;
  auto is_binary = [](const MimePart& part) { return part.encoding == "binary"; };
  if (has_nul && std::any_of(parts.begin(), parts.end(), is_binary)) {
    if (auto converted = without_nul(*spool, spool->directory())) {
      spool = std::move(converted);
      index_message(*spool, message.summary);
    }
  }
  size_t head = std::min<uint64_t>(message.summary.head_size, kMaxInlineHead);
  std::string rest;
  if (spool->size() - head <= kChunkSize) {
    spool->read([&](std::string_view piece) {
      size_t to_head = std::min(piece.size(), head - message.head.size());
      message.head += piece.substr(0, to_head);
      rest += piece.substr(to_head);
    });
    if (!rest.empty()) message.chunks.push_back(prepare_chunk(rest));
  } else {
    spool->read([&](std::string_view piece) { message.head += piece.substr(0, head - message.head.size()); });
    message.spool = std::move(spool);
  }
  message.head_checksum = checksum(message.head);
  message.thread_keys = thread_keys(message.head);
  return message;
}

PreparedChunk prepare_chunk(std::string_view raw) {
  PreparedChunk chunk;
  chunk.raw_size = static_cast<uint32_t>(raw.size());
  if (raw.size() >= kMinCompressed) {
    chunk.data.resize(ZSTD_compressBound(raw.size()));
    size_t size =
        ZSTD_compressCCtx(zstd().compress, chunk.data.data(), chunk.data.size(), raw.data(), raw.size(), kZstdLevel);
    if (ZSTD_isError(size) == 0 && size <= raw.size() - raw.size() / 8) {
      chunk.data.resize(size);
      chunk.zstd = true;
    }
  }
  if (!chunk.zstd) chunk.data = raw;
  chunk.checksum = checksum(chunk.data);
  return chunk;
}

std::string restore_chunk(std::string_view data, bool compressed, size_t raw_size) {
  if (!compressed) return std::string(data);
  if (raw_size > kChunkSize) throw std::runtime_error("a stored body piece claims to be larger than any piece is");
  std::string raw(raw_size, '\0');
  size_t size = ZSTD_decompressDCtx(zstd().decompress, raw.data(), raw.size(), data.data(), data.size());
  if (ZSTD_isError(size) != 0 || size != raw_size) throw std::runtime_error("a stored body piece is damaged");
  return raw;
}

}  // namespace postrider::store
