// Mailboxes of other users and who may do what with them: MYRIGHTS, LISTRIGHTS, GETACL, SETACL, DELETEACL (RFC 4314).
#include <algorithm>

#include "common/base/log.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

namespace right = store::right;

constexpr std::string_view kAnyoneName = "anyone";

Reply no_identifier() {
  return Reply::no("There is no account of this name; an identifier is an address or \"anyone\".").code("CANNOT");
}

}  // namespace

store::StoreFailure no_such_mailbox() {
  return {store::StoreFault::no_such_mailbox, "There is no mailbox of this name."};
}

store::StoreFailure no_permission(std::string_view sentence) {
  return {store::StoreFault::no_permission, std::string(sentence)};
}

/// On the worker. A name that leads to nobody is taken for one of the user's own, where there is none of it.
Place Session::find_place(std::string_view name) {
  Place own{account_->id, std::string(name), "", account_->quota};
  if (!name.starts_with(kOthersPrefix)) return own;
  size_t slash = name.find(kDelimiter, kOthersPrefix.size());
  if (slash == std::string_view::npos) return own;
  std::string_view address = name.substr(kOthersPrefix.size(), slash - kOthersPrefix.size());
  auto owner = services_.directory.with(
      [&](store::Directory& directory) { return directory.find_account(address, config_->login.default_domain); });
  if (!owner || !owner->enabled || owner->id == account_->id) return own;
  std::string inner = canonical_mailbox(std::string(name.substr(slash + 1)));
  return {owner->id, std::move(inner), std::string(name.substr(0, slash + 1)), owner->quota};
}

/// The mailbox, where the user may do that.
store::StoreResult<store::Mailbox> Session::permitted(store::Account& account, const Place& place,
                                                      store::Rights needed) const {
  auto mailbox = account.find_mailbox(place.name);
  if (!mailbox) return tl::unexpected(no_such_mailbox());
  store::Rights rights = account.rights_of(mailbox->id, account_->id);
  if ((rights & needed) == needed) return *std::move(mailbox);
  if ((rights & right::kLookup) == 0) return tl::unexpected(no_such_mailbox());
  return tl::unexpected(no_permission("The owner of this mailbox has not given you the right to do that."));
}

/// Whether the user may make a mailbox of this name: the right comes from the nearest mailbox above it.
store::StoreResult<void> Session::may_create(store::Account& account, const Place& place) const {
  if (place.own() && !is_others(place.name)) return {};
  std::string_view name = place.name;
  for (size_t end = name.rfind(kDelimiter); !place.own() && end != std::string_view::npos;
       end = name.rfind(kDelimiter)) {
    name = name.substr(0, end);
    auto parent = account.find_mailbox(name);
    if (!parent) continue;
    if ((account.rights_of(parent->id, account_->id) & right::kCreate) != 0) return {};
    break;
  }
  return tl::unexpected(no_permission("You may not make a mailbox there."));
}

/// Mailboxes of another account that the user has these rights in, as the user sees them, by name. On the worker.
std::vector<Listed> Session::shared_mailboxes(store::Account& account, std::string_view address, store::Rights needed) {
  std::vector<Listed> all;
  for (store::Mailbox& mailbox : account.shared_mailboxes(account_->id)) {
    store::Rights rights =
        account.rights_of(mailbox.id, account_->id);  // asked last: they may have just been taken away
    if ((rights & needed) != needed) continue;
    mailbox.name = fmt::format("{}{}{}{}", kOthersPrefix, address, kDelimiter, mailbox.name);
    mailbox.special_use.clear();  // the owner's
    mailbox.subscribed = false;
    all.push_back({std::move(mailbox), account.id(), rights});
  }
  return all;
}

/// Likewise of all others.
std::vector<Listed> Session::others_mailboxes(store::Rights needed) {
  std::vector<Listed> all;
  auto owners =
      services_.directory.with([&](store::Directory& directory) { return directory.sharing_with(account_->id); });
  for (const store::AccountInfo& owner : owners) {
    try {
      auto account = open(owner.id);
      for (Listed& listed : shared_mailboxes(*account, owner.address, needed)) all.push_back(std::move(listed));
    } catch (const store::SqliteError& error) {
      log_error("account_not_listed", {{"account", owner.id}, {"user", user_}, {"error", error.what()}});
    }
  }
  return all;
}

/// What the owner of a mailbox allows now. On the worker.
store::Rights Session::rights_in(store::AccountId whose, store::MailboxId mailbox) {
  auto owner = services_.directory.with([&](store::Directory& directory) { return directory.account(whose); });
  if (!owner || !owner->enabled) return 0;  // and the file is left alone: it may be gone
  return open(whose)->rights_of(mailbox, account_->id);
}

/// Looks what the owner of the selected mailbox allows now.
asio::awaitable<void> Session::refresh_rights() {
  if (!view_ || selected_.own()) co_return;
  auto look = [&] { selected_rights_ = rights_in(selected_.account, view_->mailbox()); };
  co_await services_.workers.run(std::move(look));
}

/// The account that an identifier names; 0 for "anyone". On the worker.
std::optional<store::AccountId> Session::identifier(std::string_view name) {
  if (name == kAnyoneName) return store::kAnyone;
  auto account = services_.directory.with(
      [&](store::Directory& directory) { return directory.find_account(name, config_->login.default_domain); });
  return account ? std::optional(account->id) : std::nullopt;
}

