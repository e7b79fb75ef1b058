// GETMETADATA and SETMETADATA (RFC 5464): annotations of mailboxes, and of the server where the name is empty.
#include "imapd/metadata.h"
#include "imapd/saved_search.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

namespace right = store::right;

}  // namespace

/// What the server says of itself, and what the user keeps about it.
std::vector<store::Annotation> Session::server_annotations(store::Account& account) const {
  std::vector<store::Annotation> all = account.annotations(store::kServerAnnotations, account_->id);
  const std::string& address = account_->address;
  all.push_back({store::kServerAnnotations, "/shared/admin",
                 "mailto:postmaster" + address.substr(address.rfind('@'))});  // RFC 5464 6.2.1
  return all;
}

asio::awaitable<Reply> Session::get_metadata(Cursor& arguments) {
  GetMetadataCommand command;
  if (!parse_get_metadata(arguments, command)) co_return Reply::refused(arguments);
  std::optional<Reply> refused;
  size_t longer = 0;
  auto job = [&](store::Account& account, const Place& place) {
    std::vector<store::Annotation> all;
    if (command.mailbox.empty()) {
      all = server_annotations(account);
    } else if (auto mailbox = permitted(account, place, right::kRead)) {
      all = account.annotations(mailbox->id, account_->id);
    } else {
      refused = reply_for(mailbox.error());
      return;
    }
    append_metadata(out_, command.mailbox, chosen(command, all, longer), utf8_);
    report_changes(account);
  };
  co_await on_mailbox(command.mailbox, job);
  if (refused) co_return *refused;
  Reply reply = Reply::ok("Done.");
  if (longer != 0) reply.code(fmt::format("METADATA LONGENTRIES {}", longer));
  co_return reply;
}

asio::awaitable<Reply> Session::set_metadata(Cursor& arguments) {
  SetMetadataCommand command;
  if (!parse_set_metadata(arguments, command)) co_return Reply::refused(arguments);
  bool shared = false;
  for (const auto& [name, value] : command.values) {
    shared |= !store::is_private(name);
    if (name.size() > store::kMaxAnnotationName || value.value_or("").size() > store::kMaxAnnotationValue) {
      Reply reply = Reply::no(fmt::format("An entry has a name of at most {} octets and a value of at most {}.",
                                          store::kMaxAnnotationName, store::kMaxAnnotationValue));
      co_return reply.code(fmt::format("METADATA MAXSIZE {}", store::kMaxAnnotationValue));
    }
  }
  if (command.mailbox.empty()) {
    for (const auto& [name, value] : command.values) {
      bool filter = name.starts_with(fmt::format("/private{}", kFilterValues));
      if (filter && value && !is_search(*value)) co_return Reply::no("A saved search is what SEARCH could be asked.");
    }
  }
  std::optional<Reply> reply;
  store::AccountId whose = 0;
  auto job = [&](store::Account& account, const Place& place) {
    whose = account.id();
    store::MailboxId id = store::kServerAnnotations;
    if (!command.mailbox.empty()) {
      auto mailbox = permitted(account, place, shared ? right::kRead | right::kWrite : right::kRead);
      if (mailbox) id = mailbox->id;
      if (!mailbox) reply = reply_for(mailbox.error());
    } else if (shared) {
      reply = reply_for(no_permission("What the server says to everybody is its administrator's to change."));
    }
    if (reply) return;
    store::Edit edit(account);
    for (auto& [name, value] : command.values) {
      if (edit.annotate({id, std::move(name), std::move(value)}, account_->id)) continue;
      reply =
          Reply::no(fmt::format("A mailbox has at most {} entries.", store::kMaxAnnotations)).code("METADATA TOOMANY");
      return;
    }
    reply = Reply::done(edit.commit_flushed(), "Done.");
    report_changes(account);
  };
  co_await on_mailbox(command.mailbox, job);
  if (reply->is_ok()) tell_others(whose);
  co_return *reply;
}

}  // namespace postrider::imap
