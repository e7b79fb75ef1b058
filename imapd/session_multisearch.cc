// ESEARCH: a search in several mailboxes (RFC 7377).
#include <algorithm>

#include "imapd/session.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

/// Leaves those that the filters mean. owner, selected: of the selected mailbox. What the user may read but not see in
/// LIST has to be named (RFC 7377 2.2).
void keep_meant(std::vector<Listed>& mailboxes, const std::vector<MailboxFilter>& filters, store::AccountId owner,
                store::MailboxId selected) {
  std::erase_if(mailboxes, [&](const Listed& listed) {
    const store::Mailbox& mailbox = listed.mailbox;
    return std::none_of(filters.begin(), filters.end(), [&](const MailboxFilter& filter) {
      bool is_selected = filter.kind == Kind::selected || filter.kind == Kind::selected_delayed;
      if (is_selected) return owner == listed.owner && selected == mailbox.id;
      const bool visible = filter.kind == Kind::mailboxes || (listed.rights & store::right::kLookup) != 0;
      return visible && matches(filter, mailbox.name, mailbox.subscribed, listed.own());
    });
  });
}

}  // namespace

/// The user's own, and those of others that may be read. On the worker.
std::vector<Listed> Session::readable_mailboxes(store::Account& account) {
  std::vector<Listed> all;
  std::vector<std::string> subscribed = account.subscriptions();
  for (store::Mailbox& mailbox : account.mailboxes()) all.push_back({std::move(mailbox)});
  for (Listed& listed : others_mailboxes(store::right::kRead)) {
    listed.mailbox.subscribed = std::binary_search(subscribed.begin(), subscribed.end(), listed.mailbox.name);
    all.push_back(std::move(listed));
  }
  return all;
}

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
  if (auto wrong = co_await prepare_search(search)) co_return *wrong;
  search.options.given = true;
  SearchAnswer answer = search_answer(search);
  answer.uids = answer.extended = true;

  std::vector<Listed> left;
  std::optional<View> view;
  std::optional<SearchRun> run;
  bool first = true, more = true;
  auto next = [&] {
    run.reset();
    left.pop_back();
  };
  auto search_slice = [&](store::Account& account) {
    const Listed& now = left.back();
    if (!run) {
      auto snapshot = account.snapshot(now.mailbox.id);
      if (!snapshot) return next();
      view.emplace(*snapshot, std::vector<std::string>(), true, now.owner);
      run.emplace(resolved(account, search.key, now.owner), *view, account.keywords(), services_.clock.unix_time(),
                  search.options.relevancy);
    }
    if (run->step(account)) return;
    answer.mailbox = "MAILBOX ";
    append_mailbox(answer.mailbox, now.mailbox.name, utf8_);
    append_format(answer.mailbox, " UIDVALIDITY {}", view->uid_validity());
    if (!run->found().empty()) append_search_result(out_, answer, search.options, run->found(), *view);
    next();
  };
  // One mailbox after the other, a slice at a time; what is in it when its turn comes is searched.
  auto job = [&](store::Account& account) {
    if (std::exchange(first, false)) {
      left = readable_mailboxes(account);
      keep_meant(left, command.filters, view_ ? view_->owner() : 0, view_ ? view_->mailbox() : 0);
      std::reverse(left.begin(), left.end());
    }
    if (!left.empty() && left.back().own()) {
      search_slice(account);
    } else if (!left.empty()) {
      // The right to read another's may be withdrawn at any time.
      const store::AccountId owner = left.back().owner;
      const bool readable = (rights_in(owner, left.back().mailbox.id) & store::right::kRead) != 0;
      if (!run) services_.registry.visit(owner);
      readable ? search_slice(*open(owner)) : next();
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
