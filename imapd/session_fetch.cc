// FETCH and UID FETCH (RFC 3501 6.4.5, RFC 7162 3.1.4).
#include "imapd/fetch.h"
#include "imapd/session.h"

namespace postrider::imap {

asio::awaitable<Reply> Session::fetch(Cursor& arguments) {
  FetchCommand command;
  if (!parse_fetch(arguments, command)) co_return Reply::refused(arguments);
  bool uids = has_flag(kUids);
  if (!uids) {
    if (auto wrong = check_numbers(command.set)) co_return *wrong;
  }
  FetchOptions options;
  options.uid = uids;
  if (command.changed_since) {
    options.changed_since = static_cast<store::ModSeq>(*command.changed_since);
    options.modseq = true;
    enable_condstore();
  }
  for (const FetchItem& item : command.items) {
    if (item.kind == FetchItem::Kind::modseq) enable_condstore();
  }
  auto announce = [this](store::Account& account) { announce_keywords(account); };
  FetchRun run(std::move(command.items), options, *view_, view_->numbers(command.set, uids), announce);
  co_await fetch_all(run);
  if (!run.some_were_gone()) co_return Reply::ok("That is all.");
  Reply reply = Reply::ok("That is all; some messages are gone.");
  co_return uids ? reply : reply.code("EXPUNGEISSUED");
}

asio::awaitable<void> Session::fetch_all(FetchRun& run) {
  bool first = true, more = true, changed = false;
  OwnFlags own;
  auto job = [&](store::Account& account) {
    if (std::exchange(first, false) && run.sets_seen() && !view_->read_only()) {
      own = set_seen(account, run.spans());
      changed = !own.uids.empty();
      run.tell_flags_of(own.uids);
    }
    more = run.fill(account, out_);
    if (!more) report_changes(account, own);
  };
  while (more) {
    co_await on_account(job);
    if (std::exchange(changed, false)) tell_others();
    if (more) co_await send();
  }
}

/// Flushed, like everything a client is told; nothing is written where all were seen before.
OwnFlags Session::set_seen(store::Account& account, const store::UidRanges& uids) {
  OwnFlags own;
  bool unseen = false;
  for (const store::UidRange& range : uids) {
    account.scan(view_->mailbox(), range, store::kWantEntry, [&](const store::MessageRow& row) {
      unseen = !row.flags.has(store::Flags::kSeen);
      return !unseen;
    });
    if (unseen) break;
  }
  if (!unseen) return own;
  store::Edit edit(account);
  own.uids =
      edit.store_flags(view_->mailbox(), uids, store::FlagChange::add, store::Flags(store::Flags::kSeen), {}).changed;
  own.modseq = edit.modseq();
  edit.commit_flushed();
  return own;
}

}  // namespace postrider::imap
