// App passwords of accounts.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "store/directory.h"
#include "store/directory_address.h"

namespace postrider::store {
namespace {

constexpr size_t kMaxAppPasswords = 100;  // of one account
constexpr size_t kMaxName = 100;          // octets
constexpr UnixTime kLastUseStep = 60;     // a last use is as exact as that

}  // namespace

Result<void> Directory::add_app_password(AccountId account, std::string_view name, uint8_t scopes,
                                         std::string_view hash) {
  if (name.empty() || name.size() > kMaxName || std::any_of(name.begin(), name.end(), is_ctl)) {
    return failure(fmt::format("An app password needs a name of 1 to {} octets, such as \"phone\".", kMaxName));
  }
  Transaction transaction(database_);
  {
    Rows rows(database_.prepare("SELECT count(*), ifnull(sum(name = ?2), 0) FROM app_password WHERE account = ?1")
                  .bind(account, name));
    rows.next();
    if (rows->integer(1) > 0)
      return failure(fmt::format("There is an app password \"{}\" already; remove it first.", name));
    if (rows->integer(0) >= static_cast<int64_t>(kMaxAppPasswords))
      return failure(fmt::format("The account has {} app passwords; remove one first.", kMaxAppPasswords));
  }
  database_.prepare("INSERT INTO app_password VALUES(?1, ?2, ?3, ?4, ?5, 0)")
      .bind(account, name, static_cast<int>(scopes), Blob{hash}, clock_.unix_time())
      .run();
  transaction.commit();
  return {};
}

Result<void> Directory::remove_app_password(AccountId account, std::string_view name) {
  Transaction transaction(database_);
  database_.prepare("DELETE FROM app_password WHERE account = ?1 AND name = ?2").bind(account, name).run();
  if (database_.changes() == 0) return failure(fmt::format("There is no app password \"{}\".", name));
  transaction.commit();
  return {};
}

std::vector<AppPasswordInfo> Directory::app_passwords(AccountId account) {
  std::vector<AppPasswordInfo> found;
  Rows rows(
      database_.prepare("SELECT name, scopes, created, last_used FROM app_password WHERE account = ?1 ORDER BY name")
          .bind(account));
  while (rows.next()) {
    found.push_back(
        {std::string(rows->text(0)), static_cast<uint8_t>(rows->integer(1)), rows->integer(2), rows->integer(3)});
  }
  return found;
}

bool Directory::use_app_password(AccountId account, std::string_view hash, uint8_t scope) {
  const UnixTime now = clock_.unix_time();
  UnixTime last_used = 0;
  {
    Rows rows(
        database_.prepare("SELECT last_used FROM app_password WHERE account = ?1 AND hash = ?2 AND scopes & ?3 <> 0")
            .bind(account, Blob{hash}, static_cast<int>(scope)));
    if (!rows.next()) return false;
    last_used = rows->integer(0);
  }
  if (now - last_used < kLastUseStep) return true;
  Transaction transaction(database_);
  database_.prepare("UPDATE app_password SET last_used = ?3 WHERE account = ?1 AND hash = ?2")
      .bind(account, Blob{hash}, now)
      .run();
  transaction.commit();
  return true;
}

}  // namespace postrider::store
