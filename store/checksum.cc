#include "store/checksum.h"

#include <sqlite3.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace postrider::store {

int64_t checksum(std::string_view text, int64_t before) {
  return static_cast<int64_t>(XXH3_64bits_withSeed(text.data(), text.size(), static_cast<uint64_t>(before)));
}

void add_checksum(sqlite3* db) {
  auto sum = [](sqlite3_context* context, int count, sqlite3_value** values) {
    int64_t all = 0;
    for (int i = 0; i < count; ++i) {
      const auto* octets = static_cast<const char*>(sqlite3_value_blob(values[i]));
      all = checksum({octets, static_cast<size_t>(sqlite3_value_bytes(values[i]))}, all);
    }
    sqlite3_result_int64(context, all);
  };
  sqlite3_create_function_v2(db, "checksum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr, sum,
                             nullptr, nullptr, nullptr);
}

}  // namespace postrider::store
