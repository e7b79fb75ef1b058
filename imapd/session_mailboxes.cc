// Mailboxes as things with names: LIST, LSUB, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE, NAMESPACE (RFC 3501 6.3).
#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "imapd/list.h"
#include "imapd/metadata.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kUses[] = {"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"};

/// What an edit came to: flushed, or why not.
using Edited = store::StoreResult<store::Flushed>;

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

/// Runs change(edit) and makes it durable. NOTIFY tells what others did up to now, and nothing of the change: this
/// session knows it (RFC 5465 5). On the worker.
template <class Change>
Edited Session::edit_mailboxes(store::Account& account, Change&& change) {
  store::Edit edit(account);
  if (const auto before = watched_picture(account)) notify_->report(*before, teller());
  auto result = change(edit);
  if (!result) return tl::unexpected(result.error());
  const auto after = watched_picture(account);
  store::Flushed flushed = edit.commit_flushed();
  if (after) notify_->take(*after);
  return flushed;
}

ListSource Session::list_source(store::Account& account, const ListCommand& command) {
  ListSource source;
  for (store::Mailbox& mailbox : account.mailboxes()) source.mailboxes.push_back({std::move(mailbox)});
  for (Listed& listed : others_mailboxes(store::right::kLookup)) source.mailboxes.push_back(std::move(listed));
  source.subscriptions = account.subscriptions();
  source.utf8 = utf8_;
  if (command.return_status == 0 && !command.return_my_rights && command.return_metadata.empty()) {
    source.details = [](std::string&, const Listed&) {};
  } else {
    source.details = [&](std::string& out, const Listed& listed) { append_details(out, command, listed); };
  }
  return source;
}

/// What RFC 5819, 8440 and 9590 add to LIST. What the user has no right to is left out.
StatusValues Session::status_of(store::Account& account, store::Mailbox mailbox, unsigned items,
                                store::AccountId owner) const {
  mailbox.first_recent = services_.recents.first(account.id(), mailbox.id, mailbox.first_recent);
  if ((items & (kStatusUnseen | kStatusHighestModSeq)) != 0) account.count_for_reader(mailbox);
  return status_values(account, mailbox, items, config_->imap.max_append_size, owner);
}

void Session::append_details(std::string& out, const ListCommand& command, const Listed& listed) {
  const store::Mailbox& mailbox = listed.mailbox;
  auto account = open(listed.owner == 0 ? account_->id : listed.owner);
  store::Rights rights = account->rights_of(mailbox.id, account_->id);
  bool readable = (rights & store::right::kRead) != 0;
  if (command.return_status != 0 && readable) {
    append_status_line(out, mailbox.name, command.return_status,
                       status_of(*account, mailbox, command.return_status, listed.owner), utf8_);
  }
  if (command.return_my_rights) append_my_rights(mailbox.name, rights);
  if (command.return_metadata.empty() || !readable) return;
  append_metadata(out, mailbox.name, command.return_metadata, account->annotations(mailbox.id, account_->id), utf8_);
}

asio::awaitable<Reply> Session::list(Cursor& arguments) {
  ListCommand command;
  if (!parse_list(arguments, command)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) {
    show_expunged_as_wanted(account, config_->store.expunged_folder);
    append_list(out_, command, list_source(account, command));
    report_changes(account);
  };
  co_await on_account(job);
  co_return Reply::ok("That is all.");
}

asio::awaitable<Reply> Session::lsub(Cursor& arguments) {
  ListCommand command;
  if (!parse_lsub(arguments, command)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) {
    append_lsub(out_, command, list_source(account, command));
    report_changes(account);
  };
  co_await on_account(job);
  co_return Reply::ok("That is all.");
}

