#include "store/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "store/account_schema.h"
#include "store/metrics.h"
#include "store/reader_seen.h"
#include "store/writer_lock.h"

namespace postrider::store {
namespace {

constexpr std::string_view kMailboxColumns =
    "id, name, special_use, uid_validity, uid_next, highest_modseq, messages, unseen, deleted, size, first_recent, "
    "shows_expunged, EXISTS(SELECT 1 FROM subscription s WHERE s.name = mailbox.name)";

// Deliveries become visible before they are flushed, because the queue still holds them. A power cut can therefore take
// back UIDs and modseqs that a client has seen. After a reboot both jump by more than can ever be unflushed, so that
// none of them comes to mean another message.
constexpr int64_t kRebootGap = 20'000;

Mailbox read_mailbox(const Rows& row) {
  Mailbox mailbox;
  mailbox.id = row->integer(0);
  mailbox.name = row->text(1);
  mailbox.special_use = row->text(2);
  mailbox.uid_validity = static_cast<uint32_t>(row->integer(3));
  mailbox.uid_next = static_cast<Uid>(row->integer(4));
  mailbox.highest_modseq = row->integer(5);
  mailbox.messages = static_cast<uint32_t>(row->integer(6));
  mailbox.unseen = static_cast<uint32_t>(row->integer(7));
  mailbox.deleted = static_cast<uint32_t>(row->integer(8));
  mailbox.size = static_cast<uint64_t>(row->integer(9));
  mailbox.first_recent = static_cast<Uid>(row->integer(10));
  mailbox.shows_expunged = row->integer(11) != 0;
  mailbox.subscribed = row->integer(12) != 0;
  return mailbox;
}

const std::string& boot_id() {
  static const std::string id = [] {
    std::string text;
    if (std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re")) {
      std::array<char, 64> line{};
      if (std::fgets(line.data(), line.size(), file) != nullptr) text = line.data();
      std::fclose(file);
    }
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? std::string("unknown") : text;
  }();
  return id;
}

/// The text of a scan for each set of wants; made once.
const std::string& scan_sql(unsigned wants) {
  static const std::array<std::string, 32> texts = [] {
    std::array<std::string, 32> made;
    made[kWantEntry] =
        "SELECT uid, modseq, flags, message, size, saved FROM entry WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 "
        "ORDER BY uid";
    for (unsigned want = kWantEntry + 1; want < made.size(); ++want) {
      auto column = [&](unsigned bits, const char* name) { return (want & bits) != 0 ? name : "NULL"; };
      bool message = (want & (kWantDate | kWantEnvelope | kWantStructure | kWantIndex | kWantHead)) != 0;
      made[want] = fmt::format(
          "SELECT e.uid, e.modseq, e.flags, e.message, e.size, e.saved, {}, {}, {}, {}, {}, {}, {}, {} FROM entry "
          "e{}{} "
          "WHERE e.mailbox = ?1 AND e.uid BETWEEN ?2 AND ?3 ORDER BY e.uid",
          column(kWantDate, "m.internal_date"), column(kWantIndex | kWantHead, "m.prefix_size"),
          column(kWantHead, "m.head_size"), column(kWantEnvelope, "m.envelope"),
          column(kWantStructure, "m.bodystructure"), column(kWantIndex, "m.mime"), column(kWantHead, "h.prefix"),
          column(kWantHead, "h.data"), message ? " JOIN message m ON m.id = e.message" : "",
          (want & kWantHead) != 0 ? " JOIN head h ON h.id = e.message" : "");
    }
    return made;
  }();
  return texts[wants];
}

}  // namespace

Account::Account(const std::string& path, AccountId id, OpenMode mode, const Clock& clock)
    : id_(id), clock_(clock), file_(path), flushed_before_(file_.flushed()), database_(path, mode, Sync::normal) {
  const ino_t identity = identity_of(path);
  if (!database_.has_moved()) identity_ = identity;
  // Before anything is made in it: an empty file is as good as a new one.
  if (flushed_before_ > 0 && database_.user_version() == 0)
    throw damaged_account(path, "holds nothing, and the account has had mail");
  migrate(database_, kAccountMigrations);
  prepare_state();
}

Account::~Account() = default;

void Account::prepare_state() {
  std::string boot;
  {
    Rows rows(database_.prepare("SELECT boot FROM state"));
    if (rows.next()) boot = rows->text(0);
  }
  if (flushed_before_ > 0 && modseq() < flushed_before_) {
    throw damaged_account(database_.path(), fmt::format("is older than what was flushed (modseq {}, {} was flushed); "
                                                        "its log is lost, or it is a copy from before",
                                                        modseq(), flushed_before_));
  }
  if (boot == boot_id()) return;
  WriterLock lock(file_.lock_file());
  if (boot.empty()) {
    create_default_mailboxes();
  } else {
    Transaction transaction(database_);
    database_.prepare("UPDATE mailbox SET uid_next = uid_next + ?1 WHERE EXISTS(SELECT 1 FROM state WHERE boot <> ?2)")
        .bind(kRebootGap, boot_id())
        .run();
    database_
        .prepare("UPDATE state SET modseq = modseq + ?1, next_message = next_message + ?1, boot = ?2 WHERE boot <> ?2")
        .bind(kRebootGap, boot_id())
        .run();
    transaction.commit();
  }
  flush();
}

void Account::create_default_mailboxes() {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kDefaults = {{{"INBOX", ""},
                                                                                       {"Drafts", "\\Drafts"},
                                                                                       {"Sent", "\\Sent"},
                                                                                       {"Trash", "\\Trash"},
                                                                                       {"Junk", "\\Junk"},
                                                                                       {"Archive", "\\Archive"}}};
  Transaction transaction(database_);
  int64_t now = clock_.unix_time();
  database_.prepare("INSERT OR IGNORE INTO state VALUES(1, 1, 1, ?1, 0, ?2)").bind(now, boot_id()).run();
  if (database_.changes() == 0) return;  // the other daemon was first
  for (const auto& [name, use] : kDefaults) {
    database_
        .prepare(
            "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq) VALUES(?1, ?2, ?3, 1, 1)")
        .bind(name, use, now)
        .run();
    database_.prepare("INSERT INTO subscription VALUES(?1)").bind(name).run();
  }
  transaction.commit();
}

std::vector<Mailbox> Account::mailboxes() {
  static const std::string sql = fmt::format("SELECT {} FROM mailbox WHERE gone = 0 ORDER BY name", kMailboxColumns);
  std::vector<Mailbox> all;
  for (Rows rows(database_.prepare(sql)); rows.next();) all.push_back(read_mailbox(rows));
  return all;
}

std::vector<Mailbox> Account::shared_mailboxes(AccountId user) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM mailbox WHERE gone = 0 AND id IN (SELECT mailbox FROM access_right WHERE who IN (0, ?1) "
      "AND negative = 0) ORDER BY name",
      kMailboxColumns);
  std::vector<Mailbox> all;
  for (Rows rows(database_.prepare(sql).bind(user)); rows.next();) all.push_back(read_mailbox(rows));
  return all;
}

