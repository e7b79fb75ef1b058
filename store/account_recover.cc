#include "store/account_recover.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>

#include "store/account_schema.h"
#include "store/damaged_file.h"
#include "store/salvage.h"
#include "store/scratch.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kGap =
    20'000;  // of modseqs, message ids, UIDs and UIDVALIDITYs that may have been given out and forgotten
constexpr size_t kRebuiltTogether = 50;  // messages in one change
constexpr std::string_view kNoHead = "Subject: (the beginning of this message is lost)\r\n\r\n";

void begin_anew(Database& database, ModSeq at_least, UnixTime now) {
  database
      .prepare(
          "UPDATE state SET modseq = max(modseq, ?1) + ?2, next_message = next_message + ?2,"
          " uid_validity = max(uid_validity + 1, ?3)")
      .bind(at_least, kGap, now)
      .run();
  database.execute(
      fmt::format("UPDATE state SET log_floor = modseq; DELETE FROM change;"
                  "UPDATE mailbox SET uid_next = uid_next + {}, uid_validity = (SELECT uid_validity FROM state),"
                  " highest_modseq = (SELECT modseq FROM state);",
                  kGap));
}

class Recovery {
 public:
  Recovery(Database& from, Database& to, Recovered& recovered, UnixTime now)
      : from_(from), to_(to), recovered_(recovered), now_(now) {}

  /// Everything but what has to be made anew. Gives whether the UIDs mean what they did.
  bool copy(ModSeq flushed) {
    Transaction transaction(to_);
    to_.execute("DELETE FROM search_state; INSERT INTO search_state VALUES(1, 0, 0, 0);");
    copy_tables();
    const bool trusted = mend_state(flushed) && uids_whole_ && !recovered_.schema_replaced;
    mend_mailboxes();
    set_broken_apart();
    if (!entries_whole_) adopt_unnamed();
    count();
    transaction.commit();
    return trusted;
  }

  /// After the broken ones were made anew.
  void finish(bool trusted, ModSeq flushed) {
    Transaction transaction(to_);
    to_.execute(
        "CREATE TEMP TABLE used AS SELECT message AS id FROM entry UNION SELECT message FROM expunged;"
        "DELETE FROM message WHERE id NOT IN (SELECT id FROM used);"
        "DELETE FROM head WHERE id NOT IN (SELECT id FROM used);"
        "DELETE FROM chunk WHERE id >> 20 NOT IN (SELECT id FROM used);"
        "DROP TABLE used;"
        "UPDATE state SET modseq = modseq + 1; UPDATE state SET log_floor = modseq; DELETE FROM change;");
    if (!trusted) begin_anew(to_, flushed, now_);
    transaction.commit();
    recovered_.new_uids = !trusted;
    recovered_.mailboxes = read_number(to_, "SELECT count(*) FROM mailbox WHERE gone = 0");
    recovered_.messages =
        read_number(to_, "SELECT coalesce(sum(messages), 0) FROM mailbox WHERE gone = 0 AND shows_expunged = 0");
  }

  struct Broken {
    MailboxId mailbox = 0;
    Uid uid = 0;
    Flags flags;
    MessageId message = 0;
    UnixTime date = 0;
  };
  std::vector<Broken> next_broken() {
    std::vector<Broken> some;
    {
      Rows rows(to_.prepare("SELECT b.rowid, b.mailbox, b.uid, b.flags, b.message, coalesce(m.internal_date, b.saved) "
                            "FROM temp.broken b LEFT JOIN message m ON m.id = b.message "
                            "WHERE b.rowid > ?1 ORDER BY b.rowid LIMIT ?2")
                    .bind(broken_done_, kRebuiltTogether));
      while (rows.next()) {
        broken_done_ = rows->integer(0);
        some.push_back({rows->integer(1), static_cast<Uid>(rows->integer(2)),
                        Flags(static_cast<uint64_t>(rows->integer(3))), rows->integer(4), rows->integer(5)});
      }
    }
    return some;
  }

