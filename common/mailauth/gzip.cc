#include "common/mailauth/gzip.h"

#include <zlib.h>

#include <array>
#include <new>

namespace postrider {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib: 16 more means gzip
constexpr int kMemoryLevel = 8;

Bytef* input_of(std::string_view octets) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(octets.data()));
}

}  // namespace

std::string gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = input_of(text);
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<std::string> gunzip(std::string_view octets, size_t max) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  stream.next_in = input_of(octets);
  stream.avail_in = static_cast<uInt>(octets.size());
  std::string out;
  std::array<char, 16 << 10> piece{};
  int result = Z_OK;
  while (result == Z_OK && out.size() <= max) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > max) return failure("it becomes too long");
  if (result != Z_STREAM_END) return failure("it is no gzip, or was cut off");
  return out;
}

}  // namespace postrider
