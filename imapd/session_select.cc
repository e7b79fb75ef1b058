// SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2; RFC 3691; RFC 7162 3.1.8).
#include "imapd/session.h"

namespace postrider::imap {

asio::awaitable<Reply> Session::select(Cursor& arguments) {
  SelectCommand command;
  bool readable = parse_select(arguments, command);
  // Even a SELECT that fails leaves the mailbox that was selected (RFC 3501 6.3.1).
  if (view_ && readable) untagged("OK [CLOSED] The mailbox before is closed.");
  if (readable) deselect();
  if (!readable) co_return Reply::refused(arguments);
  if (command.condstore) condstore_ = true;
  bool read_only = has_flag(kReadOnly);
  std::optional<store::MailboxSnapshot> snapshot;
  auto job = [&](store::Account& account) {
    auto mailbox = account.find_mailbox(command.mailbox);
    if (!mailbox) return;
    snapshot = account.snapshot(mailbox->id);
    if (!snapshot) return;
    view_.emplace(*snapshot, account.keywords(), read_only);
    if (!read_only && snapshot->mailbox.first_recent < snapshot->mailbox.uid_next) {
      claim_recent(account, mailbox->id);
    }
  };
  co_await on_account(job);
  if (snapshot) co_return describe_selected(*snapshot);
  Reply reply = Reply::no("There is no mailbox of this name.");
  co_return reply.code("NONEXISTENT");
}

Reply Session::describe_selected(const store::MailboxSnapshot& snapshot) {
  append_flag_lists();
  append_format(out_, "* {} EXISTS\r\n* {} RECENT\r\n", view_->count(), view_->recent());
  if (snapshot.first_unseen != 0) {
    append_format(out_, "* OK [UNSEEN {}] The first unseen message.\r\n", view_->number_of(snapshot.first_unseen));
  }
  append_format(out_, "* OK [UIDVALIDITY {}] UIDs are valid.\r\n* OK [UIDNEXT {}] The next UID.\r\n",
                view_->uid_validity(), snapshot.mailbox.uid_next);
  append_format(out_, "* OK [HIGHESTMODSEQ {}] The latest change.\r\n",
                std::max<store::ModSeq>(snapshot.mailbox.highest_modseq, 1));
  state_ = kSelected;
  return Reply::ok("Selected.").code(view_->read_only() ? "READ-ONLY" : "READ-WRITE");
}

asio::awaitable<Reply> Session::close(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  std::optional<store::Flushed> flushed;
  if (!view_->read_only()) {
    auto job = [&](store::Account& account) {
      auto mailbox = account.mailbox(view_->mailbox());
      if (!mailbox || mailbox->deleted == 0) return;
      store::Edit edit(account);
      edit.expunge(view_->mailbox(), nullptr);
      flushed = edit.commit_flushed();
    };
    co_await on_account(job);
  }
  deselect();
  if (!flushed) co_return Reply::ok("Closed.");
  tell_others();
  co_return Reply::done(*flushed, "Closed.");
}

asio::awaitable<Reply> Session::unselect(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  deselect();
  co_return Reply::ok("Closed; nothing was expunged.");
}

}  // namespace postrider::imap
