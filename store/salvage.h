// Rows out of a damaged SQLite file: table by table, in the order of the key, from both ends towards what cannot be
// read, and in between by halves.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "store/sqlite.h"

namespace postrider::store {

constexpr size_t kMaxProbes = 2'000;  // of one table: ranges that are looked at between what cannot be read

class Salvage {
 public:
  /// from: the damaged file. to: a whole one that has the same tables, or newer ones.
  Salvage(Database& from, Database& to) : from_(from), to_(to) {}

  /// A table with an integer key. Gives whether all of it could be read. Throws SqliteError where to fails.
  bool table(std::string_view name, std::string_view key);
  /// A table whose key is (high, low), two integers of 32 bits.
  bool table(std::string_view name, std::string_view high, std::string_view low);
  /// A small table with any other key: from both ends only.
  bool small_table(std::string_view name, std::string_view order);

  int64_t rows() const { return rows_; }

 private:
  struct Range {
    int64_t first, last;
  };
  struct Source {
    std::string select, insert;   // without WHERE; whole
    std::string where, up, down;  // the range as ?1 to ?4; orders
    std::string key;
    size_t columns = 0;
  };
  bool prepare_source(std::string_view name, Source& source);
  bool read_all(const Source& source, int64_t first, int64_t last);
  int64_t read_from(const Source& source, Range range, bool upwards, bool& whole);
  void take(const Source& source, const Statement& row);
  void pause();

  Database& from_;
  Database& to_;
  int64_t rows_ = 0;
  int64_t since_pause_ = 0;
};

}  // namespace postrider::store
