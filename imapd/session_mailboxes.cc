// Mailboxes as things with names: LIST, LSUB, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE, NAMESPACE (RFC 3501 6.3).
#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "imapd/list.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kUses[] = {"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"};

/// What an edit came to: flushed, or why not.
using Edited = store::StoreResult<store::Flushed>;

/// Runs change(edit) and makes it durable.
template <class Change>
Edited edit_mailboxes(store::Account& account, Change&& change) {
  store::Edit edit(account);
  auto result = change(edit);
  if (!result) return tl::unexpected(result.error());
  return edit.commit_flushed();
}

/// Makes or removes the mailbox that shows what was expunged, as the configuration has it now. Where that cannot be
/// done (a full disk, an ordinary mailbox of that name) the list is told as it is.
void show_expunged_as_wanted(store::Account& account, const std::string& name) {
  auto shown = account.expunged_mailbox();
  if (shown.has_value() != name.empty() && (!shown || account.mailbox(*shown)->name == name)) return;
  if (!shown && account.find_mailbox(name)) return;
  try {
    store::Edit edit(account);
    if (shown) edit.hide_expunged();
    if (!name.empty()) {
      auto made = edit.show_expunged(name);
      if (!made) return;
      (void)edit.subscribe(name, true);
    }
    edit.commit_flushed();
  } catch (const store::SqliteError& error) {
    log_warn("expunged_folder_not_changed", {{"account", account.id()}, {"error", error.what()}});
  }
}

}  // namespace

ListSource Session::list_source(store::Account& account, unsigned status_items) const {
  ListSource source;
  source.mailboxes = account.mailboxes();
  source.subscriptions = account.subscriptions();
  source.utf8 = utf8_;
  source.status = [this, &account, status_items](const store::Mailbox& mailbox) {
    return status_values(account, mailbox, status_items, config_->imap.max_append_size);
  };
  return source;
}

asio::awaitable<Reply> Session::list(Cursor& arguments) {
  ListCommand command;
  if (!parse_list(arguments, command)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) {
    show_expunged_as_wanted(account, config_->store.expunged_folder);
    append_list(out_, command, list_source(account, command.return_status));
    report_changes(account);
  };
  co_await on_account(job);
  co_return Reply::ok("That is all.");
}

asio::awaitable<Reply> Session::lsub(Cursor& arguments) {
  ListCommand command;
  if (!parse_lsub(arguments, command)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) {
    append_lsub(out_, command, list_source(account, 0));
    report_changes(account);
  };
  co_await on_account(job);
  co_return Reply::ok("That is all.");
}

asio::awaitable<Reply> Session::status(Cursor& arguments) {
  StatusCommand command;
  if (!parse_status(arguments, command)) co_return Reply::refused(arguments);
  if (command.items & kStatusHighestModSeq) enable_condstore();
  bool found = false;
  auto job = [&](store::Account& account) {
    auto mailbox = account.find_mailbox(command.mailbox);
    found = mailbox.has_value();
    if (!found) return;
    out_ += "* STATUS ";
    append_mailbox(out_, mailbox->name, utf8_);
    out_ += ' ';
    append_status(out_, command.items, status_values(account, *mailbox, command.items, config_->imap.max_append_size));
    out_ += "\r\n";
    report_changes(account);
  };
  co_await on_account(job);
  if (found) co_return Reply::ok("Done.");
  Reply reply = Reply::no("There is no mailbox of this name.");
  co_return reply.code("NONEXISTENT");
}

asio::awaitable<Reply> Session::create(Cursor& arguments) {
  CreateCommand command;
  if (!parse_create(arguments, command)) co_return Reply::refused(arguments);
  // "name/" says that names will follow below it (RFC 3501 6.3.3).
  if (command.mailbox.size() > 1 && command.mailbox.back() == kDelimiter) command.mailbox.pop_back();
  std::string use;
  if (!command.use.empty()) {
    auto known =
        std::find_if(std::begin(kUses), std::end(kUses), [&](auto name) { return iequals(name, command.use.front()); });
    if (known == std::end(kUses) || command.use.size() > 1) {
      Reply reply = Reply::no("A mailbox has one special use, of those in RFC 6154.");
      co_return reply.code("USEATTR");
    }
    use = *known;
  }
  store::MailboxId id = 0;
  auto job = [&](store::Account& account) {
    return edit_mailboxes(account, [&](store::Edit& edit) {
      auto created = edit.create_mailbox(command.mailbox, use);
      id = created.value_or(0);
      return created;
    });
  };
  Edited edited = co_await on_account(job);
  if (!edited) co_return reply_for(edited.error());
  tell_others();
  Reply reply = Reply::done(*edited, "Created.");
  co_return reply.code(fmt::format("MAILBOXID ({})", mailbox_id(id)));
}

asio::awaitable<Reply> Session::delete_named(Cursor& arguments) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) {
    return edit_mailboxes(account, [&](store::Edit& edit) { return edit.delete_mailbox(name); });
  };
  Edited edited = co_await on_account(job);
  if (!edited) co_return reply_for(edited.error());
  tell_others();
  co_return Reply::done(*edited, "Deleted.");
}

asio::awaitable<Reply> Session::rename(Cursor& arguments) {
  RenameCommand command;
  if (!parse_rename(arguments, command)) co_return Reply::refused(arguments);
  if (command.to.size() > 1 && command.to.back() == kDelimiter) command.to.pop_back();
  auto job = [&](store::Account& account) {
    auto edited =
        edit_mailboxes(account, [&](store::Edit& edit) { return edit.rename_mailbox(command.from, command.to); });
    report_changes(account);
    return edited;
  };
  Edited edited = co_await on_account(job);
  if (!edited) co_return reply_for(edited.error());
  tell_others();
  co_return Reply::done(*edited, "Renamed.");
}

asio::awaitable<Reply> Session::set_subscribed(Cursor& arguments, bool subscribed) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  bool exists = true;
  auto job = [&](store::Account& account) -> Edited {
    exists = !subscribed || account.find_mailbox(name).has_value();
    if (!exists)
      return tl::unexpected(
          store::StoreFailure{store::StoreFault::no_such_mailbox, "There is no mailbox of this name."});
    return edit_mailboxes(account, [&](store::Edit& edit) { return edit.subscribe(name, subscribed); });
  };
  Edited edited = co_await on_account(job);
  if (!edited) co_return reply_for(edited.error());
  tell_others();
  co_return Reply::done(*edited, subscribed ? "Subscribed." : "Unsubscribed.");
}

asio::awaitable<Reply> Session::subscribe(Cursor& arguments) {
  co_return co_await set_subscribed(arguments, true);
}

asio::awaitable<Reply> Session::unsubscribe(Cursor& arguments) {
  co_return co_await set_subscribed(arguments, false);
}

asio::awaitable<Reply> Session::list_namespaces(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  tell_namespaces();
  co_return Reply::ok("All mailboxes here are your own.");
}

void Session::tell_namespaces() {
  untagged(fmt::format("NAMESPACE ((\"\" \"{}\")) NIL NIL", kDelimiter));
}

}  // namespace postrider::imap
