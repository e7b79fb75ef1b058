// The changes of messages: append, copy, move, flags, expunge; and how an edit ends. Mailboxes: edit_mailbox.cc.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "store/checksum.h"
#include "store/edit_internal.h"
#include "store/metrics.h"

namespace postrider::store {
namespace {

constexpr int64_t kCopySlice = 10'000;  // rows held in memory at once while copying
constexpr UidRange kAllUids = {1, UINT32_MAX};

StoreFailure no_such_mailbox() {
  return {StoreFault::no_such_mailbox, "There is no such mailbox."};
}

StoreFailure not_into_expunged() {
  return {StoreFault::not_allowed, "This mailbox shows what was removed elsewhere; nothing else is put into it."};
}

StoreFailure over_quota(uint64_t quota) {
  return {StoreFault::over_quota,
          fmt::format("The account is over its quota of {} KiB. Delete mail, empty the trash, or ask for more.",
                      quota >> 10)};
}

StoreFailure too_many_messages(uint64_t most) {
  return {
      StoreFault::over_quota,
      fmt::format("The account holds {} messages, which is as many as it may. Delete some, or ask for more.", most)};
}

}  // namespace

Edit::Edit(Account& account)
    : account_(account),
      lock_(std::make_unique<WriterLock>(account.file_.lock_file(), account.database_)),
      transaction_(std::make_unique<Transaction>(account.database_)) {
  Rows rows(account_.database_.prepare("SELECT modseq, next_message FROM state"));
  rows.next();
  modseq_ = rows->integer(0) + 1;
  next_message_ = rows->integer(1);
}

Edit::~Edit() = default;

Edit::Delta* Edit::delta(MailboxId id) {
  auto& slot = deltas_[id];
  if (slot == nullptr) {
    auto found = account_.mailbox(id);
    if (!found) {
      deltas_.erase(id);
      return nullptr;
    }
    slot = std::make_unique<Delta>();
    slot->mailbox = std::move(*found);
  }
  return slot.get();
}

void Edit::count_message(Delta& delta, Flags flags, uint64_t size, int sign) {
  auto add = [sign](auto& counter, auto amount) {
    counter = static_cast<std::decay_t<decltype(counter)>>(sign > 0 ? counter + amount : counter - amount);
  };
  add(delta.mailbox.messages, 1U);
  if (!flags.has(Flags::kSeen)) add(delta.mailbox.unseen, 1U);
  if (flags.has(Flags::kDeleted)) add(delta.mailbox.deleted, 1U);
  add(delta.mailbox.size, size);
  if (used_ && !delta.mailbox.shows_expunged) add(*used_, size);
  if (used_messages_ && !delta.mailbox.shows_expunged) add(*used_messages_, 1U);
}

/// What is in the way of one more message of that size; nothing: there is room.
std::optional<StoreFailure> Edit::no_room(uint64_t more, uint64_t quota) {
  if (quota != 0) {
    if (!used_) used_ = account_.used_bytes();
    if (*used_ + more > quota) return over_quota(quota);
  }
  if (account_.most_messages_ != 0) {
    if (!used_messages_) used_messages_ = account_.used_messages();
    if (*used_messages_ >= account_.most_messages_) return too_many_messages(account_.most_messages_);
  }
  return std::nullopt;
}

StoreResult<Uid> Edit::append(MailboxId mailbox, const PreparedMessage& message, std::string_view prefix, Flags flags,
                              UnixTime internal_date, QueueId delivery, uint64_t quota) {
  Database& db = account_.database_;
  if (delivery != 0) {
    db.prepare("INSERT OR IGNORE INTO delivery VALUES(?1, ?2)").bind(delivery, account_.clock_.unix_time()).run();
    if (db.changes() == 0) return Uid{0};
  }
  Delta* into = delta(mailbox);
  uint64_t size = prefix.size() + message.summary.size;
  std::optional<StoreFailure> refused;
  if (into == nullptr) {
    refused = no_such_mailbox();
  } else if (into->mailbox.shows_expunged) {
    refused = not_into_expunged();
  } else {
    refused = no_room(size, quota);
  }
  if (refused) {
    if (delivery != 0) db.prepare("DELETE FROM delivery WHERE id = ?1").bind(delivery).run();
    return tl::unexpected(*std::move(refused));
  }
  MessageId id = next_message_++;
  store_message(id, message, prefix, internal_date);
  Uid uid = into->mailbox.uid_next++;
  flags = entering(*into, uid, flags);
  insert_entry(mailbox, uid, flags, id, size);
  count_message(*into, flags, size, +1);
  append_uid(into->added, uid);
  return uid;
}

void Edit::store_message(MessageId id, const PreparedMessage& message, std::string_view prefix,
                         UnixTime internal_date) {
  Database& db = account_.database_;
  const MimeSummary& summary = message.summary;
  std::string index = summary.index.serialize();
  MessageId thread = join_thread(id, message.thread_keys);
  db.prepare("INSERT INTO message VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, ?1))")
      .bind(id, prefix.size() + summary.size, internal_date, prefix.size(), summary.head_size, summary.envelope,
            summary.bodystructure, Blob{index}, thread)
      .run();
  db.prepare("INSERT INTO head VALUES(?1, ?2, ?3, ?4)")
      .bind(id, Blob{prefix}, Blob{message.head}, checksum(prefix, message.head_checksum))
      .run();
  int64_t chunk_id = id << 20;
  auto store_chunk = [&](const PreparedChunk& chunk) {
    db.prepare("INSERT INTO chunk VALUES(?1, ?2, ?3, ?4, ?5)")
        .bind(chunk_id++, chunk.raw_size, chunk.zstd, Blob{chunk.data}, chunk.checksum)
        .run();
  };
  for (const PreparedChunk& chunk : message.chunks) store_chunk(chunk);
  if (message.spool == nullptr) return;
  // Pieces of the spool do not end where chunks do: the header was cut off in front.
  std::string pending;
  uint64_t skip = message.head.size();
  message.spool->read([&](std::string_view piece) {
    size_t cut = std::min<uint64_t>(skip, piece.size());
    skip -= cut;
    pending += piece.substr(cut);
    while (pending.size() >= kChunkSize) {
      store_chunk(prepare_chunk(std::string_view(pending).substr(0, kChunkSize)));
      pending.erase(0, kChunkSize);
    }
  });
  if (!pending.empty()) store_chunk(prepare_chunk(pending));
}

void Edit::insert_entry(MailboxId mailbox, Uid uid, Flags flags, MessageId message, uint64_t size) {
  account_.database_.prepare("INSERT INTO entry VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")
      .bind(mailbox, uid, modseq_, flags.bits(), message, size, account_.clock_.unix_time())
      .run();
}

StoreResult<CopiedUids> Edit::copy(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota, uint64_t kept) {
  return copy_entries(from, uids, to, quota, kept, false);
}

StoreResult<CopiedUids> Edit::move(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota, uint64_t kept) {
  return copy_entries(from, uids, to, quota, kept, true);
}

StoreResult<CopiedUids> Edit::copy_entries(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota,
                                           uint64_t kept, bool remove) {
  Delta* source = delta(from);
  Delta* target = delta(to);
  if (source == nullptr || target == nullptr) return tl::unexpected(no_such_mailbox());
  if (target->mailbox.shows_expunged) return tl::unexpected(not_into_expunged());
  const bool counts = !remove || source->mailbox.shows_expunged;  // for the quota
  CopiedUids copied;
  copied.uid_validity = target->mailbox.uid_validity;
  Uid end = source->mailbox.uid_next;  // a copy into the same mailbox does not copy its own copies
  for (UidRange range : uids) {
    range.last = std::min(range.last, end - 1);
    while (range.first <= range.last) {
      std::vector<MessageRow> slice = read_slice(from, range);
      if (slice.empty()) break;
      for (const MessageRow& row : slice) {
        if (counts) {
          if (auto refused = no_room(row.size, quota)) return tl::unexpected(*std::move(refused));
        }
        Uid uid = target->mailbox.uid_next++;
        Flags flags = entering(*target, uid, Flags(row.flags.bits() & kept));
        // Whoever copies it, the owner has seen it or has not.
        if (account_.reader_ != 0) flags = flags.with(row.stored.bits() & Flags::kSeen);
        insert_entry(to, uid, flags, row.message, row.size);
        count_message(*target, flags, row.size, +1);
        append_uid(target->added, uid);
        append_uid(copied.from, row.uid);
        append_uid(copied.to, uid);
        if (remove) {
          count_message(*source, row.stored, row.size, -1);
          append_uid(source->expunged, row.uid);
        }
      }
      if (remove) {
        account_.database_.prepare("DELETE FROM entry WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3")
            .bind(from, range.first, slice.back().uid)
            .run();
        if (source->mailbox.shows_expunged) forget_tombstones({range.first, slice.back().uid});
      }
      if (slice.back().uid == range.last) break;
      range.first = slice.back().uid + 1;
    }
  }
  return copied;
}

std::vector<MessageRow> Edit::read_slice(MailboxId mailbox, UidRange range) {
  std::vector<MessageRow> slice;
  account_.scan(mailbox, range, kWantEntry, [&](const MessageRow& row) {
    slice.push_back(row);
    return slice.size() < kCopySlice;
  });
  return slice;
}

StoredFlags Edit::store_flags(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                              std::optional<ModSeq> unchanged_since, uint64_t changeable) {
  if (account_.reader_ == 0) return store_entry_flags(mailbox, uids, change, flags, unchanged_since, changeable);
  StoredFlags result = store_reader_seen(mailbox, uids, change, flags, unchanged_since, changeable);
  StoredFlags others = store_entry_flags(mailbox, subtract(uids, result.modified), change, flags, std::nullopt,
                                         changeable & ~Flags::kSeen);
  result.changed.insert(result.changed.end(), others.changed.begin(), others.changed.end());
  result.changed = normalize(std::move(result.changed));
  return result;
}

StoredFlags Edit::store_entry_flags(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                                    std::optional<ModSeq> unchanged_since, uint64_t changeable) {
  StoredFlags result;
  Delta* in = delta(mailbox);
  if (in == nullptr) return result;
  // new = (old & keep) | set
  uint64_t keep = change == FlagChange::add ? ~uint64_t{0} : change == FlagChange::remove ? ~flags.bits() : 0;
  uint64_t set = change == FlagChange::remove ? 0 : flags.bits() & changeable;
  keep |= ~changeable;
  ModSeq limit = unchanged_since.value_or(INT64_MAX);
  for (const UidRange& range : uids) {
    bool any = false;
    account_.scan(mailbox, range, kWantEntry, [&](const MessageRow& row) {
      if (row.modseq > limit) {
        append_uid(result.modified, row.uid);
        return true;
      }
      Flags now((row.stored.bits() & keep) | set);
      if (now == row.stored) return true;
      in->mailbox.unseen += !now.has(Flags::kSeen) - !row.stored.has(Flags::kSeen);
      in->mailbox.deleted += now.has(Flags::kDeleted) - row.stored.has(Flags::kDeleted);
      append_uid(result.changed, row.uid);
      any = true;
      return true;
    });
    if (!any) continue;
    account_.database_
        .prepare(
            "UPDATE entry SET flags = (flags & ?1) | ?2, modseq = ?3 WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 "
            "AND modseq <= ?7 AND (flags & ?1) | ?2 <> flags")
        .bind(keep, set, modseq_, mailbox, range.first, range.last, limit)
        .run();
  }
  for (const UidRange& range : result.changed) in->flags.push_back(range);
  return result;
}

UidRanges Edit::expunge(MailboxId mailbox, const UidRanges* uids) {
  Delta* in = delta(mailbox);
  if (in == nullptr || in->mailbox.deleted == 0) return {};
  return remove_entries(mailbox, uids != nullptr ? *uids : UidRanges{kAllUids}, Flags::kDeleted);
}

UidRanges Edit::remove(MailboxId mailbox, const UidRanges& uids) {
  return remove_entries(mailbox, uids, 0);
}

UidRanges Edit::remove_entries(MailboxId mailbox, const UidRanges& uids, uint64_t with_flags) {
  UidRanges gone;
  Delta* in = delta(mailbox);
  if (in == nullptr) return gone;
  Database& db = account_.database_;
  remember_tombstones();
  for (const UidRange& range : uids) {
    size_t before = gone.size();
    account_.scan(mailbox, range, kWantEntry, [&](const MessageRow& row) {
      if (row.stored.has(with_flags)) {
        count_message(*in, row.stored, row.size, -1);
        append_uid(gone, row.uid);
      }
      return true;
    });
    if (gone.size() == before && (gone.empty() || gone.back().last < range.first)) continue;
    db.prepare(
          "INSERT INTO expunged SELECT NULL, mailbox, uid, ?1, flags, message, size, saved, ?2, 0 FROM entry "
          "WHERE mailbox = ?3 AND uid BETWEEN ?4 AND ?5 AND flags & ?6 = ?6")
        .bind(modseq_, account_.clock_.unix_time(), mailbox, range.first, range.last, with_flags)
        .run();
    db.prepare("DELETE FROM entry WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 AND flags & ?4 = ?4")
        .bind(mailbox, range.first, range.last, with_flags)
        .run();
  }
  for (const UidRange& range : gone) in->expunged.push_back(range);
  return gone;
}

StoreResult<Flags> Edit::keyword_bits(const std::vector<std::string>& names) {
  if (names.empty()) return Flags();
  Database& db = account_.database_;
  std::vector<std::string> known = account_.keywords();
  uint64_t bits = 0;
  for (const std::string& name : names) {
    size_t index = 0;
    while (index < known.size() && !iequals(known[index], name)) ++index;
    if (index == known.size()) {
      if (index >= Flags::kMaxKeywords) {
        return tl::unexpected(StoreFailure{
            StoreFault::limit, fmt::format("An account holds at most {} different keywords; {} would be one more.",
                                           Flags::kMaxKeywords, name)});
      }
      db.prepare("INSERT INTO keyword VALUES(?1, ?2)")
          .bind(static_cast<int64_t>(index) + Flags::kFirstKeywordBit, name)
          .run();
      known.push_back(name);
      changed_ = true;
    }
    bits |= uint64_t{1} << (index + Flags::kFirstKeywordBit);
  }
  return Flags(bits);
}

void Edit::claim_recent(MailboxId mailbox, Uid last) {
  Database& db = account_.database_;
  db.prepare("UPDATE mailbox SET first_recent = ?2 + 1 WHERE id = ?1 AND first_recent <= ?2").bind(mailbox, last).run();
  changed_ |= db.changes() > 0;
}

void Edit::write_log() {
  if (tombstones_) {
    if (auto shown_in = account_.expunged_mailbox()) show_tombstones(*shown_in, *tombstones_);
  }
  Database& db = account_.database_;
  int64_t now = account_.clock_.unix_time();
  bool logged = false;
  for (auto& [id, delta] : deltas_) {
    if (!delta->changed()) continue;
    const Mailbox& box = delta->mailbox;
    db.prepare(
          "UPDATE mailbox SET uid_next = ?1, highest_modseq = ?2, messages = ?3, unseen = ?4, deleted = ?5, size = ?6 "
          "WHERE id = ?7")
        .bind(box.uid_next, modseq_, box.messages, box.unseen, box.deleted, box.size, id)
        .run();
    auto log = [&](Kind kind, const UidRanges& ranges) {
      if (ranges.empty()) return;
      std::string text = format_ranges(normalize(ranges));
      db.prepare("INSERT INTO change VALUES(?1, ?2, ?3, ?4, ?5)")
          .bind(modseq_, id, static_cast<int>(kind), text, now)
          .run();
    };
    mark_seen(id, delta->seen, true);
    log(Kind::added, delta->added);
    log(Kind::expunged, delta->expunged);
    log(Kind::flags, delta->flags);
    if (delta->mailbox_changed) {
      db.prepare("INSERT INTO change VALUES(?1, ?2, ?3, '', ?4)")
          .bind(modseq_, id, static_cast<int>(Kind::mailbox), now)
          .run();
    }
    logged = true;
  }
  if (!logged) return;
  changed_ = true;
  db.prepare("UPDATE state SET modseq = ?1, next_message = ?2").bind(modseq_, next_message_).run();
}

void Edit::commit() {
  write_log();
  transaction_->commit();
  counted::account_commits.add();
  transaction_.reset();
  lock_.reset();
}

Flushed Edit::commit_flushed() {
  commit();
  // The flush comes after the lock was given back: others may commit meanwhile, and one flush serves all of them.
  if (!changed_) return Flushed();
  try {
    return account_.flush();
  } catch (const SqliteError& error) {
    throw NotFlushed(error);
  }
}

std::vector<MailboxId> Edit::touched() const {
  std::vector<MailboxId> ids;
  for (const auto& [id, delta] : deltas_) {
    if (delta->changed()) ids.push_back(id);
  }
  return ids;
}

}  // namespace postrider::store
