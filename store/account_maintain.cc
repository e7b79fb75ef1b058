// What a night does to an account: what nobody can ask for any more goes.
#include <algorithm>

#include "store/account.h"
#include "store/writer_lock.h"

namespace postrider::store {

/// From when on what was expunged makes up no more than that.
UnixTime Account::kept_within(uint64_t octets) {
  if (octets == UINT64_MAX) return 0;
  uint64_t sum = 0;
  Rows rows(database_.prepare("SELECT time, size FROM expunged ORDER BY time DESC"));
  while (rows.next()) {
    sum += static_cast<uint64_t>(rows->integer(1));
    if (sum > octets) return rows->integer(0) + 1;
  }
  return 0;
}

void Account::maintain(const Retention& retention) {
  const UnixTime before = std::max(retention.expunged_before, kept_within(retention.max_kept));
  bool purged = false;
  for (bool more = true; more; purged |= more) {
    Edit edit(*this);  // one for each batch: nobody waits for all of them
    more = edit.purge_kept(before);
    edit.commit();
  }
  {
    WriterLock lock(file_.lock_file(), database_);
    Transaction transaction(database_);
    database_
        .prepare("UPDATE state SET log_floor = coalesce((SELECT max(modseq) FROM change WHERE time < ?1), log_floor)")
        .bind(retention.log_before)
        .run();
    database_.prepare("DELETE FROM change WHERE modseq <= (SELECT log_floor FROM state) AND time < ?1")
        .bind(retention.log_before)
        .run();
    database_.prepare("DELETE FROM mailbox WHERE gone > 0 AND gone < ?1 AND id NOT IN (SELECT mailbox FROM expunged)")
        .bind(before)
        .run();
    database_.prepare("DELETE FROM url_key WHERE mailbox NOT IN (SELECT id FROM mailbox)").run();
    database_.prepare("DELETE FROM delivery WHERE time < ?1").bind(retention.log_before).run();
    forget_unneeded(retention, purged);
    transaction.commit();
  }
  database_.checkpoint();
}

/// What belongs to mailboxes, messages and accounts that are no more. purged: messages went.
void Account::forget_unneeded(const Retention& retention, bool purged) {
  database_.prepare("DELETE FROM access_right WHERE mailbox NOT IN (SELECT id FROM mailbox)").run();
  database_.prepare("DELETE FROM reader_seen WHERE mailbox NOT IN (SELECT id FROM mailbox)").run();
  database_.prepare("DELETE FROM annotation WHERE mailbox <> ?1 AND mailbox NOT IN (SELECT id FROM mailbox)")
      .bind(kServerAnnotations)
      .run();
  if (purged) {
    database_
        .prepare(
            "DELETE FROM thread_key WHERE NOT EXISTS(SELECT 1 FROM message m WHERE m.id = thread_key.thread) "
            "AND NOT EXISTS(SELECT 1 FROM message m WHERE m.thread = thread_key.thread)")
        .run();
  }
  if (!retention.accounts.empty()) forget_accounts_but(retention.accounts);
  ModSeq floor = 0;
  {
    Rows rows(database_.prepare("SELECT log_floor FROM state"));
    if (rows.next()) floor = rows->integer(0);
  }
  join_seen_runs(floor);
}

void Account::forget_accounts_but(std::span<const AccountId> accounts) {
  std::vector<AccountId> gone;
  Rows rows(
      database_.prepare("SELECT who FROM access_right WHERE who <> 0 UNION SELECT reader FROM annotation "
                        "WHERE reader <> 0 UNION SELECT reader FROM reader_seen"));
  while (rows.next()) {
    if (!std::binary_search(accounts.begin(), accounts.end(), rows->integer(0))) gone.push_back(rows->integer(0));
  }
  for (AccountId account : gone) {
    database_.prepare("DELETE FROM access_right WHERE who = ?1").bind(account).run();
    database_.prepare("DELETE FROM annotation WHERE reader = ?1").bind(account).run();
    database_.prepare("DELETE FROM reader_seen WHERE reader = ?1").bind(account).run();
  }
}

}  // namespace postrider::store
