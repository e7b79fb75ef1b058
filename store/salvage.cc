#include "store/salvage.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace postrider::store {
namespace {

constexpr int64_t kBatch = 2'000;  // rows that are written in one transaction

std::vector<std::string> columns_of(Database& database, std::string_view table) {
  std::vector<std::string> names;
  Rows rows(database.prepare("SELECT name FROM pragma_table_info(?1)").bind(table));
  while (rows.next()) names.emplace_back(rows->text(0));
  return names;
}

}  // namespace

/// The columns that both have: an older file has fewer. False: its tables are not known.
bool Salvage::prepare_source(std::string_view name, Source& source) {
  std::vector<std::string> theirs;
  try {
    theirs = columns_of(from_, name);
  } catch (const SqliteError&) {
    return false;
  }
  std::string columns, values;
  for (const std::string& column : columns_of(to_, name)) {
    if (std::find(theirs.begin(), theirs.end(), column) == theirs.end()) continue;
    columns += (columns.empty() ? "" : ", ") + column;
    values += fmt::format("{}?{}", values.empty() ? "" : ", ", ++source.columns);
  }
  if (source.columns == 0) return false;
  source.select = fmt::format("SELECT {{}}, {} FROM {} NOT INDEXED", columns, name);
  source.insert = fmt::format("INSERT OR IGNORE INTO {}({}) VALUES({})", name, columns, values);
  return true;
}

bool Salvage::table(std::string_view name, std::string_view key) {
  Source source;
  if (!prepare_source(name, source)) return false;
  source.key = key;
  source.where = fmt::format("WHERE {} BETWEEN ?1 AND ?2", key);
  source.up = fmt::format("ORDER BY {}", key);
  source.down = source.up + " DESC";
  return read_all(source, 0, INT64_MAX);
}

bool Salvage::table(std::string_view name, std::string_view high, std::string_view low) {
  Source source;
  if (!prepare_source(name, source)) return false;
  source.key = fmt::format("{} << 32 | {}", high, low);
  source.where = fmt::format(
      "WHERE ({0}, {1}) >= (?1 >> 32, ?1 & 0xffffffff) AND ({0}, {1}) <= (?2 >> 32, ?2 & 0xffffffff)", high, low);
  source.up = fmt::format("ORDER BY {}, {}", high, low);
  source.down = fmt::format("ORDER BY {} DESC, {} DESC", high, low);
  return read_all(source, 0, INT64_MAX);
}

bool Salvage::small_table(std::string_view name, std::string_view order) {
  Source source;
  if (!prepare_source(name, source)) return false;
  source.key = "0";
  source.where = "WHERE ?1 <= ?2";
  source.up = fmt::format("ORDER BY {}", order);
  source.down = fmt::format("ORDER BY {} DESC", order);
  bool whole = true;
  read_from(source, {0, 1}, true, whole);
  if (whole) return true;
  bool ignored = true;
  read_from(source, {0, 1}, false, ignored);
  return false;
}

/// What lies between two places that cannot be read is found by halves, the larger pieces first.
bool Salvage::read_all(const Source& source, int64_t first, int64_t last) {
  std::deque<Range> left = {{first, last}};
  bool all = true;
  for (size_t probes = 0; !left.empty() && probes < kMaxProbes; ++probes) {
    Range range = left.front();
    left.pop_front();
    bool whole = true;
    const int64_t up_to = read_from(source, range, true, whole);
    if (whole) continue;
    all = false;
    range.first = std::max(range.first, up_to + 1);
    whole = true;
    const int64_t down_to = read_from(source, range, false, whole);
    range.last = std::min(range.last, down_to - 1);
    if (range.first >= range.last) continue;
    const int64_t middle = range.first + (range.last - range.first) / 2;
    left.push_back({range.first, middle});
    left.push_back({middle + 1, range.last});
  }
  return all;
}

/// Takes rows until one cannot be read; then whole is false. Gives the key of the last that was taken, or what is just
/// outside of the range.
int64_t Salvage::read_from(const Source& source, Range range, bool upwards, bool& whole) {
  int64_t last = upwards ? range.first - 1 : range.last == INT64_MAX ? INT64_MAX : range.last + 1;
  // A transaction of the reader's would keep what it found damaged: each look is one of its own.
  const std::string sql = fmt::format("{} {} {}", fmt::format(fmt::runtime(source.select), source.key), source.where,
                                      upwards ? source.up : source.down);
  std::optional<Rows> rows;
  try {
    rows.emplace(from_.prepare(sql).bind(range.first, range.last));
  } catch (const SqliteError&) {
    whole = false;
    return last;
  }
  for (;;) {
    try {
      if (!rows->next()) return last;
    } catch (const SqliteError&) {
      whole = false;
      return last;
    }
    last = (*rows)->integer(0);
    take(source, *rows->operator->());
  }
}

void Salvage::take(const Source& source, const Statement& row) {
  Statement& insert = to_.prepare(source.insert);
  for (size_t i = 1; i <= source.columns; ++i) insert.bind_column(static_cast<int>(i), row, static_cast<int>(i));
  try {
    insert.run();
    ++rows_;
  } catch (const SqliteError& error) {
    if (!error.is_constraint()) throw;  // a value that no such row has: what was read is not what was written
  }
  if (++since_pause_ >= kBatch) pause();
}

/// The caller's transaction is written down, and goes on as another: its log does not grow with the file.
void Salvage::pause() {
  since_pause_ = 0;
  to_.execute("COMMIT");
  to_.checkpoint();
  to_.execute("BEGIN IMMEDIATE");
}

}  // namespace postrider::store