std::optional<Mailbox> Account::find_mailbox(std::string_view name) {
  static const std::string sql = fmt::format("SELECT {} FROM mailbox WHERE gone = 0 AND name = ?1", kMailboxColumns);
  Rows rows(database_.prepare(sql).bind(name));
  if (!rows.next()) return std::nullopt;
  return read_mailbox(rows);
}

std::optional<Mailbox> Account::mailbox(MailboxId id) {
  static const std::string sql = fmt::format("SELECT {} FROM mailbox WHERE gone = 0 AND id = ?1", kMailboxColumns);
  Rows rows(database_.prepare(sql).bind(id));
  if (!rows.next()) return std::nullopt;
  return read_mailbox(rows);
}

std::vector<std::string> Account::subscriptions() {
  std::vector<std::string> names;
  for (Rows rows(database_.prepare("SELECT name FROM subscription ORDER BY name")); rows.next();) {
    names.emplace_back(rows->text(0));
  }
  return names;
}

ModSeq Account::modseq() {
  Rows rows(database_.prepare("SELECT modseq FROM state"));
  return rows.next() ? rows->integer(0) : 0;
}

std::optional<MailboxSnapshot> Account::snapshot(MailboxId id) {
  ReadTransaction transaction(database_);
  MailboxSnapshot snapshot;
  auto found = mailbox(id);
  if (!found) return std::nullopt;
  snapshot.mailbox = std::move(*found);
  count_for_reader(snapshot.mailbox);
  snapshot.modseq = modseq();
  snapshot.uids = uids_of(snapshot.mailbox);
  if (snapshot.mailbox.unseen > 0 && reader_ != 0) {
    scan(id, {1, UINT32_MAX}, kWantEntry, [&](const MessageRow& row) {
      if (!row.flags.has(Flags::kSeen)) snapshot.first_unseen = row.uid;
      return snapshot.first_unseen == 0;
    });
  } else if (snapshot.mailbox.unseen > 0) {
    Rows rows(
        database_.prepare("SELECT uid FROM entry WHERE mailbox = ?1 AND flags & 1 = 0 ORDER BY uid LIMIT 1").bind(id));
    if (rows.next()) snapshot.first_unseen = static_cast<Uid>(rows->integer(0));
  }
  return snapshot;
}