  /// What there is of a message; null where that is nothing.
  std::shared_ptr<const Spool> pieces(MessageId message, const std::string& folder) {
    Spool spool(folder);
    {
      Rows rows(to_.prepare("SELECT prefix, data FROM head WHERE id = ?1").bind(message));
      if (rows.next()) {
        spool.append(rows->blob(0));
        spool.append(rows->blob(1));
      }
    }
    bool first = spool.size() == 0;
    Rows rows(to_.prepare("SELECT raw_size, zstd, data FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id")
                  .bind(message << 20, ((message + 1) << 20) - 1));
    while (rows.next()) {
      try {
        const std::string text =
            restore_chunk(rows->blob(2), rows->integer(1) != 0, static_cast<size_t>(rows->integer(0)));
        if (std::exchange(first, false)) spool.append(kNoHead);
        spool.append(text);
      } catch (const std::runtime_error&) {
        continue;  // the rest may be whole
      }
    }
    return spool.size() == 0 ? nullptr : std::make_shared<const Spool>(std::move(spool));
  }

  void note_lost(const Broken& one) {
    ++recovered_.lost;
    if (recovered_.losses.size() >= kMaxNamedLosses) return;
    Rows rows(to_.prepare("SELECT name FROM mailbox WHERE id = ?1").bind(one.mailbox));
    recovered_.losses.push_back(fmt::format("{}, UID {}", rows.next() ? rows->text(0) : "", one.uid));
  }

 private:
  bool note(std::string_view table, bool whole) {
    if (!whole) recovered_.unread.emplace_back(table);
    return whole;
  }

  void copy_tables() {
    Salvage salvage(from_, to_);
    auto by = [&](std::string_view table, std::string_view key) { return note(table, salvage.table(table, key)); };
    auto small = [&](std::string_view table, std::string_view order) {
      return note(table, salvage.small_table(table, order));
    };
    uids_whole_ &= by("state", "id");
    uids_whole_ &= by("mailbox", "id");
    entries_whole_ = note("entry", salvage.table("entry", "mailbox", "uid"));
    uids_whole_ &= entries_whole_;
    entries_whole_ &= by("expunged", "id");
    by("message", "id");
    by("head", "id");
    by("chunk", "id");
    by("delivery", "id");
    by("keyword", "bit");
    small("subscription", "name");
    for (const auto& [table, order] :
         {std::pair("access_right", "mailbox, who, negative"), std::pair("annotation", "mailbox, reader, name"),
          std::pair("reader_seen", "mailbox, reader, last"), std::pair("thread_key", "id"),
          std::pair("url_key", "mailbox")}) {
      if (is_known(table)) small(table, order);
    }
  }

