// COPY from one account into another: the octets go over as they lie there, a row at a time. Only the target is locked.
#include <algorithm>

#include "store/edit_internal.h"
#include "store/thread_keys.h"

namespace postrider::store {
namespace {

constexpr size_t kSlice = 1'000;  // rows of the other account that are held in memory

/// Moves keywords by their names, which have other bits in each account.
class KeywordMap {
 public:
  KeywordMap(Edit& edit, std::vector<std::string> names) : edit_(edit), names_(std::move(names)) {}

  StoreResult<Flags> map(Flags flags) {
    uint64_t keywords = flags.bits() & ~Flags::kSystem;
    if (keywords == 0) return flags;
    std::vector<std::string> used;
    for (size_t i = 0; i < names_.size(); ++i) {
      if ((keywords >> (Flags::kFirstKeywordBit + i) & 1) != 0) used.push_back(names_[i]);
    }
    auto bits = edit_.keyword_bits(used);
    if (!bits) return bits;
    return bits->with(flags.bits() & Flags::kSystem);
  }

 private:
  Edit& edit_;
  std::vector<std::string> names_;
};

}  // namespace

/// False: the message is not there any more.
bool Edit::copy_message(Account& other, MessageId source, MessageId target) {
  Database &from = other.database_, &to = account_.database_;
  MessageId thread = target;
  {
    Rows row(from.prepare("SELECT prefix, data, checksum FROM head WHERE id = ?1").bind(source));
    if (!row.next()) return false;
    thread = join_thread(target, thread_keys(row->blob(1)));
    Statement& insert = to.prepare("INSERT INTO head(id, prefix, data, checksum) VALUES(?1, ?2, ?3, ?4)");
    insert.bind(target, Blob{row->blob(0)}, Blob{row->blob(1)}).bind_column(4, *row.operator->(), 2);
    insert.run();
  }
  {
    Rows row(from.prepare("SELECT size, internal_date, prefix_size, head_size, envelope, bodystructure, mime "
                          "FROM message WHERE id = ?1")
                 .bind(source));
    row.next();
    to.prepare(
          "INSERT INTO message(id, size, internal_date, prefix_size, head_size, envelope, bodystructure, mime, thread) "
          "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, ?1))")
        .bind(target, row->integer(0), row->integer(1), row->integer(2), row->integer(3), row->text(4), row->text(5),
              Blob{row->blob(6)}, thread)
        .run();
  }
  Rows rows(from.prepare("SELECT id, raw_size, zstd, data, checksum FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id")
                .bind(source << 20, ((source + 1) << 20) - 1));
  while (rows.next()) {
    Statement& insert = to.prepare("INSERT INTO chunk(id, raw_size, zstd, data, checksum) VALUES(?1, ?2, ?3, ?4, ?5)");
    insert
        .bind(rows->integer(0) - (source << 20) + (target << 20), rows->integer(1), rows->integer(2),
              Blob{rows->blob(3)})
        .bind_column(5, *rows.operator->(), 4);
    insert.run();
  }
  return true;
}

StoreResult<CopiedUids> Edit::copy_from(Account& other, MailboxId from, const UidRanges& uids, MailboxId to,
                                        uint64_t quota, uint64_t kept) {
  Delta* target = delta(to);
  if (target == nullptr) return tl::unexpected(StoreFailure{StoreFault::no_such_mailbox, "There is no such mailbox."});
  if (target->mailbox.shows_expunged)
    return tl::unexpected(StoreFailure{StoreFault::not_allowed, "This mailbox shows what was removed elsewhere."});
  CopiedUids copied;
  copied.uid_validity = target->mailbox.uid_validity;
  KeywordMap keywords(*this, other.keywords());
  for (UidRange range : uids) {
    for (;;) {
      std::vector<MessageRow> slice;
      other.scan(from, range, kWantEntry, [&](const MessageRow& row) {
        slice.push_back(row);
        return slice.size() < kSlice;
      });
      for (const MessageRow& row : slice) {
        if (auto refused = no_room(row.size, quota)) return tl::unexpected(*std::move(refused));
        auto flags = keywords.map(Flags(row.flags.bits() & kept));
        if (!flags) return tl::unexpected(flags.error());
        MessageId id = next_message_++;
        if (!copy_message(other, row.message, id)) continue;
        Uid uid = target->mailbox.uid_next++;
        flags = entering(*target, uid, *flags);
        insert_entry(to, uid, *flags, id, row.size);
        count_message(*target, *flags, row.size, +1);
        append_uid(target->added, uid);
        append_uid(copied.from, row.uid);
        append_uid(copied.to, uid);
      }
      if (slice.size() < kSlice || slice.back().uid >= range.last) break;
      range.first = slice.back().uid + 1;
    }
  }
  return copied;
}

}  // namespace postrider::store
