// ESEARCH: a search in several mailboxes (RFC 7377).
#include <algorithm>

#include "imapd/session.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

/// The mailboxes that the filters mean, each once.
std::vector<store::Mailbox> meant(store::Account& account, const std::vector<MailboxFilter>& filters,
                                  const std::optional<store::MailboxId>& selected) {
  std::vector<store::Mailbox> mailboxes = account.mailboxes();
  std::erase_if(mailboxes, [&](const store::Mailbox& mailbox) {
    return std::none_of(filters.begin(), filters.end(), [&](const MailboxFilter& filter) {
      bool is_selected = filter.kind == Kind::selected || filter.kind == Kind::selected_delayed;
      return is_selected ? selected == mailbox.id : matches(filter, mailbox.name, mailbox.subscribed);
    });
  });
  return mailboxes;
}

}  // namespace

asio::awaitable<Reply> Session::multisearch(Cursor& arguments) {
  MultiSearchCommand command;
  if (!parse_esearch(arguments, command)) co_return Reply::refused(arguments);
  SearchCommand& search = command.search;
  if (search.numbers) co_return Reply::bad("Message numbers mean nothing in several mailboxes; use UIDs.");
  if (search.options.save || search.options.update)
    co_return Reply::bad("SAVE and UPDATE are for SEARCH in the selected mailbox.");
  if (command.filters.empty()) command.filters.emplace_back();
  bool needs_selected = std::any_of(command.filters.begin(), command.filters.end(),
                                    [](const MailboxFilter& filter) { return filter.kind == Kind::selected; });
  if (needs_selected && !view_) co_return Reply::bad("No mailbox is selected.");
  if (auto wrong = prepare_search(search)) co_return *wrong;
  search.options.given = true;
  SearchAnswer answer = search_answer(search);
  answer.uids = answer.extended = true;

  std::vector<store::Mailbox> left;
  std::optional<View> view;
  std::optional<SearchRun> run;
  bool first = true, more = true;
  // One mailbox after the other, a slice at a time; what is in it when its turn comes is searched.
  auto job = [&](store::Account& account) {
    if (std::exchange(first, false)) {
      std::optional<store::MailboxId> selected;
      if (view_) selected = view_->mailbox();
      left = meant(account, command.filters, selected);
      std::reverse(left.begin(), left.end());
    }
    if (!run && !left.empty()) {
      auto snapshot = account.snapshot(left.back().id);
      if (snapshot) view.emplace(*snapshot, std::vector<std::string>(), true);
      if (snapshot) run.emplace(search.key, *view, account.keywords(), services_.clock.unix_time());
      if (!snapshot) left.pop_back();
    }
    if (run && !run->step(account)) {
      answer.mailbox = "MAILBOX ";
      append_mailbox(answer.mailbox, left.back().name, utf8_);
      append_format(answer.mailbox, " UIDVALIDITY {}", view->uid_validity());
      if (!run->found().empty()) append_search_result(out_, answer, search.options, run->found(), *view);
      run.reset();
      left.pop_back();
    }
    more = !left.empty();
    if (!more) report_changes(account);
  };
  while (more) {
    co_await on_account(job);
    if (out_.size() >= kSendAt) co_await send();
  }
  co_return Reply::ok("That is all.");
}

}  // namespace postrider::imap
