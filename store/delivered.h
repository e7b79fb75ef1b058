// What an account has already: the keys that messages were appended under (Edit::append), the queue's ids and, as
// negative numbers, those of imports.
#pragma once

#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

/// Reads beside whoever writes. One thread at a time.
class Delivered {
 public:
  /// path: the account's file, which must be there. Throws SqliteError.
  explicit Delivered(const std::string& path) : database_(path, OpenMode::must_exist, Sync::normal) {}
  bool has(QueueId key) { return Rows(database_.prepare("SELECT 1 FROM delivery WHERE id = ?1").bind(key)).next(); }

 private:
  Database database_;
};

}  // namespace postrider::store
