#include "store/directory_address.h"

namespace postrider::store {

void store_password(Database& database, AccountId account, const PasswordRecord& password) {
  database.prepare("INSERT OR REPLACE INTO credential VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
      .bind(account, password.argon2id, Blob{password.scram_salt}, password.scram_iterations, Blob{password.stored_key},
            Blob{password.server_key})
      .run();
}

std::optional<PasswordRecord> load_password(Database& database, AccountId account) {
  Rows rows(database
                .prepare("SELECT argon2id, scram_salt, scram_iterations, stored_key, server_key FROM credential"
                         " WHERE account = ?1")
                .bind(account));
  if (!rows.next()) return std::nullopt;
  PasswordRecord password;
  password.argon2id = rows->text(0);
  password.scram_salt = rows->blob(1);
  password.scram_iterations = static_cast<int>(rows->integer(2));
  password.stored_key = rows->blob(3);
  password.server_key = rows->blob(4);
  return password;
}

}  // namespace postrider::store
