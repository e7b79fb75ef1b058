#include "store/wal_mend.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <vector>

namespace postrider::store {
namespace {

// https://www.sqlite.org/fileformat2.html, 4.1 and 4.2: all numbers are big-endian, but for what checksums are made of.
constexpr size_t kHeader = 32, kFrame = 24;
constexpr size_t kPageSizeAt = 8, kSaltAt = 16, kHeaderSumAt = 24;  // in the header
constexpr size_t kFrameSaltAt = 8, kFrameSumAt = 16, kSummed = 8;   // in that of a frame
constexpr uint32_t kMagic = 0x377f0682;                             // and 1 more: words of checksums are big-endian
constexpr uint32_t kMaxPageSize = 65'536;

class Log {
 public:
  explicit Log(const std::string& path) : path_(path), file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
  ~Log() {
    if (file_ >= 0) ::close(file_);
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// False: the end.
  bool read(uint64_t at, std::vector<unsigned char>& into) const {
    return file_ >= 0 &&
           ::pread(file_, into.data(), into.size(), static_cast<off_t>(at)) == static_cast<ssize_t>(into.size());
  }
  void write(uint64_t at, const unsigned char* from, size_t size) const {
    if (::pwrite(file_, from, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size))
      throw std::system_error(errno, std::generic_category(), path_);
  }

 private:
  std::string path_;
  int file_;
};

uint32_t big_endian(const unsigned char* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | uint32_t{from[3]};
}

void put_big_endian(unsigned char* to, uint32_t number) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<unsigned char>(number >> (24 - 8 * i));
}

struct Sum {
  bool big = false;
  uint32_t first = 0, second = 0;

  void add(const unsigned char* from, size_t size) {
    auto word = [this](const unsigned char* at) {
      return big ? big_endian(at)
                 : uint32_t{at[3]} << 24 | uint32_t{at[2]} << 16 | uint32_t{at[1]} << 8 | uint32_t{at[0]};
    };
    for (size_t i = 0; i + 8 <= size; i += 8) {
      first += word(from + i) + second;
      second += word(from + i + 4) + first;
    }
  }
  void put(unsigned char* to) const {
    put_big_endian(to, first);
    put_big_endian(to + 4, second);
  }
};

bool same_salt(const std::vector<unsigned char>& header, const std::vector<unsigned char>& frame) {
  return std::equal(header.begin() + kSaltAt, header.begin() + kSaltAt + 8, frame.begin() + kFrameSaltAt);
}

}  // namespace

bool mend_wal(const std::string& path) {
  const Log log(path);
  std::vector<unsigned char> header(kHeader);
  if (!log.read(0, header)) return false;
  const uint32_t page = big_endian(&header[kPageSizeAt]);
  if ((big_endian(header.data()) & ~1U) != kMagic || page < 512 || page > kMaxPageSize || (page & (page - 1)) != 0)
    return false;
  // What lies behind the last frame of this log is of an earlier one.
  uint64_t last = 0;
  std::vector<unsigned char> frame(kFrame);
  for (uint64_t number = 0; log.read(kHeader + number * (kFrame + page), frame); ++number) {
    if (same_salt(header, frame)) last = number + 1;
  }
  Sum sum;
  sum.big = (big_endian(header.data()) & 1U) != 0;
  sum.add(header.data(), kHeaderSumAt);
  sum.put(&header[kHeaderSumAt]);
  log.write(0, header.data(), header.size());
  frame.resize(kFrame + page);
  for (uint64_t number = 0; number < last; ++number) {
    const uint64_t at = kHeader + number * (kFrame + page);
    if (!log.read(at, frame)) break;
    std::copy(header.begin() + kSaltAt, header.begin() + kSaltAt + 8, frame.begin() + kFrameSaltAt);
    sum.add(frame.data(), kSummed);
    sum.add(&frame[kFrame], page);
    sum.put(&frame[kFrameSumAt]);
    log.write(at, frame.data(), kFrame);
  }
  return true;
}

}  // namespace postrider::store
