#include "store/audit_account.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/account_schema.h"
#include "store/maintenance.h"

namespace postrider::store {
namespace {

constexpr UnixTime kDay = 86'400;

bool before(const Placed& a, const Placed& b) {
  return std::pair(a.mailbox, a.uid) < std::pair(b.mailbox, b.uid);
}

}  // namespace

struct AccountAudit::Box {
  std::string name;
  int64_t messages = 0, octets = 0;  // as it says itself
  int64_t found = 0, found_octets = 0;
  UidRanges added, expunged;
};

AccountAudit::AccountAudit(const std::string& path, const Clock& clock)
    : clock_(clock), database_(path, OpenMode::must_exist, Sync::normal) {}

bool AccountAudit::is_delivered(QueueId message) {
  Rows rows(database_.prepare("SELECT 1 FROM delivery WHERE id = ?1").bind(message));
  return rows.next();
}

bool AccountAudit::is_gone(MailboxId mailbox) {
  Rows rows(database_.prepare("SELECT gone FROM mailbox WHERE id = ?1").bind(mailbox));
  return !rows.next() || rows->integer(0) != 0;
}

std::string AccountAudit::mailbox_name(MailboxId mailbox) {
  Rows rows(database_.prepare("SELECT name FROM mailbox WHERE id = ?1").bind(mailbox));
  return rows.next() ? std::string(rows->text(0)) : std::string();
}

AccountAudit::Judged AccountAudit::judge(std::span<const Placed> placed, std::vector<Placed>& missing,
                                         const Lost& lost) {
  static const std::string entry_sql =
      "SELECT " + std::string(kIsWhole) + " FROM entry e WHERE e.mailbox = ?1 AND e.uid = ?2";
  const UnixTime remembered = clock_.unix_time() - kLogKept + kDay;
  Judged judged;
  ReadTransaction snapshot(database_);
  for (const Placed& one : placed) {
    if (!is_delivered(one.message)) {
      if (one.time < remembered) {
        ++judged.unjudged;
      } else {
        lost(one, Loss::delivery);
      }
      continue;
    }
    if (one.uid == 0) continue;  // compare() finds it where it is missing
    Rows rows(database_.prepare(entry_sql).bind(one.mailbox, one.uid));
    if (!rows.next()) {
      missing.push_back(one);
    } else if (rows->integer(0) == 0) {
      lost(one, Loss::content);
    }
  }
  return judged;
}

/// Only its owner takes it out of there: the tombstone, the mailbox, or the log tells.
AccountAudit::Judged AccountAudit::explain(std::vector<Placed> missing, const Lost& lost) {
  Judged judged;
  ReadTransaction snapshot(database_);
  judged.moved_on += static_cast<int64_t>(missing.size());
  std::sort(missing.begin(), missing.end(), before);
  find_in(database_.prepare("SELECT mailbox, uid FROM expunged"), missing);
  std::erase_if(missing, [this](const Placed& one) { return is_gone(one.mailbox); });
  find_in_log(missing);
  for (const Placed& one : missing) {
    --judged.moved_on;
    if (is_before_log(one.time)) {
      ++judged.unjudged;
    } else {
      lost(one, Loss::entry);
    }
  }
  return judged;
}

/// Takes out of missing, which is sorted, what the rows (mailbox, UID) name.
void AccountAudit::find_in(Statement& statement, std::vector<Placed>& missing) {
  std::vector<bool> found(missing.size());
  Rows rows(statement);
  while (rows.next()) {
    Placed wanted;
    wanted.mailbox = rows->integer(0);
    wanted.uid = static_cast<Uid>(rows->integer(1));
    const auto at = std::lower_bound(missing.begin(), missing.end(), wanted, before);
    for (auto it = at; it != missing.end() && !before(wanted, *it); ++it)
      found[static_cast<size_t>(it - missing.begin())] = true;
  }
  size_t index = 0;
  std::erase_if(missing, [&](const Placed&) { return found[index++]; });
}

/// The same, with what the log says was expunged: also what was moved elsewhere, and what was purged since.
void AccountAudit::find_in_log(std::vector<Placed>& missing) {
  if (missing.empty()) return;
  std::vector<bool> found(missing.size());
  Rows rows(database_.prepare("SELECT mailbox, uids FROM change WHERE kind = 2"));
  while (rows.next()) {
    Placed wanted;
    wanted.mailbox = rows->integer(0);
    for (const UidRange& range : parse_ranges(rows->text(1))) {
      wanted.uid = range.first;
      auto it = std::lower_bound(missing.begin(), missing.end(), wanted, before);
      for (; it != missing.end() && it->mailbox == wanted.mailbox && it->uid <= range.last; ++it)
        found[static_cast<size_t>(it - missing.begin())] = true;
    }
  }
  size_t index = 0;
  std::erase_if(missing, [&](const Placed&) { return found[index++]; });
}

/// Whether what happened at that time may be forgotten.
bool AccountAudit::is_before_log(UnixTime time) {
  Rows rows(
      database_.prepare("SELECT (SELECT min(time) FROM change WHERE modseq > log_floor) FROM state"
                        " WHERE log_floor > 0"));
  return rows.next() && (rows->is_null(0) || time <= rows->integer(0));
}

bool AccountAudit::compare(const std::function<void(const Gap&)>& visit) {
  std::map<MailboxId, Box> boxes;
  ReadTransaction snapshot(database_);
  {
    Rows rows(database_.prepare("SELECT id, name, messages, size FROM mailbox WHERE gone = 0"));
    while (rows.next()) {
      Box& box = boxes[rows->integer(0)];
      box.name = rows->text(1);
      box.messages = rows->integer(2);
      box.octets = rows->integer(3);
    }
  }
  {
    Rows rows(database_.prepare("SELECT mailbox, count(*), sum(size) FROM entry GROUP BY mailbox"));
    while (rows.next()) {
      auto box = boxes.find(rows->integer(0));
      if (box == boxes.end()) continue;
      box->second.found = rows->integer(1);
      box->second.found_octets = rows->integer(2);
    }
  }
  const bool whole_log = read_log(boxes);
  for (auto& [id, box] : boxes) {
    Gap gap{box.name, {}, box.messages, box.found, box.octets != box.found_octets};
    if (whole_log)
      gap.lost = lost_of(id, subtract(normalize(std::move(box.added)), normalize(std::move(box.expunged))));
    if (!gap.lost.empty() || gap.stated != gap.found || gap.octets) visit(gap);
  }
  return whole_log;
}

/// What came and what went, by the log; false where that is too much for the memory.
bool AccountAudit::read_log(std::map<MailboxId, Box>& boxes) {
  size_t runs = 0;
  Rows rows(
      database_.prepare("SELECT mailbox, kind, uids FROM change WHERE modseq > (SELECT log_floor FROM state)"
                        " AND kind IN (1, 2) ORDER BY modseq"));
  while (rows.next()) {
    auto box = boxes.find(rows->integer(0));
    if (box == boxes.end()) continue;
    UidRanges& into = rows->integer(1) == 1 ? box->second.added : box->second.expunged;
    for (const UidRange& range : parse_ranges(rows->text(2))) {
      if (!into.empty() && into.back().last + 1 == range.first) {
        into.back().last = range.last;
      } else {
        into.push_back(range);
        ++runs;
      }
    }
    if (runs > kMaxAuditRuns) return false;
  }
  return true;
}

/// What of that is in no entry.
UidRanges AccountAudit::lost_of(MailboxId mailbox, const UidRanges& expected) {
  UidRanges lost;
  for (const UidRange& range : expected) {
    Uid next = range.first;
    auto take_until = [&](Uid end) {  // what is before end
      if (next < end) lost.push_back({next, end - 1});
    };
    Rows rows(database_.prepare("SELECT uid FROM entry WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid")
                  .bind(mailbox, range.first, range.last));
    while (rows.next()) {
      const auto uid = static_cast<Uid>(rows->integer(0));
      take_until(uid);
      next = uid + 1;
    }
    take_until(range.last + 1);
    if (lost.size() >= kMaxNamedUids) break;
  }
  return lost;
}

size_t AccountAudit::check_parts(bool texts, const std::function<void(const std::string& mailbox, Uid uid)>& visit) {
  static const std::string sql = fmt::format(
      "SELECT e.mailbox, e.uid, {} AND (NOT ?4 OR {}) FROM entry e WHERE (e.mailbox, e.uid) > (?1, ?2) "
      "ORDER BY e.mailbox, e.uid LIMIT ?3",
      kIsWhole, kIsUnchanged);
  size_t seen = 0;
  std::vector<std::pair<MailboxId, Uid>> broken;
  {
    Rows rows(database_.prepare(sql).bind(mailbox_, uid_, kMaxAuditEntries, texts));
    while (rows.next()) {
      ++seen;
      mailbox_ = rows->integer(0);
      uid_ = static_cast<Uid>(rows->integer(1));
      if (rows->integer(2) == 0) broken.emplace_back(mailbox_, uid_);
    }
  }
  for (const auto& [mailbox, uid] : broken) visit(mailbox_name(mailbox), uid);
  return seen;
}

}  // namespace postrider::store
