// What was expunged: kept as tombstones with their messages, shown in a mailbox of its own where that is wanted,
// brought back, and in the end forgotten.
#include <tuple>
#include <unordered_set>

#include "store/edit_internal.h"

namespace postrider::store {
namespace {

constexpr int64_t kPurgeBatch = 10'000;  // tombstones in one transaction

/// A row of expunged.
struct Tombstone {
  int64_t id = 0;
  MailboxId mailbox = 0;
  Flags flags;
  MessageId message = 0;
  uint64_t size = 0;
  Uid shown = 0;  // 0: nowhere
};

constexpr std::string_view kTombstoneById =
    "SELECT id, mailbox, flags, message, size, shown FROM expunged WHERE id = ?1";
constexpr std::string_view kTombstonesAfter =
    "SELECT id, mailbox, flags, message, size, shown FROM expunged WHERE id > ?1 ORDER BY id LIMIT ?2";
constexpr std::string_view kTombstonesBefore =
    "SELECT id, mailbox, flags, message, size, shown FROM expunged WHERE time < ?1 ORDER BY id LIMIT ?2";

std::vector<Tombstone> read_all(Statement& statement) {
  std::vector<Tombstone> all;
  for (Rows rows(statement); rows.next();) {
    Tombstone one;
    one.id = rows->integer(0);
    one.mailbox = rows->integer(1);
    one.flags = Flags(static_cast<uint64_t>(rows->integer(2))).without(Flags::kDeleted);
    one.message = rows->integer(3);
    one.size = static_cast<uint64_t>(rows->integer(4));
    one.shown = static_cast<Uid>(rows->integer(5));
    all.push_back(one);
  }
  return all;
}

}  // namespace

/// Before the first tombstone of this edit.
void Edit::remember_tombstones() {
  if (tombstones_) return;
  Rows rows(account_.database_.prepare("SELECT coalesce(max(id), 0) FROM expunged"));
  rows.next();
  tombstones_ = rows->integer(0);
}

/// Gives tombstones an entry in the mailbox that shows them.
void Edit::show_tombstones(MailboxId in, int64_t after) {
  Delta& view = *delta(in);
  Database& db = account_.database_;
  for (;;) {
    const std::vector<Tombstone> some = read_all(db.prepare(kTombstonesAfter).bind(after, kPurgeBatch));
    for (const Tombstone& one : some) {
      const Uid uid = view.mailbox.uid_next++;
      insert_entry(in, uid, one.flags, one.message, one.size);
      count_message(view, one.flags, one.size, +1);
      append_uid(view.added, uid);
      db.prepare("UPDATE expunged SET shown = ?1 WHERE id = ?2").bind(uid, one.id).run();
    }
    if (some.size() < static_cast<size_t>(kPurgeBatch)) return;
    after = some.back().id;
  }
}

/// Messages left the mailbox that shows them: they are expunged no longer.
void Edit::forget_tombstones(UidRange shown) {
  account_.database_.prepare("DELETE FROM expunged WHERE shown BETWEEN ?1 AND ?2 AND shown > 0")
      .bind(shown.first, shown.last)
      .run();
}

/// The mailbox that a message goes back to: the one where it was, or one of the same name.
StoreResult<MailboxId> Edit::place_of(MailboxId mailbox) {
  std::string name, use;
  {
    Rows rows(account_.database_.prepare("SELECT gone, name, special_use FROM mailbox WHERE id = ?1").bind(mailbox));
    if (!rows.next()) {
      name = "INBOX";
    } else if (rows->integer(0) == 0) {
      return mailbox;
    } else {
      name = rows->text(1);
      use = rows->text(2);
    }
  }
  if (auto found = find(name)) return *found;
  {
    Rows taken(account_.database_.prepare("SELECT 1 FROM mailbox WHERE gone = 0 AND special_use = ?1").bind(use));
    if (taken.next()) use.clear();
  }
  auto made = create_mailbox(name, use);
  if (!made) return made;
  // Many mail programs show what is subscribed only. A full list of subscriptions keeps no mail away.
  std::ignore = subscribe(name, true);
  return made;
}

StoreResult<size_t> Edit::restore(const std::vector<int64_t>& kept, std::optional<MailboxId> to) {
  Database& db = account_.database_;
  const std::optional<MailboxId> view = account_.expunged_mailbox();
  size_t restored = 0;
  for (int64_t id : kept) {
    const std::vector<Tombstone> found = read_all(db.prepare(kTombstoneById).bind(id));
    if (found.empty()) continue;
    const Tombstone& one = found.front();
    auto place = to ? StoreResult<MailboxId>(*to) : place_of(one.mailbox);
    if (!place) return tl::unexpected(place.error());
    Delta* into = delta(*place);
    if (into == nullptr || into->mailbox.shows_expunged) {
      return tl::unexpected(StoreFailure{StoreFault::no_such_mailbox, "There is no such mailbox to restore to."});
    }
    const Uid uid = into->mailbox.uid_next++;
    insert_entry(*place, uid, one.flags, one.message, one.size);
    count_message(*into, one.flags, one.size, +1);
    append_uid(into->added, uid);
    db.prepare("DELETE FROM expunged WHERE id = ?1").bind(id).run();
    if (view && one.shown != 0) remove_shown(*view, one.shown);
    ++restored;
  }
  return restored;
}

/// Takes an entry out of the mailbox that shows what was expunged; no tombstone comes of it.
void Edit::remove_shown(MailboxId view, Uid uid) {
  std::vector<MessageRow> rows = read_slice(view, {uid, uid});
  if (rows.empty()) return;
  Delta& delta = *this->delta(view);
  count_message(delta, rows[0].stored, rows[0].size, -1);
  delta.expunged.push_back({uid, uid});
  account_.database_.prepare("DELETE FROM entry WHERE mailbox = ?1 AND uid = ?2").bind(view, uid).run();
}

StoreResult<void> Edit::show_expunged(std::string_view name) {
  if (account_.expunged_mailbox()) return {};
  auto created = create_mailbox(name, "");
  if (!created) return tl::unexpected(created.error());
  account_.database_.prepare("UPDATE mailbox SET shows_expunged = 1 WHERE id = ?1").bind(*created).run();
  delta(*created)->mailbox.shows_expunged = true;
  show_tombstones(*created, 0);
  return {};
}

void Edit::hide_expunged() {
  const std::optional<MailboxId> view = account_.expunged_mailbox();
  if (!view) return;
  Database& db = account_.database_;
  Delta& gone = *delta(*view);
  gone.mailbox_changed = true;
  gone.mailbox.messages = gone.mailbox.unseen = gone.mailbox.deleted = 0;
  gone.mailbox.size = 0;
  db.prepare("DELETE FROM entry WHERE mailbox = ?1").bind(*view).run();
  db.prepare("UPDATE expunged SET shown = 0 WHERE shown > 0").run();
  db.prepare("UPDATE mailbox SET gone = ?1 WHERE id = ?2").bind(account_.clock_.unix_time(), *view).run();
}

bool Edit::purge_kept(UnixTime before) {
  Database& db = account_.database_;
  const std::vector<Tombstone> some = read_all(db.prepare(kTombstonesBefore).bind(before, kPurgeBatch));
  if (some.empty()) return false;
  const std::optional<MailboxId> view = account_.expunged_mailbox();
  std::vector<MessageId> messages;
  for (const Tombstone& one : some) {
    db.prepare("DELETE FROM expunged WHERE id = ?1").bind(one.id).run();
    if (view && one.shown != 0) remove_shown(*view, one.shown);
    messages.push_back(one.message);
  }
  free_messages(messages);
  changed_ = true;
  return true;
}

/// A copy elsewhere, or another tombstone, may still need a message: one pass over the narrow tables tells.
void Edit::free_messages(const std::vector<MessageId>& candidates) {
  Database& db = account_.database_;
  std::unordered_set<MessageId> unused(candidates.begin(), candidates.end());
  for (Rows rows(db.prepare("SELECT message FROM entry UNION ALL SELECT message FROM expunged")); rows.next();) {
    unused.erase(rows->integer(0));
  }
  for (MessageId message : unused) {
    db.prepare("DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2").bind(message << 20, ((message + 1) << 20) - 1).run();
    db.prepare("DELETE FROM head WHERE id = ?1").bind(message).run();
    db.prepare("DELETE FROM message WHERE id = ?1").bind(message).run();
    db.prepare("UPDATE search_state SET gone = gone + 1 WHERE indexed_to >= ?1").bind(message).run();
  }
}

}  // namespace postrider::store
