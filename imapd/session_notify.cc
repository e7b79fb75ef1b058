// NOTIFY (RFC 5465), and what is told between commands.
#include "imapd/fetch.h"
#include "imapd/session.h"

namespace postrider::imap {

asio::awaitable<Reply> Session::notify(Cursor& arguments) {
  NotifyCommand command;
  if (!parse_notify(arguments, command)) co_return Reply::refused(arguments);
  if (command.unknown_event) {
    Reply reply = Reply::no("There are events among these that nobody here knows of.");
    co_return reply.code(
        "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange "
        "MailboxMetadataChange ServerMetadataChange)");
  }
  listening_ = !command.groups.empty();
  if (!listening_) {
    notify_.reset();
    co_return Reply::ok("Nothing is told any more.");
  }
  bool status = command.status;
  auto job = [&](store::Account& account) {
    report_changes(account);
    notify_.emplace(std::move(command), account);
    if (status) notify_->report_status(account, teller());
  };
  co_await on_account(job);
  co_return Reply::ok("You will hear.");
}

Notify::Teller Session::teller() {
  return Notify::Teller{out_, utf8_, condstore_, view_ && selected_.own() ? view_->mailbox() : 0};
}

/// Something happened while no command is under way, or in IDLE. The selected mailbox is told of between commands only
/// where NOTIFY asked for it.
asio::awaitable<void> Session::tell_news(bool idle) {
  const NotifyGroup* selected = notify_ ? notify_->selected() : nullptr;
  bool wanted = idle || (selected != nullptr && selected->events != 0);
  command_flags_ =
      !idle && selected != nullptr && selected->filter.kind == MailboxFilter::Kind::selected_delayed ? kNumbers : 0u;
  if (wanted) co_await refresh_rights();
  auto job = [&](store::Account& account) {
    if (wanted) report_changes(account);
    if (notify_) notify_->report(account, teller());
  };
  if (wanted || notify_) co_await on_account(job);
  co_await fetch_new();
}

/// Fetches what NOTIFY wants of messages that came in, once EXISTS was said.
asio::awaitable<void> Session::fetch_new() {
  store::UidRanges uids = std::exchange(new_uids_, {});
  const NotifyGroup* selected = notify_ ? notify_->selected() : nullptr;
  if (uids.empty() || selected == nullptr || selected->items.empty() || !view_) co_return;
  FetchOptions options;
  options.uid = true;
  options.uid_only = uid_only_;
  auto announce = [this](store::Account& account) { announce_keywords(account); };
  FetchRun run(selected->items, options, *view_, view_->known(uids), announce);
  co_await fetch_all(run);
}

}  // namespace postrider::imap
