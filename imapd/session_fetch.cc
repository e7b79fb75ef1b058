// FETCH and UID FETCH (RFC 9051 6.4.5; RFC 7162 3.1.4, 3.2.6; RFC 9394 3.3).
#include <algorithm>

#include "imapd/fetch.h"
#include "imapd/search_result.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

/// Those of the messages whose places were asked for.
NumberRanges part_of(const NumberRanges& numbers, const Positions& positions) {
  size_t count = 0;
  for (const NumberRange& range : numbers) count += range.last - range.first + 1;
  Stretch stretch = stretch_of(positions, count);
  NumberRanges part;
  size_t before = 0;
  for (const NumberRange& range : numbers) {
    size_t size = range.last - range.first + 1;
    size_t first = std::clamp(stretch.first, before, before + size) - before;
    size_t last = std::clamp(stretch.last, before, before + size) - before;
    if (first < last)
      part.push_back({range.first + static_cast<uint32_t>(first), range.first + static_cast<uint32_t>(last) - 1});
    before += size;
  }
  return part;
}

}  // namespace

asio::awaitable<Reply> Session::fetch(Cursor& arguments) {
  FetchCommand command;
  if (!parse_fetch(arguments, command)) co_return Reply::refused(arguments);
  bool uids = has_flag(kUids);
  if (!uids) {
    if (auto wrong = check_numbers(command.set)) co_return *wrong;
  }
  if ((command.vanished || command.partial) && !uids) co_return Reply::bad("VANISHED and PARTIAL are for UID FETCH.");
  if (command.vanished && !(qresync_ && command.changed_since))
    co_return Reply::bad("VANISHED goes with CHANGEDSINCE, after ENABLE QRESYNC.");
  FetchOptions options;
  options.uid = uids;
  options.uid_only = uid_only_;
  if (command.changed_since) {
    options.changed_since = static_cast<store::ModSeq>(*command.changed_since);
    options.modseq = true;
    enable_condstore();
  }
  for (const FetchItem& item : command.items) {
    if (item.kind == FetchItem::Kind::modseq) enable_condstore();
  }
  if (command.vanished) co_await tell_vanished(command.set, *options.changed_since);
  auto announce = [this](store::Account& account) { announce_keywords(account); };
  NumberRanges numbers = view_->numbers(command.set, uids);
  MessageLimit limit = message_limit();
  if (command.partial) {
    auto [first, last] = std::minmax(command.partial->first, command.partial->last);
    if (limit.exceeded_by(static_cast<uint64_t>(last - first) + 1)) co_return limit.refusal();
    numbers = part_of(numbers, *command.partial);
  }
  limit.cut(numbers, *view_);
  options.descending = limit.was_cut();
  FetchRun run(std::move(command.items), options, *view_, numbers, announce);
  co_await fetch_all(run);
  co_return limit.tell(fetched(run), out_);
}

Reply Session::fetched(const FetchRun& run) const {
  if (run.unknown_encoding()) {
    Reply reply = Reply::no("A part has a transfer encoding that nobody here knows; BODY[] gives it as it is.");
    return reply.code("UNKNOWN-CTE");
  }
  if (!run.some_were_gone()) return Reply::ok("That is all.");
  Reply reply = Reply::ok("That is all; some messages are gone.");
  return has_flag(kUids) ? reply : reply.code("EXPUNGEISSUED");
}

/// The UIDs of the set that were expunged since (RFC 7162 3.2.6).
asio::awaitable<void> Session::tell_vanished(SequenceSet set, store::ModSeq since) {
  store::MissedChanges missed;
  store::Uid last = 0;
  auto job = [&](store::Account& account) {
    auto mailbox = account.mailbox(view_->mailbox());
    if (!mailbox) return;
    last = mailbox->uid_next - 1;
    missed = account.missed_since(view_->mailbox(), since);
  };
  co_await on_selected(job);
  store::UidRanges asked;
  for (const NumberRange& range : set.resolve(last)) {
    if (range.first <= last) asked.push_back({range.first, std::min(range.last, last)});
  }
  store::UidRanges present = view_->uids();
  store::UidRanges gone = store::subtract(asked, present);
  if (!missed.log_lost) gone = store::subtract(gone, store::subtract(gone, missed.expunged));
  report_vanished_earlier(gone);
}

asio::awaitable<void> Session::fetch_all(FetchRun& run) {
  bool first = true, more = true, changed = false;
  OwnFlags own;
  auto job = [&](store::Account& account) {
    if (std::exchange(first, false) && run.sets_seen() && !view_->read_only() && allows(store::right::kSeen)) {
      own = set_seen(account, run.spans());
      changed = !own.uids.empty();
      run.tell_flags_of(own.uids);
    }
    more = run.fill(account, out_);
    if (!more) report_changes(account, own);
  };
  while (more) {
    co_await on_selected(job);
    if (std::exchange(changed, false)) tell_others(selected_.account);
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
