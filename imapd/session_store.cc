// STORE, COPY, MOVE, EXPUNGE (RFC 3501 6.4.3, 6.4.6, 6.4.7; RFC 4315, RFC 6851, RFC 7162 3.1.3).
#include "imapd/fetch.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

static_assert(flag::kSeen == store::Flags::kSeen && flag::kAnswered == store::Flags::kAnswered &&
              flag::kFlagged == store::Flags::kFlagged && flag::kDeleted == store::Flags::kDeleted &&
              flag::kDraft == store::Flags::kDraft);

store::FlagChange change_of(StoreCommand::Action action) {
  switch (action) {
    case StoreCommand::Action::add:
      return store::FlagChange::add;
    case StoreCommand::Action::remove:
      return store::FlagChange::remove;
    case StoreCommand::Action::replace:
      break;
  }
  return store::FlagChange::replace;
}

std::string set_text(const store::UidRanges& uids) {
  NumberRanges ranges;
  for (const store::UidRange& range : uids) ranges.push_back({range.first, range.last});
  return format_set(ranges);
}

Reply read_only_reply() {
  return Reply::no("The mailbox was opened with EXAMINE; it is read only.");
}

}  // namespace

/// Message numbers that do not exist are a mistake of the client (RFC 3501 9, seq-number).
std::optional<Reply> Session::check_numbers(const SequenceSet& set) const {
  if (set.saved || set.greatest_written() <= std::max<uint32_t>(view_->count(), 1)) return std::nullopt;
  return Reply::bad(fmt::format("There are {} messages, and the set names one beyond them.", view_->count()));
}

/// The first time, with a mailbox open, says from where on changes can be asked for (RFC 7162 3.1.2).
void Session::enable_condstore() {
  if (!condstore_ && view_) untagged(fmt::format("OK [HIGHESTMODSEQ {}] The latest change.", view_->modseq()));
  condstore_ = true;
}

asio::awaitable<Reply> Session::store(Cursor& arguments) {
  StoreCommand command;
  if (!parse_store(arguments, command)) co_return Reply::refused(arguments);
  bool uids = has_flag(kUids);
  if (!uids) {
    if (auto wrong = check_numbers(command.set)) co_return *wrong;
  }
  if (view_->read_only()) co_return read_only_reply();
  if (!keep_changeable(command)) co_return reply_for(no_permission("You may not change these flags here."));
  if (command.unchanged_since) enable_condstore();
  std::vector<FetchItem> items;
  if (!command.silent) items.emplace_back().kind = FetchItem::Kind::flags;
  FetchOptions options;
  options.uid = uids || condstore_;
  options.uid_only = uid_only_;
  options.modseq = condstore_;
  auto announce = [this](store::Account& account) { announce_keywords(account); };
  NumberRanges numbers = view_->numbers(command.set, uids);
  MessageLimit limit = message_limit();
  limit.cut(numbers, *view_);
  options.descending = limit.was_cut();
  FetchRun run(std::move(items), options, *view_, numbers, announce);

  StoreOutcome outcome;
  bool first = true, more = true;
  auto job = [&](store::Account& account) {
    if (std::exchange(first, false)) {
      report_changes(account);  // others' changes up to now are told as such
      outcome = change_flags(account, command, run.spans());
      if (outcome.refused) {
        more = false;
        return;
      }
    }
    more = (!command.silent || condstore_) && run.fill(account, out_);
    if (!more) report_changes(account, outcome.own);
  };
  bool told = false;
  while (more) {
    co_await on_selected(job);
    if (!std::exchange(told, true) && !outcome.own.uids.empty()) tell_others(selected_.account);
    if (more) co_await send();
  }
  if (outcome.refused) co_return *outcome.refused;
  Reply reply =
      outcome.flushed ? Reply::done(*outcome.flushed, "Done.") : Reply::ok("Done; nothing had to be changed.");
  if (!outcome.modified.empty()) {
    std::string set = uids ? set_text(outcome.modified) : format_set(view_->known(outcome.modified));
    reply.code("MODIFIED " + set);
  }
  if (run.some_were_gone() && !uids && outcome.modified.empty()) reply.code("EXPUNGEISSUED");
  co_return limit.tell(std::move(reply), out_);
}

