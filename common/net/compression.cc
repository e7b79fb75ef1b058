#include "common/net/compression.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

namespace postrider::net {
namespace {

constexpr int kWindowOut = -13;  // 8 KiB, raw: mail is compressed nearly as well as with 32
constexpr int kMemoryLevel = 6;
constexpr int kWindowIn = -15;  // whatever the peer chose
constexpr int kLevel = 3;       // flushes come often, time counts
constexpr size_t kPiece = 16 << 10;

/// zlib takes pointers to octets that it does not change.
Bytef* bytes(const char* octets) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(octets));
}

}  // namespace

struct Compression::Streams {
  z_stream out{}, in{};
};

Compression::Compression() : streams_(std::make_unique<Streams>()) {
  if (deflateInit2(&streams_->out, kLevel, Z_DEFLATED, kWindowOut, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  if (inflateInit2(&streams_->in, kWindowIn) != Z_OK) {
    deflateEnd(&streams_->out);
    throw std::bad_alloc();
  }
}

Compression::~Compression() {
  deflateEnd(&streams_->out);
  inflateEnd(&streams_->in);
}

void Compression::compress(std::string_view octets, std::string& out) {
  z_stream& stream = streams_->out;
  std::array<char, kPiece> piece;
  while (!octets.empty()) {
    size_t now = std::min<size_t>(octets.size(), 1 << 30);
    stream.next_in = bytes(octets.data());
    stream.avail_in = static_cast<uInt>(now);
    octets.remove_prefix(now);
    do {
      stream.next_out = bytes(piece.data());
      stream.avail_out = kPiece;
      deflate(&stream, octets.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
      out.append(piece.data(), kPiece - stream.avail_out);
    } while (stream.avail_out == 0);
  }
}

Compression::Inflated Compression::inflate(size_t room, std::string& out) {
  if (taken_ == held_.size() && !more_) return Inflated::nothing;
  z_stream& stream = streams_->in;
  std::array<char, kPiece> piece;
  stream.next_in = bytes(held_.data() + taken_);
  stream.avail_in = static_cast<uInt>(held_.size() - taken_);
  size_t before = out.size();
  int code = Z_OK;
  do {
    size_t most = std::min(room - (out.size() - before), kPiece);
    stream.next_out = bytes(piece.data());
    stream.avail_out = static_cast<uInt>(most);
    code = ::inflate(&stream, Z_SYNC_FLUSH);
    out.append(piece.data(), most - stream.avail_out);
    more_ = stream.avail_out == 0;
  } while (code == Z_OK && more_ && out.size() - before < room);
  taken_ = held_.size() - stream.avail_in;
  if (taken_ == held_.size()) {
    held_ = std::string();
    taken_ = 0;
  }
  if (out.size() > before) return Inflated::some;
  return code == Z_OK || code == Z_BUF_ERROR ? Inflated::nothing : Inflated::broken;
}

std::string Compression::take_rest() {
  std::string rest = held_.substr(taken_);
  held_ = std::string();
  taken_ = 0;
  return rest;
}

}  // namespace postrider::net
