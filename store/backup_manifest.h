// The manifest of a backup: what each file of it was and is. It is written last: a folder without one is no backup.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"

struct evp_md_ctx_st;

namespace postrider::store {

constexpr std::string_view kManifest = "manifest";
constexpr uint64_t kMaxManifest = 512ULL << 20;  // octets: some millions of files

/// SHA-256 of what is fed to it.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::string_view octets);
  /// In hexadecimal; the end.
  std::string hex();

 private:
  evp_md_ctx_st* context_;
};

/// Of a whole file. Throws std::system_error.
std::string sha256_of_file(const std::string& path);

struct BackupFile {
  std::string sha256;
  mode_t mode = 0;    // of the original
  uint64_t size = 0;  // octets of the copy
  std::string mark;   // of the original, as it was; empty: it may have changed unseen (see mark_of())
};

struct Manifest {
  UnixTime begun = 0, ended = 0;
  std::map<std::string, BackupFile> files;  // by path within the backup, which is the path in the state folder

  /// Whole or not at all, flushed. Throws std::system_error.
  void write(const std::string& folder) const;
  /// Nothing where there is none, or it is not what was written.
  static std::optional<Manifest> read(const std::string& folder);
};

/// The names of all complete ones below a folder, the oldest first.
std::vector<std::string> generations_of(const std::string& backups);

}  // namespace postrider::store