/// Where nothing is missing between the first and the last, the others need not be read.
UidRanges Account::uids_of(const Mailbox& mailbox) {
  UidRanges uids;
  if (mailbox.messages == 0) return uids;
  auto one = [&](Statement& statement) {
    Rows rows(statement.bind(mailbox.id));
    return rows.next() ? static_cast<Uid>(rows->integer(0)) : Uid{0};
  };
  const Uid first = one(database_.prepare("SELECT min(uid) FROM entry WHERE mailbox = ?1"));
  const Uid last = one(database_.prepare("SELECT max(uid) FROM entry WHERE mailbox = ?1"));
  if (last - first + 1 == mailbox.messages) return {{first, last}};
  Rows rows(database_.prepare("SELECT uid FROM entry WHERE mailbox = ?1 ORDER BY uid").bind(mailbox.id));
  while (rows.next()) append_uid(uids, static_cast<Uid>(rows->integer(0)));
  return uids;
}

MailboxChanges Account::changes_since(MailboxId id, ModSeq since, ModSeq own) {
  MailboxChanges changes;
  ReadTransaction transaction(database_);
  ModSeq floor = 0;
  {
    Rows state(database_.prepare("SELECT modseq, log_floor FROM state"));
    state.next();
    changes.modseq = state->integer(0);
    floor = state->integer(1);
  }
  if (changes.modseq == since) return changes;
  changes.mailbox_gone = !mailbox(id).has_value();
  if (since < floor) {
    changes.log_lost = true;
    return changes;
  }
  Rows rows(database_
                .prepare("SELECT mailbox, kind, uids FROM change WHERE modseq > ?1 AND NOT (modseq = ?2 AND kind = 3) "
                         "ORDER BY modseq")
                .bind(since, own));
  while (rows.next()) {
    if (rows->integer(0) != id) continue;
    UidRanges& into = rows->integer(1) == 1 ? changes.added : rows->integer(1) == 2 ? changes.expunged : changes.flags;
    for (const UidRange& range : parse_ranges(rows->text(2))) into.push_back(range);
  }
  for (const UidRange& range : reader_changes(id, since)) changes.flags.push_back(range);
  UidRanges added = normalize(std::move(changes.added));
  UidRanges expunged = normalize(std::move(changes.expunged));
  changes.added = subtract(added, expunged);
  changes.expunged = subtract(expunged, added);
  changes.flags = subtract(normalize(std::move(changes.flags)), expunged);
  return changes;
}

