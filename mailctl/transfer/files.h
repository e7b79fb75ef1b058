// Files of other programs, read and written in pieces; errors are sentences for the administrator.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace postrider::mailctl {

/// Why a file cannot be used, with what can be done. Uses errno.
std::string why_not(const std::string& path, const char* what);

/// A descriptor with an owner.
class File {
 public:
  explicit File(int descriptor = -1) : descriptor_(descriptor) {}
  ~File();
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }
  /// Appends up to kTransferPiece; false at the end. Throws CommandFailed.
  bool read(std::string& out, const std::string& path);
  /// Throws CommandFailed.
  void write(std::string_view bytes, const std::string& path);

 private:
  int descriptor_;
};

/// A regular file, not by a symbolic link; none where it cannot be opened (errno).
File open_to_read(const std::string& path);
/// Throws CommandFailed.
File open_to_write(const std::string& path, int flags);
/// Makes the folder and those above it, for its owner alone. Throws CommandFailed.
void make_folders(const std::string& path);
/// Whole or not at all. Throws CommandFailed.
void replace_file(const std::string& path, std::string_view text);
/// The beginning of a small file; empty where it is not there.
std::string read_small(const std::string& path);
/// Names of a folder, unsorted; without "." and "..". False where it cannot be read (errno).
bool list_folder(const std::string& path, const std::function<void(std::string_view name)>& visit);

}  // namespace postrider::mailctl
