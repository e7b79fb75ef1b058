// Small files beside the databases: keys and what belongs to them.
#pragma once

#include <sys/types.h>

#include <string>

namespace postrider::store {

constexpr size_t kMaxSmallFile = 64 << 10;

/// Whole or not at all, and flushed; the folder is not. Throws std::system_error.
void write_small_file(const std::string& path, const std::string& text, mode_t mode);
/// At most kMaxSmallFile of it; empty where it is not there.
std::string read_small_file(const std::string& path);
/// Everything that was written to the file system of a folder, at once. Throws std::system_error.
void flush_file_system(const std::string& folder);
/// Makes the names in a folder durable. Throws std::system_error.
void flush_folder(const std::string& path);

}  // namespace postrider::store