MissedChanges Account::missed_since(MailboxId id, ModSeq since) {
  MailboxChanges changes = changes_since(id, since);
  MissedChanges missed;
  missed.log_lost = changes.log_lost;
  missed.expunged = std::move(changes.expunged);
  missed.changed = std::move(changes.added);
  missed.changed.insert(missed.changed.end(), changes.flags.begin(), changes.flags.end());
  missed.changed = normalize(std::move(missed.changed));
  return missed;
}

uint32_t Account::count_from(MailboxId id, Uid first) {
  Rows rows(database_.prepare("SELECT count(*) FROM entry WHERE mailbox = ?1 AND uid >= ?2").bind(id, first));
  return rows.next() ? static_cast<uint32_t>(rows->integer(0)) : 0;
}

std::vector<std::string> Account::keywords() {
  std::vector<std::string> names;
  for (Rows rows(database_.prepare("SELECT bit, name FROM keyword ORDER BY bit")); rows.next();) {
    names.resize(static_cast<size_t>(rows->integer(0) - Flags::kFirstKeywordBit));
    names.emplace_back(rows->text(1));
  }
  return names;
}

void Account::scan(MailboxId mailbox, UidRange range, unsigned wants,
                   const std::function<bool(const MessageRow&)>& visit) {
  if (reader_ == 0) return scan_stored(mailbox, range, wants, visit);
  SeenRuns seen(database_, mailbox, reader_, range);
  scan_stored(mailbox, range, wants, [&](const MessageRow& stored) {
    MessageRow row = stored;
    seen.apply(row);
    return visit(row);
  });
}

void Account::scan_stored(MailboxId mailbox, UidRange range, unsigned wants,
                          const std::function<bool(const MessageRow&)>& visit) {
  Rows rows(database_.prepare(scan_sql(wants)).bind(mailbox, range.first, range.last));
  while (rows.next()) {
    MessageRow row;
    row.uid = static_cast<Uid>(rows->integer(0));
    row.modseq = rows->integer(1);
    row.flags = row.stored = Flags(static_cast<uint64_t>(rows->integer(2)));
    row.message = rows->integer(3);
    row.size = static_cast<uint64_t>(rows->integer(4));
    row.saved = rows->integer(5);
    if (wants != kWantEntry) {
      row.internal_date = rows->integer(6);
      row.prefix_size = static_cast<uint32_t>(rows->integer(7));
      row.head_size = static_cast<uint64_t>(rows->integer(8));
      row.envelope = rows->text(9);
      row.bodystructure = rows->text(10);
      row.index = rows->blob(11);
      row.prefix = rows->blob(12);
      row.head = rows->blob(13);
    }
    if (!visit(row)) return;
  }
}

void Account::scan_messages(MessageId after, const std::function<bool(const MessageRow&)>& visit) {
  Rows rows(database_
                .prepare("SELECT m.id, m.size, m.internal_date, m.prefix_size, m.head_size, m.mime, h.prefix, h.data "
                         "FROM message m JOIN head h ON h.id = m.id WHERE m.id > ?1 ORDER BY m.id")
                .bind(after));
  while (rows.next()) {
    MessageRow row;
    row.message = rows->integer(0);
    row.size = static_cast<uint64_t>(rows->integer(1));
    row.internal_date = rows->integer(2);
    row.prefix_size = static_cast<uint32_t>(rows->integer(3));
    row.head_size = static_cast<uint64_t>(rows->integer(4));
    row.index = rows->blob(5);
    row.prefix = rows->blob(6);
    row.head = rows->blob(7);
    if (!visit(row)) return;
  }
}

