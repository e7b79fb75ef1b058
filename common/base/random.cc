#include "common/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <stdexcept>

namespace postrider {
namespace {

void fill(char* to, size_t count) {
  while (count > 0) {
    const ssize_t got = ::getrandom(to, count, 0);
    if (got < 0 && errno != EINTR) throw std::runtime_error("the system gives no random bytes");
    if (got < 0) continue;
    to += got;
    count -= static_cast<size_t>(got);
  }
}

}  // namespace

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  fill(bytes.data(), count);
  return bytes;
}

uint64_t random_u64() {
  uint64_t value = 0;
  fill(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

}  // namespace postrider
