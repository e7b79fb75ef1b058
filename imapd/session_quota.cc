// QUOTA (RFC 9208): one root, what all of an account's mailboxes hold together. Only the administrator sets it.
#include "imapd/session.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kRoot = "Account";

Reply no_such_root() {
  return std::move(Reply::no("There is no quota root of this name here.").code("NONEXISTENT"));
}

}  // namespace

/// STORAGE is in units of 1,024 octets (RFC 9208 5.1).
void Session::tell_quota(store::Account& account) {
  append_format(out_, "* QUOTA {} (", kRoot);
  if (account_->quota != 0)
    append_format(out_, "STORAGE {} {}", (account.used_bytes() + 1023) / 1024, account_->quota / 1024);
  const uint64_t most = config_->store.max_messages;
  if (most != 0) append_format(out_, "{}MESSAGE {} {}", account_->quota != 0 ? " " : "", account.used_messages(), most);
  out_ += ")\r\n";
}

/// With SELECT, for people who wonder why nothing arrives any more.
void Session::warn_of_quota(store::Account& account) {
  const uint64_t most = config_->store.max_messages;
  const bool full = (account_->quota != 0 && account.used_bytes() >= account_->quota) ||
                    (most != 0 && account.used_messages() >= most);
  if (full)
    untagged("NO [OVERQUOTA] The account is full: no mail comes in until some is removed, or the quota is raised.");
}

asio::awaitable<Reply> Session::get_quota_root(Cursor& arguments) {
  std::string name;
  if (!parse_mailbox(arguments, name)) co_return Reply::refused(arguments);
  bool found = false;
  auto job = [&](store::Account& account) {
    auto mailbox = account.find_mailbox(name);
    found = mailbox.has_value();
    if (!found) return;
    // What was expunged counts for nothing.
    const bool counts = has_quota() && !mailbox->shows_expunged;
    out_ += "* QUOTAROOT ";
    append_mailbox(out_, mailbox->name, utf8_);
    if (counts) append_format(out_, " {}", kRoot);
    out_ += "\r\n";
    if (counts) tell_quota(account);
    report_changes(account);
  };
  co_await on_account(job);
  if (found) co_return Reply::ok("Done.");
  Reply reply = Reply::no("There is no mailbox of this name.");
  co_return reply.code("NONEXISTENT");
}

asio::awaitable<Reply> Session::get_quota(Cursor& arguments) {
  std::string root;
  if (!parse_get_quota(arguments, root)) co_return Reply::refused(arguments);
  if (root != kRoot || !has_quota()) co_return no_such_root();
  auto job = [&](store::Account& account) {
    tell_quota(account);
    report_changes(account);
  };
  co_await on_account(job);
  co_return Reply::ok("Done.");
}

asio::awaitable<Reply> Session::set_quota(Cursor& arguments) {
  std::string root;
  if (!parse_set_quota(arguments, root)) co_return Reply::refused(arguments);
  Reply reply = Reply::no("Quotas are set by the administrator of this server (mailctl quota set).");
  co_return reply.code("NOPERM");
}

}  // namespace postrider::imap