/// Leaves out of the command the flags that the user may not change here; they stay as they are. False: nothing is left
/// (RFC 4314 4).
bool Session::keep_changeable(StoreCommand& command) const {
  uint64_t changeable = store::changeable_flags(selected_rights_);
  bool named = command.flags.system != 0 || !command.flags.keywords.empty();
  command.flags.system &= static_cast<uint8_t>(changeable);
  if (!allows(store::right::kWrite)) command.flags.keywords.clear();
  bool left = command.flags.system != 0 || !command.flags.keywords.empty();
  return left || !named || (command.action == StoreCommand::Action::replace && changeable != 0);
}

/// A client that sets \Seen on what is seen need not wait for the writer's lock and the disk.
bool Session::would_change(store::Account& account, const StoreCommand& command, const store::UidRanges& spans) const {
  if (command.unchanged_since || !command.flags.keywords.empty()) return true;
  uint64_t bits = command.flags.system;
  uint64_t changeable = store::changeable_flags(selected_rights_);
  bool change = false;
  for (const store::UidRange& range : spans) {
    account.scan(view_->mailbox(), range, store::kWantEntry, [&](const store::MessageRow& row) {
      uint64_t now = row.flags.bits();
      switch (command.action) {
        case StoreCommand::Action::add:
          change = (now & bits) != bits;
          break;
        case StoreCommand::Action::remove:
          change = (now & bits) != 0;
          break;
        case StoreCommand::Action::replace:
          change = ((now ^ bits) & changeable) != 0;
          break;
      }
      return !change;
    });
    if (change) break;
  }
  return change;
}

Session::StoreOutcome Session::change_flags(store::Account& account, const StoreCommand& command,
                                            const store::UidRanges& spans) {
  StoreOutcome outcome;
  if (!would_change(account, command, spans)) return outcome;
  store::FlagChange change = change_of(command.action);
  store::Edit edit(account);
  auto keywords = edit.keyword_bits(command.flags.keywords);
  if (!keywords) {
    outcome.refused = reply_for(keywords.error());
    return outcome;
  }
  std::optional<store::ModSeq> limit;
  if (command.unchanged_since) limit = static_cast<store::ModSeq>(*command.unchanged_since);
  auto stored = edit.store_flags(view_->mailbox(), spans, change, keywords->with(command.flags.system), limit,
                                 store::changeable_flags(selected_rights_));
  outcome.own = OwnFlags{std::move(stored.changed), edit.modseq()};
  outcome.modified = std::move(stored.modified);
  outcome.flushed = edit.commit_flushed();
  if (!view_->knows_keywords_of(*keywords)) announce_keywords(account);
  return outcome;
}

asio::awaitable<Reply> Session::copy(Cursor& arguments) {
  CopyCommand command;
  if (!parse_copy(arguments, command)) co_return Reply::refused(arguments);
  bool uids = has_flag(kUids), move = has_flag(kMove);
  if (!uids) {
    if (auto wrong = check_numbers(command.set)) co_return *wrong;
  }
  constexpr store::Rights kTakeAway = store::right::kDeleteMessages | store::right::kExpunge;
  if (move && !allows(kTakeAway))
    co_return reply_for(no_permission("You may not remove messages from the selected mailbox."));
  NumberRanges numbers = view_->numbers(command.set, uids);
  // COPY does all or nothing; MOVE may do a part (RFC 9738 3.1).
  MessageLimit limit = move ? message_limit() : save_limit();
  limit.cut(numbers, *view_);
  if (!move && limit.was_cut()) co_return limit.refusal();
  store::UidRanges spans = view_->spans(numbers);
  std::optional<Reply> reply;
  store::AccountId whose = 0;
  auto job = [&](store::Account& account) {
    // Out of the mailbox that shows what was expunged, messages may go where they were.
    if (move && view_->read_only() && account.expunged_mailbox() != view_->mailbox()) {
      reply = read_only_reply();
      return;
    }
    Place place = find_place(command.mailbox);
    whose = place.account;
    auto target = open(whose);
    Copied copied = copy_messages(account, spans, *target, place, move);
    if (!copied) {
      reply = reply_for(copied.error(), true);
      return;
    }
    reply = Reply::done(copied->flushed, move ? "Moved." : "Copied.");
    const store::CopiedUids& uid = copied->uids;
    std::string code;
    if (!uid.from.empty())
      code = fmt::format("COPYUID {} {} {}", uid.uid_validity, set_text(uid.from), set_text(uid.to));
    if (move && !code.empty()) {
      untagged(fmt::format("OK [{}] Moved.", code));  // before the EXPUNGEs (RFC 6851 4.3)
    } else if (!code.empty()) {
      reply->code(code);
    }
    report_changes(account);
  };
  co_await on_selected(job);
  if (!reply->is_ok()) co_return *reply;
  tell_others(whose);
  if (move && whose != selected_.account) tell_others(selected_.account);
  co_return limit.tell(*std::move(reply), out_);
}

