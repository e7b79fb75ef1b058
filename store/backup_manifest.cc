#include "store/backup_manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "store/small_file.h"

namespace postrider::store {
namespace {

constexpr std::string_view kFirstLine = "postrider-backup 1";

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

/// Visits a file in pieces. False: it cannot be opened.
template <class Visit>
bool read_pieces(const std::string& path, Visit visit) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::string piece(256 << 10, '\0');
  ssize_t got = 0;
  while ((got = ::read(file, piece.data(), piece.size())) > 0)
    visit(std::string_view(piece).substr(0, static_cast<size_t>(got)));
  ::close(file);
  if (got < 0) fail(path);
  return true;
}

std::string_view next_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

template <class Number>
bool parse(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

/// file SHA256 MODE SIZE MARK PATH; the mark is "-" where there is none.
bool parse_file(std::string_view line, Manifest& manifest) {
  BackupFile file;
  file.sha256 = next_word(line);
  if (!parse(next_word(line), file.mode, 8) || !parse(next_word(line), file.size)) return false;
  file.mark = next_word(line);
  if (file.mark == "-") file.mark.clear();
  // No path leads out of the folder.
  if (line.empty() || line.front() == '/' || line.find("..") != std::string_view::npos) return false;
  manifest.files[std::string(line)] = std::move(file);
  return true;
}

bool parse_line(std::string_view line, Manifest& manifest) {
  const std::string_view word = next_word(line);
  if (word == "begun") return parse(line, manifest.begun);
  if (word == "ended") return parse(line, manifest.ended);
  return word == "file" && parse_file(line, manifest);
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(context_);
}

void Sha256::update(std::string_view octets) {
  EVP_DigestUpdate(context_, octets.data(), octets.size());
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_DigestFinal_ex(context_, digest.data(), &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_of_file(const std::string& path) {
  Sha256 sum;
  if (!read_pieces(path, [&](std::string_view piece) { sum.update(piece); })) fail(path);
  return sum.hex();
}

void Manifest::write(const std::string& folder) const {
  std::string text = fmt::format("{}\nbegun {}\nended {}\n", kFirstLine, begun, ended);
  for (const auto& [path, file] : files) {
    text += fmt::format("file {} {:o} {} {} {}\n", file.sha256, file.mode, file.size,
                        file.mark.empty() ? "-" : file.mark, path);
  }
  Sha256 sum;
  sum.update(text);
  text += fmt::format("end {}\n", sum.hex());
  write_small_file(fmt::format("{}/{}", folder, kManifest), text, 0640);
}

std::optional<Manifest> Manifest::read(const std::string& folder) {
  std::string text;
  const std::string path = fmt::format("{}/{}", folder, kManifest);
  const bool there = read_pieces(path, [&](std::string_view piece) {
    if (text.size() <= kMaxManifest) text += piece;
  });
  if (!there || text.size() > kMaxManifest) return std::nullopt;
  const size_t end = text.rfind("end ");
  if (end == std::string::npos) return std::nullopt;
  Sha256 sum;
  sum.update(std::string_view(text).substr(0, end));
  if (std::string_view(text).substr(end) != fmt::format("end {}\n", sum.hex())) return std::nullopt;
  Manifest manifest;
  std::string_view rest = std::string_view(text).substr(0, end);
  for (bool first = true; !rest.empty(); first = false) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (first ? line != kFirstLine : !parse_line(line, manifest)) return std::nullopt;
  }
  return manifest;
}

std::vector<std::string> generations_of(const std::string& backups) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(backups, error)) {
    std::string name = entry.path().filename();
    // A name with a point is one in the making, or one that is being removed.
    if (name.find('.') != std::string::npos) continue;
    if (std::filesystem::exists(entry.path() / kManifest)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace postrider::store