asio::awaitable<Reply> Session::status(Cursor& arguments) {
  StatusCommand command;
  if (!parse_status(arguments, command)) co_return Reply::refused(arguments);
  if (command.items & kStatusHighestModSeq) enable_condstore();
  std::optional<Reply> refused;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = permitted(account, place, store::right::kRead);
    if (!mailbox) {
      refused = reply_for(mailbox.error());
      return;
    }
    append_status_line(out_, command.mailbox, command.items,
                       status_of(account, *mailbox, command.items, place.own() ? 0 : place.account), utf8_);
    report_changes(account);
  };
  co_await on_mailbox(command.mailbox, job);
  co_return refused ? *refused : Reply::ok("Done.");
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
  std::string id;
  store::AccountId whose = 0;
  auto job = [&](store::Account& account, const Place& place) -> Edited {
    whose = account.id();
    if (auto allowed = may_create(account, place); !allowed) return tl::unexpected(allowed.error());
    if (!place.own() && !use.empty()) return tl::unexpected(no_permission("A special use is the owner's to give."));
    return edit_mailboxes(account, [&](store::Edit& edit) {
      auto created = edit.create_mailbox(place.name, use);
      if (created) edit.inherit_rights(place.name);
      id = mailbox_id(created.value_or(0), place.own() ? 0 : place.account);
      return created;
    });
  };
  Edited edited = co_await on_mailbox(command.mailbox, job);
  if (!edited) co_return reply_for(edited.error());
  tell_others(whose);
  Reply reply = Reply::done(*edited, "Created.");
  co_return reply.code(fmt::format("MAILBOXID ({})", id));
}

asio::awaitable<Reply> Session::delete_named(Cursor& arguments) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  store::AccountId whose = 0;
  auto job = [&](store::Account& account, const Place& place) -> Edited {
    whose = account.id();
    auto mailbox = permitted(account, place, store::right::kDelete);
    if (!mailbox) return tl::unexpected(mailbox.error());
    return edit_mailboxes(account, [&](store::Edit& edit) { return edit.delete_mailbox(place.name); });
  };
  Edited edited = co_await on_mailbox(name, job);
  if (!edited) co_return reply_for(edited.error());
  tell_others(whose);
  co_return Reply::done(*edited, "Deleted.");
}

asio::awaitable<Reply> Session::rename(Cursor& arguments) {
  RenameCommand command;
  if (!parse_rename(arguments, command)) co_return Reply::refused(arguments);
  if (command.to.size() > 1 && command.to.back() == kDelimiter) command.to.pop_back();
  store::AccountId whose = 0;
  auto job = [&](store::Account& account, const Place& from) -> Edited {
    whose = account.id();
    auto mailbox = permitted(account, from, store::right::kDelete);
    if (!mailbox) return tl::unexpected(mailbox.error());
    Place to = find_place(command.to);
    if (auto allowed = may_create(account, to); to.account == from.account && !allowed)
      return tl::unexpected(allowed.error());
    if (to.account != from.account || (!from.own() && from.name == "INBOX")) {
      return tl::unexpected(store::StoreFailure{store::StoreFault::not_allowed,
                                                "A mailbox stays with its owner, and so does the owner's INBOX."});
    }
    auto edited = edit_mailboxes(account, [&](store::Edit& edit) { return edit.rename_mailbox(from.name, to.name); });
    report_changes(account);
    return edited;
  };
  Edited edited = co_await on_mailbox(command.from, job);
  if (!edited) co_return reply_for(edited.error());
  tell_others(whose);
  co_return Reply::done(*edited, "Renamed.");
}

/// Subscriptions are the user's own, whosever the mailbox is.
asio::awaitable<Reply> Session::set_subscribed(Cursor& arguments, bool subscribed) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  auto job = [&](store::Account& account) -> Edited {
    if (subscribed) {
      Place place = find_place(name);
      auto owner = open(place.account);
      auto mailbox = permitted(*owner, place, store::right::kLookup);
      if (!mailbox) return tl::unexpected(mailbox.error());
    }
    return edit_mailboxes(account, [&](store::Edit& edit) { return edit.subscribe(name, subscribed); });
  };
  Edited edited = co_await on_account(job);
  if (!edited) co_return reply_for(edited.error());
  tell_others(account_->id);
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
  co_return Reply::ok("Yours, and those that others share.");
}

void Session::tell_namespaces() {
  untagged(fmt::format("NAMESPACE ((\"\" \"{0}\")) ((\"{1}\" \"{0}\")) NIL", kDelimiter, kOthersPrefix));
}

}  // namespace postrider::imap
