// \Seen in mailboxes of others (RFC 4314 4): each reader who is not the owner has their own, kept as runs of UIDs that
// are seen, or were made unseen again. What no run names is unseen. A run may name UIDs that no message has: none of
// them is ever given to another message.
#include "store/reader_seen.h"

#include <algorithm>

#include "store/edit_internal.h"

namespace postrider::store {
namespace {

constexpr std::string_view kRunsWithin =
    "SELECT first, last, seen, modseq FROM reader_seen WHERE mailbox = ?1 AND reader = ?2 AND last >= ?3 "
    "AND first <= ?4 ORDER BY last";

SeenRun read_run(const Rows& row) {
  return SeenRun{
      {static_cast<Uid>(row->integer(0)), static_cast<Uid>(row->integer(1))}, row->integer(2) != 0, row->integer(3)};
}

void insert_run(Database& db, MailboxId mailbox, AccountId reader, const SeenRun& run) {
  db.prepare("INSERT INTO reader_seen(mailbox, reader, first, last, seen, modseq) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
      .bind(mailbox, reader, run.uids.first, run.uids.last, run.seen, run.modseq)
      .run();
}

void remove_runs(Database& db, MailboxId mailbox, AccountId reader, UidRange within) {
  db.prepare("DELETE FROM reader_seen WHERE mailbox = ?1 AND reader = ?2 AND last >= ?3 AND first <= ?4")
      .bind(mailbox, reader, within.first, within.last)
      .run();
}

}  // namespace

SeenRuns::SeenRuns(Database& db, MailboxId mailbox, AccountId reader, UidRange within)
    : rows_(db.prepare(kRunsWithin).bind(mailbox, reader, within.first, within.last)) {
  next();
}

void SeenRuns::next() {
  more_ = rows_.next();
  if (more_) run_ = read_run(rows_);
}

void SeenRuns::apply(MessageRow& row) {
  while (more_ && run_.uids.last < row.uid) next();
  const bool named = more_ && run_.uids.first <= row.uid;
  row.flags = named && run_.seen ? row.flags.with(Flags::kSeen) : row.flags.without(Flags::kSeen);
  if (named) row.modseq = std::max(row.modseq, run_.modseq);
}

void Account::count_for_reader(Mailbox& mailbox) {
  if (reader_ == 0) return;
  {
    Rows rows(database_
                  .prepare("SELECT count(*) FROM reader_seen s CROSS JOIN entry e ON e.mailbox = s.mailbox "
                           "AND e.uid BETWEEN s.first AND s.last WHERE s.mailbox = ?1 AND s.reader = ?2 AND s.seen = 1")
                  .bind(mailbox.id, reader_));
    rows.next();
    mailbox.unseen = mailbox.messages - std::min(mailbox.messages, static_cast<uint32_t>(rows->integer(0)));
  }
  Rows rows(database_.prepare("SELECT coalesce(max(modseq), 0) FROM reader_seen WHERE mailbox = ?1 AND reader = ?2")
                .bind(mailbox.id, reader_));
  rows.next();
  mailbox.highest_modseq = std::max(mailbox.highest_modseq, rows->integer(0));
}

UidRanges Account::reader_changes(MailboxId mailbox, ModSeq since) {
  UidRanges changed;
  if (reader_ == 0) return changed;
  Rows rows(database_
                .prepare("SELECT first, last, seen, modseq FROM reader_seen WHERE mailbox = ?1 AND reader = ?2 "
                         "AND modseq > ?3 ORDER BY last")
                .bind(mailbox, reader_, since));
  while (rows.next()) changed.push_back(read_run(rows).uids);
  return changed;
}

/// The reader's part of store_flags: what \Seen becomes, and which messages have changed too late.
StoredFlags Edit::store_reader_seen(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                                    std::optional<ModSeq> unchanged_since, uint64_t changeable) {
  StoredFlags result;
  const bool named = change == FlagChange::replace || flags.has(Flags::kSeen);
  const bool meant = named && (changeable & Flags::kSeen) != 0;
  const bool seen = change != FlagChange::remove && flags.has(Flags::kSeen);
  const ModSeq limit = unchanged_since.value_or(INT64_MAX);
  UidRanges runs;  // of messages that stand one behind the other, whatever UIDs are missing between them
  for (const UidRange& range : uids) {
    bool goes_on = false;
    account_.scan(mailbox, range, kWantEntry, [&](const MessageRow& row) {
      const bool late = row.modseq > limit;
      if (late) append_uid(result.modified, row.uid);
      const bool changes = !late && meant && row.flags.has(Flags::kSeen) != seen;
      if (changes) {
        append_uid(result.changed, row.uid);
        if (!goes_on) runs.push_back({row.uid, row.uid});
        runs.back().last = row.uid;
      }
      goes_on = changes;
      return true;
    });
  }
  mark_seen(mailbox, runs, seen);
  return result;
}

/// Makes these runs seen, or unseen again, for the reader.
void Edit::mark_seen(MailboxId mailbox, const UidRanges& runs, bool seen) {
  Database& db = account_.database_;
  const AccountId reader = account_.reader_;
  for (const UidRange& run : runs) {
    std::optional<SeenRun> before, after;  // what stays of runs that reach beyond this one
    for (Rows rows(db.prepare(kRunsWithin).bind(mailbox, reader, run.first, run.last)); rows.next();) {
      SeenRun cut = read_run(rows);
      if (cut.uids.last > run.last) after = SeenRun{{run.last + 1, cut.uids.last}, cut.seen, cut.modseq};
      if (cut.uids.first < run.first) before = SeenRun{{cut.uids.first, run.first - 1}, cut.seen, cut.modseq};
    }
    remove_runs(db, mailbox, reader, run);
    if (before) insert_run(db, mailbox, reader, *before);
    insert_run(db, mailbox, reader, {run, seen, modseq_});
    if (after) insert_run(db, mailbox, reader, *after);
  }
  if (!runs.empty()) bump();
}

/// The flags that a message gets when it comes into a mailbox: of a reader, \Seen is kept apart.
Flags Edit::entering(Delta& target, Uid uid, Flags flags) {
  if (account_.reader_ == 0 || !flags.has(Flags::kSeen)) return flags;
  append_uid(target.seen, uid);
  return flags.without(Flags::kSeen);
}

/// What those have seen who may not read the mailbox any more is forgotten. Should they come back they are told so: one
/// run says that nothing is seen.
void Edit::forget_lost_readers(MailboxId mailbox) {
  Database& db = account_.database_;
  std::vector<AccountId> readers;
  for (Rows rows(db.prepare("SELECT DISTINCT reader FROM reader_seen WHERE mailbox = ?1 AND seen = 1").bind(mailbox));
       rows.next();) {
    readers.push_back(rows->integer(0));
  }
  constexpr UidRange kAll = {1, UINT32_MAX};
  for (AccountId reader : readers) {
    if ((account_.rights_of(mailbox, reader) & right::kRead) != 0) continue;
    remove_runs(db, mailbox, reader, kAll);
    insert_run(db, mailbox, reader, {kAll, false, modseq_});
  }
}

/// Joins runs that no client asks about one by one any more: all were changed up to that modseq.
void Account::join_seen_runs(ModSeq up_to) {
  std::vector<std::pair<MailboxId, AccountId>> readers;
  for (Rows rows(database_.prepare("SELECT DISTINCT mailbox, reader FROM reader_seen WHERE modseq <= ?1").bind(up_to));
       rows.next();) {
    readers.emplace_back(rows->integer(0), rows->integer(1));
  }
  for (auto [mailbox, reader] : readers) {
    std::vector<SeenRun> joined;
    size_t runs = 0;
    for (Rows rows(database_.prepare(kRunsWithin).bind(mailbox, reader, 0, UINT32_MAX)); rows.next(); ++runs) {
      SeenRun run = read_run(rows);
      const bool goes_on = !joined.empty() && joined.back().seen == run.seen && joined.back().modseq <= up_to &&
                           run.modseq <= up_to &&
                           !has_messages(mailbox, {joined.back().uids.last + 1, run.uids.first - 1});
      if (goes_on) {
        joined.back().uids.last = run.uids.last;
        joined.back().modseq = std::max(joined.back().modseq, run.modseq);
      } else {
        joined.push_back(run);
      }
    }
    if (joined.size() == runs) continue;
    remove_runs(database_, mailbox, reader, {0, UINT32_MAX});
    for (const SeenRun& run : joined) insert_run(database_, mailbox, reader, run);
  }
}

bool Account::has_messages(MailboxId mailbox, UidRange range) {
  if (range.first > range.last) return false;
  Rows rows(database_.prepare("SELECT 1 FROM entry WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 LIMIT 1")
                .bind(mailbox, range.first, range.last));
  return rows.next();
}

}  // namespace postrider::store
