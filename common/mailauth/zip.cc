#include "common/mailauth/zip.h"

#include <zip.h>

#include <array>
#include <memory>

#include "common/mailauth/gzip.h"

namespace postrider {

Result<std::string> unzip(std::string_view octets, size_t max) {
  const auto broken = [] { return failure("it is no zip archive, or a broken one"); };
  // libzip keeps only a pointer to the octets, which outlive the archive.
  zip_source_t* source = zip_source_buffer_create(octets.data(), octets.size(), 0, nullptr);
  if (source == nullptr) return broken();
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(zip_open_from_source(source, ZIP_RDONLY, nullptr),
                                                         &zip_discard);
  if (!archive) {
    zip_source_free(source);
    return broken();
  }
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive.get(), 0, 0), &zip_fclose);
  if (!file) return broken();
  std::string out;
  std::array<char, 16 << 10> piece{};
  for (;;) {
    const zip_int64_t got = zip_fread(file.get(), piece.data(), piece.size());
    if (got < 0) return broken();
    if (got == 0) return out;
    out.append(piece.data(), static_cast<size_t>(got));
    if (out.size() > max) return failure("it becomes too long");
  }
}

Result<std::string> unpack(std::string_view octets, size_t max) {
  if (octets.starts_with("\x1f\x8b")) return gunzip(octets, max);
  if (octets.starts_with("PK\x03\x04")) return unzip(octets, max);
  if (octets.size() > max) return failure("it is too long");
  return std::string(octets);
}

}  // namespace postrider
