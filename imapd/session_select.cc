// SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 6.3.2, 6.3.3, 6.4.1, 6.4.2; RFC 7162 3.2.5).
#include "imapd/fetch.h"
#include "imapd/list.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

store::UidRanges as_uids(const NumberRanges& ranges) {
  store::UidRanges uids;
  for (const NumberRange& range : ranges) uids.push_back({range.first, range.last});
  return uids;
}

store::UidRanges intersect(const store::UidRanges& a, const store::UidRanges& b) {
  return store::subtract(a, store::subtract(a, b));
}

}  // namespace

asio::awaitable<Reply> Session::select(Cursor& arguments) {
  SelectCommand command;
  bool readable = parse_select(arguments, command);
  if (readable && command.resync && !qresync_) co_return Reply::bad("Say ENABLE QRESYNC first.");
  // Even a SELECT that fails leaves the mailbox that was selected (RFC 3501 6.3.1).
  if (view_ && readable) untagged("OK [CLOSED] The mailbox before is closed.");
  if (readable) deselect();
  if (!readable) co_return Reply::refused(arguments);
  if (command.condstore) condstore_ = true;
  bool read_only = has_flag(kReadOnly);
  std::optional<store::MailboxSnapshot> snapshot;
  std::optional<Reply> refused;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = permitted(account, place, store::right::kRead);
    if (mailbox) snapshot = account.snapshot(mailbox->id);
    if (!snapshot) {
      refused = reply_for(mailbox ? no_such_mailbox() : mailbox.error());
      return;
    }
    selected_ = place;
    selected_rights_ = account.rights_of(mailbox->id, account_->id);
    // RFC 4314 5.2: who may change nothing there has it read-only.
    constexpr store::Rights kChange = store::right::kFlags | store::right::kInsert | store::right::kExpunge;
    read_only |= (selected_rights_ & kChange) == 0;
    // What was expunged elsewhere is only looked at, and moved out again.
    read_only |= snapshot->mailbox.shows_expunged;
    view_.emplace(*snapshot, account.keywords(), read_only, place.own() ? 0 : place.account);
    url_key_ = account.url_key(mailbox->id);
    if (place.own()) warn_of_quota(account);
    const store::Mailbox& told = snapshot->mailbox;
    if (told.first_recent >= told.uid_next) return;
    take_recent({{told.first_recent, told.uid_next - 1}});
    if (rev2_ || read_only) return;
    claim_recent(account, mailbox->id, told.uid_next - 1);
    last_recent_ = 0;
  };
  co_await on_mailbox(command.mailbox, job);
  if (refused) co_return *refused;
  if (!selected_.own()) services_.registry.watch(selected_.account, loop_, *this);
  Reply reply = describe_selected(*snapshot);
  bool same = command.resync && command.resync->uid_validity == snapshot->mailbox.uid_validity;
  if (same) co_await tell_missed(*snapshot, *command.resync);
  co_return reply;
}

Reply Session::describe_selected(const store::MailboxSnapshot& snapshot) {
  const store::Mailbox& mailbox = snapshot.mailbox;
  append_flag_lists();
  report_count();
  if (snapshot.first_unseen != 0 && !rev2_ && !uid_only_) {
    append_format(out_, "* OK [UNSEEN {}] The first unseen message.\r\n", view_->number_of(snapshot.first_unseen));
  }
  append_format(out_, "* OK [UIDVALIDITY {}] UIDs are valid.\r\n* OK [UIDNEXT {}] The next UID.\r\n",
                view_->uid_validity(), mailbox.uid_next);
  append_format(out_, "* OK [HIGHESTMODSEQ {}] The latest change.\r\n",
                std::max<store::ModSeq>(mailbox.highest_modseq, 1));
  untagged(kUrlMechanisms);
  append_format(out_, "* OK [MAILBOXID ({})] What stays when the name changes.\r\n",
                mailbox_id(mailbox.id, view_->owner()));
  if (rev2_)
    append_selected_name(out_, selected_.prefix + mailbox.name, selected_.own() ? mailbox.special_use : "", utf8_);
  state_ = kSelected;
  return Reply::ok("Selected.").code(view_->read_only() ? "READ-ONLY" : "READ-WRITE");
}

/// What happened while the client was away (RFC 7162 3.2.5): first what is gone, then what is new or has other flags.
asio::awaitable<void> Session::tell_missed(const store::MailboxSnapshot& snapshot, const Resync& resync) {
  auto since = static_cast<store::ModSeq>(resync.modseq);
  store::Uid last = snapshot.mailbox.uid_next - 1;
  if (last == 0) co_return;
  store::UidRanges known = {{1, last}};
  if (resync.known) known = as_uids(resync.known->resolve(last));
  store::MissedChanges missed;
  auto job = [&](store::Account& account) { missed = account.missed_since(view_->mailbox(), since); };
  co_await on_selected(job);
  // What is not there was there once, or never: where the log is too short, both are told (RFC 7162 3.2.10.1).
  store::UidRanges gone = missed.log_lost ? known : intersect(missed.expunged, known);
  report_vanished_earlier(store::subtract(gone, view_->uids()));
  store::UidRanges changed = missed.log_lost ? view_->uids() : missed.changed;
  std::vector<FetchItem> items(2);
  items[0].kind = FetchItem::Kind::uid;
  items[1].kind = FetchItem::Kind::flags;
  FetchOptions options;
  options.uid = options.modseq = true;
  options.uid_only = uid_only_;
  options.changed_since = since;
  auto announce = [this](store::Account& account) { announce_keywords(account); };
  FetchRun run(std::move(items), options, *view_, view_->known(intersect(changed, known)), announce);
  co_await fetch_all(run);
}

void Session::report_vanished_earlier(const store::UidRanges& uids) {
  if (!uids.empty()) untagged("VANISHED (EARLIER) " + store::format_ranges(uids));
}

asio::awaitable<Reply> Session::close(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  std::optional<store::Flushed> flushed;
  store::ModSeq modseq = 0;
  if (!view_->read_only() && allows(store::right::kExpunge)) {
    auto job = [&](store::Account& account) {
      auto mailbox = account.mailbox(view_->mailbox());
      if (!mailbox || mailbox->deleted == 0) return;
      store::Edit edit(account);
      edit.expunge(view_->mailbox(), nullptr);
      modseq = edit.modseq();
      flushed = edit.commit_flushed();
    };
    co_await on_selected(job);
  }
  store::AccountId whose = selected_.account;
  deselect();
  if (!flushed) co_return Reply::ok("Closed.");
  tell_others(whose);
  Reply reply = Reply::done(*flushed, "Closed.");
  if (qresync_) reply.code(fmt::format("HIGHESTMODSEQ {}", modseq));
  co_return reply;
}

asio::awaitable<Reply> Session::unselect(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  deselect();
  co_return Reply::ok("Closed; nothing was expunged.");
}

}  // namespace postrider::imap