  /// Older files have not all of them.
  bool is_known(std::string_view table) {
    try {
      Rows rows(from_.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1").bind(table));
      return rows.next();
    } catch (const SqliteError&) {
      return true;
    }
  }

  /// False: the file does not know what numbers it gave out last.
  bool mend_state(ModSeq flushed) {
    const bool known = read_number(to_, "SELECT modseq FROM state") >= std::max<ModSeq>(flushed, 1);
    to_.prepare("INSERT OR IGNORE INTO state VALUES(1, 1, 1, ?1, 0, 'recovered')").bind(now_).run();
    to_.prepare(
           "UPDATE state SET modseq = max(modseq, ?1, (SELECT coalesce(max(modseq), 0) FROM entry),"
           " (SELECT coalesce(max(highest_modseq), 0) FROM mailbox)),"
           " next_message = max(next_message, (SELECT coalesce(max(message), 0) + 1 FROM entry),"
           " (SELECT coalesce(max(id), 0) + 1 FROM head), (SELECT coalesce(max(id) >> 20, 0) + 1 FROM chunk)),"
           " uid_validity = max(uid_validity, (SELECT coalesce(max(uid_validity), 0) FROM mailbox))")
        .bind(flushed)
        .run();
    return known;
  }

  /// Mailboxes that messages lie in and whose names are lost. The first that an account gets is INBOX.
  void mend_mailboxes() {
    to_.execute(
        "INSERT OR IGNORE INTO mailbox(id, name, special_use, uid_validity, uid_next, highest_modseq) SELECT DISTINCT "
        "e.mailbox, CASE e.mailbox WHEN 1 THEN 'INBOX' ELSE 'Recovered folder ' || e.mailbox END, '', s.uid_validity, "
        "1, s.modseq FROM entry e, state s WHERE e.mailbox NOT IN (SELECT id FROM mailbox);"
        "UPDATE mailbox SET gone = 0 WHERE gone <> 0 AND id IN (SELECT mailbox FROM entry)"
        " AND name NOT IN (SELECT name FROM mailbox WHERE gone = 0);"
        "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq) SELECT 'INBOX', '', "
        "uid_validity, 1, modseq FROM state WHERE NOT EXISTS(SELECT 1 FROM mailbox WHERE gone = 0 AND name = 'INBOX');"
        "UPDATE mailbox SET uid_next = max(uid_next, (SELECT coalesce(max(uid), 0) + 1 FROM entry WHERE mailbox = "
        "mailbox.id));");
  }

  /// Entries whose messages are not whole leave their mailboxes; what is left of them comes back under new UIDs.
  void set_broken_apart() {
    const std::string not_whole = fmt::format("NOT ({} AND {})", kIsWhole, kIsUnchanged);
    to_.execute(
        fmt::format("CREATE TEMP TABLE broken AS SELECT mailbox, uid, flags, message, saved FROM entry e WHERE {0};"
                    "DELETE FROM entry WHERE (mailbox, uid) IN (SELECT mailbox, uid FROM temp.broken);"
                    "DELETE FROM expunged AS e WHERE {0};"
                    "DELETE FROM temp.broken WHERE mailbox IN (SELECT id FROM mailbox WHERE shows_expunged = 1);",
                    not_whole));
  }

  /// Messages that neither a mailbox nor a tombstone names, where those could not all be read.
  void adopt_unnamed() {
    to_.prepare(
           "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq) "
           "SELECT ?1, '', uid_validity, 1, modseq FROM state WHERE NOT EXISTS(SELECT 1 FROM mailbox WHERE gone = "
           "0 AND name = ?1)")
        .bind(kRecoveredMailbox)
        .run();
    to_.prepare(fmt::format("INSERT INTO entry SELECT b.id, b.uid_next + row_number() OVER (ORDER BY e.message) - 1, "
                            "s.modseq, 0, e.message, e.size, e.internal_date FROM mailbox b, state s, "
                            "(SELECT id AS message, size, internal_date FROM message) e "
                            "WHERE b.gone = 0 AND b.name = ?1 AND {} AND e.message NOT IN (SELECT message FROM entry "
                            "UNION SELECT message FROM expunged UNION SELECT message FROM temp.broken)",
                            kIsWhole))
        .bind(kRecoveredMailbox)
        .run();
    recovered_.found_again = to_.changes();
    to_.prepare("UPDATE mailbox SET uid_next = uid_next + ?1 WHERE gone = 0 AND name = ?2")
        .bind(recovered_.found_again, kRecoveredMailbox)
        .run();
    if (recovered_.found_again == 0)
      to_.prepare("DELETE FROM mailbox WHERE name = ?1 AND uid_next = 1").bind(kRecoveredMailbox).run();
  }

  void count() {
    to_.execute(
        "UPDATE mailbox SET (messages, unseen, deleted, size) = (SELECT count(*), coalesce(sum(flags & 1 = 0), 0), "
        "coalesce(sum(flags & 8 <> 0), 0), coalesce(sum(size), 0) FROM entry WHERE mailbox = mailbox.id);");
  }

  Database& from_;
  Database& to_;
  Recovered& recovered_;
  const UnixTime now_;
  bool uids_whole_ = true, entries_whole_ = true;
  int64_t broken_done_ = 0;
};

/// By the code that appends: what is left of a message is another message.
void rebuild(Recovery& recovery, Account& account, const std::string& folder, Recovered& recovered) {
  for (;;) {
    const std::vector<Recovery::Broken> some = recovery.next_broken();
    if (some.empty()) return;
    Edit edit(account);
    for (const Recovery::Broken& one : some) {
      auto spool = recovery.pieces(one.message, folder);
      const bool kept =
          spool != nullptr &&
          edit.append(one.mailbox, prepare_message(std::move(spool)), {}, one.flags, one.date, 0, 0).has_value();
      if (kept) {
        ++recovered.damaged;
      } else {
        recovery.note_lost(one);
      }
    }
    edit.commit();
  }
}

}  // namespace

