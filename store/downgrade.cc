#include "store/downgrade.h"

#include <filesystem>
#include <span>

#include "store/account_schema.h"
#include "store/directory_schema.h"
#include "store/queue_schema.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

bool take_back(const std::string& path, std::span<const Migration> migrations) {
  if (!fs::exists(path)) return false;
  Database database(path, OpenMode::must_exist, Sync::full);
  return step_back(database, migrations);
}

}  // namespace

size_t downgrade_state(const std::string& state, const std::function<void(const std::string& path)>& on_file) {
  size_t count = 0;
  if (fs::exists(state + "/accounts")) {
    for (const auto& entry : fs::recursive_directory_iterator(state + "/accounts")) {
      if (!entry.is_regular_file() || entry.path().extension() != ".db") continue;
      on_file(entry.path());
      count += take_back(entry.path(), kAccountMigrations) ? 1 : 0;
    }
  }
  for (const auto& [name, migrations] : {std::pair("queue.db", std::span<const Migration>(kQueueMigrations)),
                                         std::pair("directory.db", std::span<const Migration>(kDirectoryMigrations))}) {
    on_file(state + '/' + name);
    count += take_back(state + '/' + name, migrations) ? 1 : 0;
  }
  return count;
}

}  // namespace postrider::store