/// On the worker.
Session::Copied Session::copy_messages(store::Account& from, const store::UidRanges& uids, store::Account& to,
                                       const Place& place, bool move) {
  auto mailbox = permitted(to, place, store::right::kInsert);
  if (!mailbox) return tl::unexpected(mailbox.error());
  uint64_t kept = store::changeable_flags(to.rights_of(mailbox->id, account_->id));
  bool same = from.id() == to.id();
  if (move && !same) return move_between(from, uids, to, *mailbox, place.quota, kept);
  store::Edit edit(to);
  auto copied = !same  ? edit.copy_from(from, view_->mailbox(), uids, mailbox->id, place.quota, kept)
                : move ? edit.move(view_->mailbox(), uids, mailbox->id, place.quota, kept)
                       : edit.copy(view_->mailbox(), uids, mailbox->id, place.quota, kept);
  if (!copied) return tl::unexpected(copied.error());
  store::Flushed flushed = edit.commit_flushed();
  return CopyOutcome{std::move(*copied), flushed};
}

/// What leaves one account is on disk in the other before: a crash in between leaves it in both. Nobody else takes two
/// accounts' locks, and here the lower number comes first.
Session::Copied Session::move_between(store::Account& from, const store::UidRanges& uids, store::Account& to,
                                      const store::Mailbox& mailbox, uint64_t quota, uint64_t kept) {
  std::optional<store::Edit> source, target;
  if (from.id() < to.id()) source.emplace(from);
  target.emplace(to);
  if (!source) source.emplace(from);
  auto copied = target->copy_from(from, view_->mailbox(), uids, mailbox.id, quota, kept);
  if (!copied) return tl::unexpected(copied.error());
  source->remove(view_->mailbox(), copied->from);
  target->commit_flushed();
  store::Flushed flushed = source->commit_flushed();
  return CopyOutcome{std::move(*copied), flushed};
}

asio::awaitable<Reply> Session::expunge(Cursor& arguments) {
  SequenceSet set;
  bool only_these = has_flag(kUids);
  if (!(only_these ? parse_uid_expunge(arguments, set) : parse_nothing(arguments))) co_return Reply::refused(arguments);
  if (view_->read_only()) co_return read_only_reply();
  if (!allows(store::right::kExpunge)) co_return reply_for(no_permission("You may not expunge messages here."));
  store::UidRanges spans;
  if (only_these) spans = view_->spans(view_->numbers(set, true));
  MessageLimit limit = message_limit();  // never of EXPUNGE itself
  std::optional<store::Flushed> flushed;
  store::ModSeq modseq = 0;
  auto job = [&](store::Account& account) {
    auto mailbox = account.mailbox(view_->mailbox());
    if (mailbox && mailbox->deleted > 0) {
      if (only_these && limit.exceeded_by(store::count(spans))) {
        spans = deleted_of(account, spans);
        limit.cut(spans);
      }
      store::Edit edit(account);
      edit.expunge(view_->mailbox(), only_these ? &spans : nullptr);
      modseq = edit.modseq();
      flushed = edit.commit_flushed();
    }
    report_changes(account);
  };
  co_await on_selected(job);
  if (!flushed) co_return Reply::ok("There was nothing to expunge.");
  tell_others(selected_.account);
  Reply reply = Reply::done(*flushed, "Expunged.");
  if (qresync_) reply.code(fmt::format("HIGHESTMODSEQ {}", modseq));  // RFC 7162 3.2.9
  co_return limit.tell(std::move(reply), out_);
}

/// Those of these messages that have \Deleted.
store::UidRanges Session::deleted_of(store::Account& account, const store::UidRanges& spans) const {
  store::UidRanges deleted;
  for (const store::UidRange& range : spans) {
    account.scan(view_->mailbox(), range, store::kWantEntry, [&](const store::MessageRow& row) {
      if (row.flags.has(store::Flags::kDeleted)) store::append_uid(deleted, row.uid);
      return true;
    });
  }
  return deleted;
}

}  // namespace postrider::imap
