// Shared by the files of the queue alone.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/log.h"
#include "store/queue.h"

namespace postrider::store {

/// Transactions in this scope are visible at once and durable with the next flush.
class WithoutFlush {
 public:
  explicit WithoutFlush(Database& database) : database_(database) { database_.execute("PRAGMA synchronous=NORMAL"); }
  ~WithoutFlush() {
    try {
      database_.execute("PRAGMA synchronous=FULL");
    } catch (const SqliteError& error) {
      // Never seen: the pragma touches no file. Going on would acknowledge what is not on disk.
      log_error("queue_synchronous", {{"reason", error.what()}});
      std::terminate();
    }
  }
  WithoutFlush(const WithoutFlush&) = delete;
  WithoutFlush& operator=(const WithoutFlush&) = delete;

 private:
  Database& database_;
};

/// Spool files whose rows are being removed: they go after the commit, and stay when there is none.
class Queue::FilesToRemove {
 public:
  explicit FilesToRemove(const std::string& directory) : directory_(directory) {}
  void add(std::string_view name) { paths_.push_back(fmt::format("{}/{}", directory_, name)); }
  void remove() {
    std::error_code ignored;  // the sweeper comes again
    for (const std::string& path : paths_) std::filesystem::remove(path, ignored);
    paths_.clear();
  }

 private:
  const std::string& directory_;
  std::vector<std::string> paths_;
};

}  // namespace postrider::store