asio::awaitable<Reply> Session::my_rights(Cursor& arguments) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  std::optional<store::Rights> rights;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = account.find_mailbox(place.name);
    if (mailbox) rights = account.rights_of(mailbox->id, account_->id);
  };
  co_await on_mailbox(name, job);
  if (rights.value_or(0) == 0) co_return reply_for(no_such_mailbox());
  append_my_rights(name, *rights);
  co_return Reply::ok("Done.");
}

void Session::append_my_rights(std::string_view name, store::Rights rights) {
  out_ += "* MYRIGHTS ";
  append_mailbox(out_, name, utf8_);
  append_format(out_, " {}\r\n", store::format_rights(rights));
}

asio::awaitable<Reply> Session::list_rights(Cursor& arguments) {
  AclCommand command;
  if (!parse_acl(arguments, command)) co_return Reply::refused(arguments);
  std::optional<Reply> refused;
  bool owner = false;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = permitted(account, place, right::kAdminister);
    std::string_view who = command.identifier;
    auto found = identifier(who.starts_with('-') ? who.substr(1) : who);
    if (!mailbox) {
      refused = reply_for(mailbox.error());
    } else if (!found) {
      refused = no_identifier();
    } else {
      owner = *found == account.id() && !who.starts_with('-');
    }
  };
  co_await on_mailbox(command.mailbox, job);
  if (refused) co_return *refused;
  out_ += "* LISTRIGHTS ";
  append_mailbox(out_, command.mailbox, utf8_);
  out_ += ' ';
  append_astring(out_, command.identifier);
  // The owner always has every right; anybody else can be given each of them by itself.
  out_ += owner ? " lrswipkxteacd\r\n" : " \"\" l r s w i p k x t e a c d\r\n";
  co_return Reply::ok("Done.");
}

asio::awaitable<Reply> Session::get_acl(Cursor& arguments) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  std::optional<Reply> refused;
  auto job = [&](store::Account& account, const Place& place) {
    auto mailbox = permitted(account, place, right::kAdminister);
    if (!mailbox) {
      refused = reply_for(mailbox.error());
      return;
    }
    auto grants = account.grants(mailbox->id);
    grants.insert(grants.begin(), {account.id(), false, right::kAll});
    out_ += "* ACL ";
    append_mailbox(out_, name, utf8_);
    services_.directory.with([&](store::Directory& directory) {
      for (const store::Grant& grant : grants) {
        std::string who(kAnyoneName);
        if (grant.who != store::kAnyone) {
          auto info = directory.account(grant.who);
          if (!info) continue;  // nobody has that account any more
          who = info->address;
        }
        out_ += grant.negative ? " -" : " ";
        append_astring(out_, who);
        append_format(out_, " {}", store::format_rights(grant.rights));
      }
    });
    out_ += "\r\n";
  };
  co_await on_mailbox(name, job);
  co_return refused ? *refused : Reply::ok("Done.");
}

asio::awaitable<Reply> Session::set_acl(Cursor& arguments) {
  AclCommand command;
  if (!parse_set_acl(arguments, command)) co_return Reply::refused(arguments);
  std::string_view letters = command.rights;
  char how = letters.starts_with('+') || letters.starts_with('-') ? letters.front() : '=';
  if (how != '=') letters.remove_prefix(1);
  auto rights = store::parse_rights(letters);
  if (!rights || command.identifier.empty())
    co_return Reply::bad("The rights are letters of lrswipkxtea, behind \"+\" or \"-\" to add or to take away.");
  co_return co_await change_acl(std::move(command), how, *rights);
}

asio::awaitable<Reply> Session::delete_acl(Cursor& arguments) {
  AclCommand command;
  if (!parse_acl(arguments, command)) co_return Reply::refused(arguments);
  if (command.identifier.empty()) co_return Reply::bad("The identifier is empty.");
  co_return co_await change_acl(std::move(command), '=', 0);
}

asio::awaitable<Reply> Session::change_acl(AclCommand command, char how, store::Rights rights) {
  std::optional<Reply> reply;
  store::AccountId whose = 0, shared_with = 0;
  auto job = [&](store::Account& account, const Place& place) {
    whose = account.id();
    auto mailbox = permitted(account, place, right::kAdminister);
    store::Grant grant;
    std::string_view name = command.identifier;
    grant.negative = name.starts_with('-');
    auto who = identifier(grant.negative ? name.substr(1) : name);
    if (!mailbox) {
      reply = reply_for(mailbox.error());
    } else if (!who) {
      reply = no_identifier();
    } else if (*who == account.id()) {
      reply = Reply::no("The owner of a mailbox has all rights to it, always.").code("CANNOT");
    }
    if (reply) return;
    grant.who = *who;
    for (const store::Grant& now : account.grants(mailbox->id)) {
      if (now.who == grant.who && now.negative == grant.negative) grant.rights = now.rights;
    }
    grant.rights = how == '+' ? grant.rights | rights : how == '-' ? grant.rights & ~rights : rights;
    // The directory may name one account too many, but never one too few.
    if (!grant.negative && grant.rights != 0) {
      services_.directory.with([&](store::Directory& directory) { directory.note_sharing(account.id(), grant.who); });
      shared_with = grant.who;
    }
    store::Edit edit(account);
    auto granted = edit.grant(mailbox->id, grant);
    if (!granted) {
      reply = reply_for(granted.error());
      return;
    }
    reply = Reply::done(edit.commit_flushed(), "Done.");
    report_changes(account);
  };
  co_await on_mailbox(command.mailbox, job);
  if (reply->is_ok()) tell_others(whose);
  if (reply->is_ok() && shared_with != store::kAnyone) tell_others(shared_with);
  co_return *reply;
}

}  // namespace postrider::imap