Recovered recover_account(const std::string& damaged, const std::string& target, AccountId id, ModSeq flushed,
                          const Clock& clock, ModSeq& modseq) {
  Recovered recovered;
  const Scratch scratch(target + ".scratch");
  const std::string fresh = fmt::format("{}/{}.db", scratch.path, id);
  const auto from = open_damaged(damaged, scratch.path, flushed, recovered.schema_replaced);
  {
    Database to(fresh, OpenMode::create, Sync::normal);
    migrate(to, kAccountMigrations);
    Recovery recovery(*from, to, recovered, clock.unix_time());
    const bool trusted = recovery.copy(flushed);
    {
      Account account(fresh, id, OpenMode::must_exist, clock);
      rebuild(recovery, account, scratch.path, recovered);
    }
    recovery.finish(trusted, flushed);
    modseq = read_number(to, "SELECT modseq FROM state");
    make_whole(to);
  }
  fs::rename(fresh, target);
  return recovered;
}

ModSeq make_empty_account(const std::string& target, AccountId id, ModSeq flushed, const Clock& clock) {
  const Scratch scratch(target + ".scratch");
  const std::string fresh = fmt::format("{}/{}.db", scratch.path, id);
  { Account made(fresh, id, OpenMode::create, clock); }
  const ModSeq modseq = number_anew(fresh, id, {flushed, 0}, clock);
  fs::rename(fresh, target);
  return modseq;
}

bool is_older_than_flushed(const std::string& path) {
  const ModSeq flushed = AccountFile(path).flushed();
  if (flushed == 0) return false;
  Database database(path, OpenMode::must_exist, Sync::normal);
  return database.user_version() == 0 || read_number(database, "SELECT modseq FROM state") < flushed;
}

namespace {

/// Of a file whose structure is whole. Older ones know nothing of their texts.
std::string find_changed_texts(Database& database) {
  if (database.user_version() < std::ssize(kAccountMigrations)) return {};
  const int64_t changed =
      read_number(database, fmt::format("SELECT count(*) FROM entry e WHERE NOT ({} AND {})", kIsWhole, kIsUnchanged));
  return changed == 0 ? std::string() : fmt::format("Messages whose texts are not as they were written: {}.", changed);
}

}  // namespace

std::string find_damage(const std::string& path) {
  std::string wrong;
  try {
    if (is_older_than_flushed(path))
      return "It is older than what was flushed: its log is lost, or it is a copy from before.";
    Database database(path, OpenMode::must_exist, Sync::normal);
    Rows rows(database.prepare("PRAGMA quick_check(10)"));
    while (rows.next()) {
      if (rows->text(0) != "ok") wrong += fmt::format("{}{}", wrong.empty() ? "" : "; ", rows->text(0));
    }
    if (wrong.empty()) wrong = find_changed_texts(database);
  } catch (const SqliteError& error) {
    if (!error.is_corrupt()) throw;
    wrong = error.what();
  }
  return wrong;
}

ModSeq number_anew(const std::string& path, AccountId id, const GivenOut& given_out, const Clock& clock) {
  { Account migrated(path, id, OpenMode::must_exist, clock); }
  Database database(path, OpenMode::must_exist, Sync::full);
  {
    Transaction transaction(database);
    const int64_t taken = given_out.uid_validity;
    begin_anew(database, given_out.modseq, std::max(clock.unix_time(), taken == 0 ? 0 : taken + kGap));
    transaction.commit();
  }
  const ModSeq modseq = read_number(database, "SELECT modseq FROM state");
  make_whole(database);
  return modseq;
}

}  // namespace postrider::store
