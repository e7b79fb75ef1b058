// What others did to the selected mailbox, told between a command's own responses and its tagged one (RFC 3501 5.2, 7).
#include <algorithm>

#include "common/base/log.h"
#include "imapd/fetch.h"
#include "imapd/session.h"

namespace postrider::imap {

using store::UidRange;
using store::UidRanges;

void Session::report_changes(store::Account& account, const OwnFlags& own) {
  if (!view_) return;
  if (account.id() != selected_.account) {
    auto lease = open(selected_.account);
    return report_changes(*lease, own);
  }
  if (!allows(store::right::kRead)) return;
  // Searches that are kept up to date have to be told of our own changes, too.
  const store::ModSeq known = contexts_.empty() ? own.modseq : 0;
  store::MailboxChanges changes = account.changes_since(view_->mailbox(), view_->modseq(), known);
  if (changes.log_lost) changes = changes_from_snapshot(account);
  if (changes.mailbox_gone) changes.expunged = view_->uids();
  view_->set_modseq(changes.modseq);
  report_url_key(account);

  UidRanges& held = view_->held_expunges();
  held.insert(held.end(), changes.expunged.begin(), changes.expunged.end());
  if (!has_flag(kNumbers)) report_expunged(std::exchange(held, {}));

  uint32_t before = view_->count();
  view_->add(changes.added);
  if (view_->count() != before) {
    take_recent(changes.added);
    report_count();
  }
  const NotifyGroup* wanted = notify_ ? notify_->selected() : nullptr;
  if (wanted != nullptr && !wanted->items.empty())
    new_uids_.insert(new_uids_.end(), changes.added.begin(), changes.added.end());
  if (wanted == nullptr || (wanted->events & kFlagChange) != 0) report_flags(account, changes.flags, own);
  if (contexts_.empty()) return;
  update_contexts(account, changes.added);
  update_contexts(account, changes.flags);
}

/// Somebody said RESETKEY (RFC 4467 7).
void Session::report_url_key(store::Account& account) {
  std::string key = account.url_key(view_->mailbox());
  if (!url_key_.empty() && key != url_key_) untagged(kUrlMechanisms);
  url_key_ = std::move(key);
}

void Session::report_count() {
  append_format(out_, "* {} EXISTS\r\n", view_->count());
  if (!rev2_) append_format(out_, "* {} RECENT\r\n", view_->recent());
}

/// From the last to the first, so that no number changes before it was said.
void Session::report_expunged(const UidRanges& uids) {
  if (uids.empty()) return;
  NumberRanges numbers = view_->known(store::normalize(uids));
  leave_contexts(store::normalize(uids));
  if ((qresync_ || uid_only_) && !numbers.empty()) {
    untagged("VANISHED " + store::format_ranges(view_->known_uids(store::normalize(uids))));
    numbers.clear();
  }
  for (auto range = numbers.rbegin(); range != numbers.rend(); ++range) {
    for (uint32_t number = range->last; number >= range->first; --number)
      append_format(out_, "* {} EXPUNGE\r\n", number);
  }
  view_->remove(store::normalize(uids));
}

void Session::report_flags(store::Account& account, const UidRanges& uids, const OwnFlags& own) {
  auto visit = [&](const store::MessageRow& row) {
    uint32_t number = view_->number_of(row.uid);
    bool ours = row.modseq == own.modseq && contains(own.uids, row.uid);
    if (number == 0 || ours) return true;
    if (!view_->knows_keywords_of(row.flags)) announce_keywords(account);
    append_fetch_head(out_, number, row.uid, uid_only_);
    if (!uid_only_) append_format(out_, "UID {} ", row.uid);
    out_ += "FLAGS ";
    append_flags(out_, row.flags.bits(), view_->keywords(), store::Flags::kFirstKeywordBit, view_->is_recent(row.uid));
    if (condstore_) append_format(out_, " MODSEQ ({})", row.modseq);
    out_ += ")\r\n";
    return true;
  };
  for (const UidRange& range : uids) account.scan(view_->mailbox(), range, store::kWantEntry, visit);
}

/// The change log does not reach back far enough: what is there is compared with what the client knows.
store::MailboxChanges Session::changes_from_snapshot(store::Account& account) {
  store::MailboxChanges changes;
  auto snapshot = account.snapshot(view_->mailbox());
  if (!snapshot) {
    changes.mailbox_gone = true;
    changes.modseq = view_->modseq();
    return changes;
  }
  changes.modseq = snapshot->modseq;
  if (snapshot->mailbox.uid_validity != view_->uid_validity()) {
    // UIDs that come back may lie between those that are known here, and no response can say so: a new session does.
    untagged("BYE This mailbox was restored by its administrator. Connect again to see it.");
    state_ = kLogout;
    return changes;
  }
  changes.expunged = store::subtract(view_->uids(), snapshot->uids);
  changes.added = store::subtract(snapshot->uids, view_->uids());
  auto changed = [&](const store::MessageRow& row) {
    if (row.modseq > view_->modseq()) store::append_uid(changes.flags, row.uid);
    return true;
  };
  account.scan(view_->mailbox(), {1, view_->last_uid()}, store::kWantEntry, changed);
  return changes;
}

/// Says FLAGS and PERMANENTFLAGS again: somebody made a keyword (RFC 3501 7.2.6).
void Session::announce_keywords(store::Account& account) {
  view_->set_keywords(account.keywords());
  append_flag_lists();
}

void Session::append_flag_lists() {
  constexpr uint64_t kSystem = flag::kSeen | flag::kAnswered | flag::kFlagged | flag::kDeleted | flag::kDraft;
  constexpr uint64_t kAll = kSystem | ~uint64_t{0} << store::Flags::kFirstKeywordBit;
  uint64_t changeable = kAll & store::changeable_flags(selected_rights_);
  out_ += "* FLAGS ";
  append_flags(out_, kAll, view_->keywords(), store::Flags::kFirstKeywordBit, false);
  out_ += "\r\n* OK [PERMANENTFLAGS ";
  if (view_->read_only()) changeable = 0;
  append_flags(out_, changeable, view_->keywords(), store::Flags::kFirstKeywordBit, false);
  if (changeable >> store::Flags::kFirstKeywordBit != 0) {
    out_.back() = ' ';
    out_ += "\\*)";
  }
  out_ += "] Flags that last.\r\n";
}

/// Of what the client is told of now, that is \Recent which no other session was told of.
void Session::take_recent(const UidRanges& uids) {
  if (rev2_) return;
  view_->add_recent(services_.recents.untold(selected_.account, view_->mailbox(), uids, !view_->read_only()));
  if (!uids.empty()) last_recent_ = std::max(last_recent_, uids.back().last);
}

void Session::claim_recent(store::Account& account, store::MailboxId mailbox, store::Uid last) {
  try {
    store::Edit edit(account);
    edit.claim_recent(mailbox, last);
    edit.commit();
  } catch (const store::SqliteError& error) {
    log_warn("recent_not_claimed", {{"account", account.id()}, {"error", error.what()}});  // a full disk is for reading
  }
}

/// Leaves the mailbox. What came in meanwhile was recent here, and is so nowhere else (RFC 3501 2.3.2); nobody waits
/// for that to be written.
void Session::deselect() {
  if (!view_) return;
  if (last_recent_ != 0 && !view_->read_only()) {
    auto claim = [&accounts = services_.accounts, id = selected_.account, mailbox = view_->mailbox(),
                  last = last_recent_] {
      auto account = accounts.open(id);
      claim_recent(*account, mailbox, last);
    };
    services_.workers.post(claim);
  }
  last_recent_ = 0;
  new_uids_.clear();
  contexts_.clear();
  url_key_.clear();
  if (!selected_.own()) services_.registry.unwatch(selected_.account, loop_, *this);
  view_.reset();
  if (state_ == kSelected) state_ = kAuthenticated;
}

}  // namespace postrider::imap
