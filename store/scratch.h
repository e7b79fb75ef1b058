// A folder for what is made on the way; removed in the end, with what a run left that was ended.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace postrider::store {

struct Scratch {
  explicit Scratch(std::string name) : path(std::move(name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all | std::filesystem::perms::group_all);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string path;
};

}  // namespace postrider::store