void Account::read(MessageId message, uint64_t offset, uint64_t length, std::string& out) {
  uint64_t begin = 0;  // of the piece that is looked at
  auto take = [&](std::string_view piece) {
    if (length > 0 && offset >= begin && offset < begin + piece.size()) {
      std::string_view part = piece.substr(offset - begin, length);
      out += part;
      offset += part.size();
      length -= part.size();
    }
    begin += piece.size();
  };
  {
    Rows rows(database_.prepare("SELECT prefix, data FROM head WHERE id = ?1").bind(message));
    if (!rows.next()) return;
    take(rows->blob(0));
    take(rows->blob(1));
  }
  while (length > 0) {
    int64_t number = static_cast<int64_t>((offset - begin) / kChunkSize);
    int64_t id = message << 20 | number;
    if (id != cached_chunk_) {
      Rows rows(database_.prepare("SELECT raw_size, zstd, data FROM chunk WHERE id = ?1").bind(id));
      if (!rows.next()) return;
      cached_chunk_ = -1;
      try {
        chunk_ = restore_chunk(rows->blob(2), rows->integer(1) != 0, static_cast<size_t>(rows->integer(0)));
      } catch (const std::runtime_error& error) {
        // One text, not the file: the others can be read.
        throw SqliteError(0, fmt::format("{}: message {}: {}", database_.path(), message, error.what()));
      }
      cached_chunk_ = id;
    }
    uint64_t within = offset - begin - static_cast<uint64_t>(number) * kChunkSize;
    if (within >= chunk_.size()) return;
    std::string_view part = std::string_view(chunk_).substr(within, length);
    out += part;
    offset += part.size();
    length -= part.size();
  }
}

void Account::release_memory() {
  cached_chunk_ = -1;
  chunk_ = std::string();
}

uint64_t Account::used_bytes() {
  Rows rows(database_.prepare("SELECT coalesce(sum(size), 0) FROM mailbox WHERE gone = 0 AND shows_expunged = 0"));
  rows.next();
  return static_cast<uint64_t>(rows->integer(0));
}

uint64_t Account::used_messages() {
  Rows rows(database_.prepare("SELECT coalesce(sum(messages), 0) FROM mailbox WHERE gone = 0 AND shows_expunged = 0"));
  rows.next();
  return static_cast<uint64_t>(rows->integer(0));
}

uint64_t Account::deleted_bytes(MailboxId mailbox) {
  Rows rows(database_.prepare("SELECT coalesce(sum(size), 0) FROM entry WHERE mailbox = ?1 AND flags & ?2 <> 0")
                .bind(mailbox, Flags::kDeleted));
  rows.next();
  return static_cast<uint64_t>(rows->integer(0));
}

std::optional<MailboxId> Account::expunged_mailbox() {
  Rows rows(database_.prepare("SELECT id FROM mailbox WHERE shows_expunged = 1 AND gone = 0"));
  if (!rows.next()) return std::nullopt;
  return rows->integer(0);
}

void Account::scan_kept(const std::function<bool(const KeptMessage&)>& visit) {
  Rows rows(
      database_.prepare("SELECT x.id, x.mailbox, b.name, b.gone, x.time, x.size, x.message FROM expunged x "
                        "JOIN mailbox b ON b.id = x.mailbox ORDER BY x.id"));
  while (rows.next()) {
    KeptMessage kept;
    kept.id = rows->integer(0);
    kept.mailbox = rows->integer(1);
    kept.name = rows->text(2);
    kept.mailbox_gone = rows->integer(3) != 0;
    kept.expunged = rows->integer(4);
    kept.size = static_cast<uint64_t>(rows->integer(5));
    kept.message = rows->integer(6);
    if (!visit(kept)) return;
  }
}

Flushed Account::flush() {
  const ModSeq visible = modseq();
  const metrics::Timing timing(counted::account_flush_seconds[0]);
  database_.flush();
  file_.note_flushed(visible);
  return Flushed();
}

}  // namespace postrider::store
