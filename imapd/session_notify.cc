// NOTIFY (RFC 5465), and what is told between commands.
#include <algorithm>

#include "common/base/log.h"
#include "imapd/fetch.h"
#include "imapd/session.h"
#include "store/sqlite.h"

namespace postrider::imap {
namespace {

bool contains(const std::vector<Notify::Owner>& owners, const Notify::Owner& owner) {
  return std::find(owners.begin(), owners.end(), owner) != owners.end();
}

/// The modseq of a picture, and the annotations that changed up to it: one that is set in between would be told twice.
/// since: where none are wanted, nothing.
void take_annotations(store::Account& account, std::optional<store::ModSeq> since, store::AccountId user,
                      Notify::Picture& now) {
  constexpr int kTries = 5;
  for (int i = 0; i < kTries; ++i) {
    now.modseq = account.modseq();
    if (!since) return;
    now.annotations = account.annotations_since(*since, user);
    if (account.modseq() == now.modseq) return;
  }
}

Reply too_much() {
  return Reply::no(fmt::format("That would be mailboxes of more than {} others, or more than {} mailboxes; name fewer.",
                               kMaxNotifyOwners, kMaxNotifyMailboxes))
      .code("NOTIFICATIONOVERFLOW");
}

}  // namespace

asio::awaitable<Reply> Session::notify(Cursor& arguments) {
  NotifyCommand command;
  if (!parse_notify(arguments, command)) co_return Reply::refused(arguments);
  if (command.unknown_event) {
    Reply reply = Reply::no("There are events among these that nobody here knows of.");
    co_return reply.code(
        "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange "
        "MailboxMetadataChange ServerMetadataChange)");
  }
  if (command.groups.empty()) {
    stop_notify();
    co_return Reply::ok("Nothing is told any more.");
  }
  const bool status = command.status;
  Notify next(std::move(command));
  const std::vector<Notify::Owner> before = watched_;
  const uint64_t version = services_.directory.version();
  std::vector<Notify::Owner> owners;
  auto look = [&](store::Account& account) {
    next.set_subscriptions(account.subscriptions());
    owners = notify_owners(next, {});
  };
  co_await on_account(look);
  if (!watch(std::move(owners))) co_return too_much();
  watched_version_ = 0;  // should the rest fail
  changed_.clear();      // from here on what changes is heard of, and the picture is taken after that
  std::vector<Notify::Picture> pictures;
  auto job = [&](store::Account& account) {
    report_changes(account);
    pictures.push_back(picture(account, next));
    size_t mailboxes = pictures.back().mailboxes.size();
    for (const Notify::Owner& owner : watched_) {
      auto shared = picture_of(owner, next);
      if (!shared) continue;
      mailboxes += shared->mailboxes.size();
      if (mailboxes > kMaxNotifyMailboxes) return false;
      pictures.push_back(std::move(*shared));
    }
    for (const Notify::Picture& one : pictures) next.begin(one, status, teller());
    return true;
  };
  if (!co_await on_account(job)) {
    watch(before);
    co_return too_much();
  }
  notify_.emplace(std::move(next));
  watched_version_ = version;
  listening_ = true;
  co_return Reply::ok("You will hear.");
}

Notify::Teller Session::teller() {
  Notify::Teller teller{out_, utf8_, condstore_};
  if (view_) teller.selected = {view_->owner(), view_->mailbox()};
  return teller;
}

/// Whose mailboxes are reached into now; kept: of these too, as long as they share anything. On the worker.
std::vector<Notify::Owner> Session::notify_owners(const Notify& notify, const std::vector<Notify::Owner>& kept) {
  std::vector<Notify::Owner> owners;
  if (!notify.reaches_others()) return owners;
  auto sharing =
      services_.directory.with([&](store::Directory& directory) { return directory.sharing_with(account_->id); });
  for (store::AccountInfo& info : sharing) {
    Notify::Owner owner{info.id, std::move(info.address)};
    if (notify.reaches(owner.address) || contains(kept, owner)) owners.push_back(std::move(owner));
  }
  return owners;
}

/// Hears of these accounts from now on. False: they are too many. On the loop.
bool Session::watch(std::vector<Notify::Owner> owners) {
  if (owners.size() > kMaxNotifyOwners) return false;
  if (owners == watched_) return true;
  for (const Notify::Owner& owner : owners) services_.registry.watch(owner.id, loop_, *this);
  for (const Notify::Owner& owner : watched_) services_.registry.unwatch(owner.id, loop_, *this);
  watched_ = std::move(owners);
  return true;
}

void Session::stop_notify() {
  watch({});
  notify_.reset();
  listening_ = false;
}

/// What was granted since NOTIFY was said is more than can be told (RFC 5465 5.8).
void Session::notify_overflows() {
  untagged("OK [NOTIFICATIONOVERFLOW] There is more to watch than one session may; nothing is told any more.");
  stop_notify();
}

/// The user's own mailboxes. On the worker.
Notify::Picture Session::picture(store::Account& account, const Notify& notify) {
  Notify::Picture now;
  take_annotations(account, notify.wants_metadata() ? notify.told_up_to(0) : std::nullopt, account_->id, now);
  for (store::Mailbox& mailbox : account.mailboxes()) now.mailboxes.push_back({std::move(mailbox)});
  return now;
}

/// Somebody else's. On the worker.
Notify::Picture Session::picture_in(store::Account& account, const Notify::Owner& owner, const Notify& notify) {
  Notify::Picture now;
  now.owner = owner.id;
  take_annotations(account, notify.wants_metadata() ? notify.told_up_to(owner.id) : std::nullopt, account_->id, now);
  now.mailboxes = shared_mailboxes(account, owner.address, store::right::kLookup);
  for (Listed& listed : now.mailboxes) {
    account.count_for_reader(listed.mailbox);
    listed.mailbox.subscribed = notify.is_subscribed(listed.mailbox.name);
  }
  return now;
}

/// Nothing: they cannot be looked at now.
std::optional<Notify::Picture> Session::picture_of(const Notify::Owner& owner, const Notify& notify) {
  try {
    auto account = open(owner.id);
    return picture_in(*account, owner, notify);
  } catch (const store::SqliteError& error) {
    log_error("account_not_watched", {{"account", owner.id}, {"user", user_}, {"error", error.what()}});
    return std::nullopt;
  }
}

/// The mailboxes of an account as this handle sees them, within its own edit too; nothing: NOTIFY watches none of it.
/// On the worker.
std::optional<Notify::Picture> Session::watched_picture(store::Account& account) {
  if (!notify_) return std::nullopt;
  if (account.id() == account_->id) return picture(account, *notify_);
  auto owner =
      std::find_if(watched_.begin(), watched_.end(), [&](const Notify::Owner& one) { return one.id == account.id(); });
  if (owner == watched_.end()) return std::nullopt;
  return picture_in(account, *owner, *notify_);
}

/// Looks again who shares what NOTIFY asked for. Gives those who no longer do; whose mailboxes are to be looked at
/// besides is added to changed.
asio::awaitable<std::vector<Notify::Owner>> Session::follow_owners(std::vector<store::AccountId>& changed) {
  std::vector<Notify::Owner> gone;
  if (!notify_->reaches_others()) co_return gone;
  const std::vector<Notify::Owner> before = watched_;
  const uint64_t version = services_.directory.version();
  std::vector<Notify::Owner> owners = before;
  bool resubscribed = false;
  auto look = [&](store::Account& account) {
    resubscribed = notify_->set_subscriptions(account.subscriptions());
    if (resubscribed || version != watched_version_) owners = notify_owners(*notify_, before);
  };
  co_await on_account(look);
  watched_version_ = version;
  if (!watch(std::move(owners))) {
    notify_overflows();
    co_return gone;
  }
  for (const Notify::Owner& owner : before) {
    if (!contains(watched_, owner)) gone.push_back(owner);
  }
  for (const Notify::Owner& owner : watched_) {
    if (resubscribed || !contains(before, owner)) changed.push_back(owner.id);
  }
  co_return gone;
}

/// On the worker.
void Session::report_watched(store::Account& account, const std::vector<store::AccountId>& changed,
                             const std::vector<Notify::Owner>& gone) {
  for (const Notify::Owner& owner : gone) {
    Notify::Picture nothing;
    nothing.owner = owner.id;
    notify_->report(nothing, teller());
  }
  notify_->report(picture(account, *notify_), teller());
  for (const Notify::Owner& owner : watched_) {
    if (std::find(changed.begin(), changed.end(), owner.id) == changed.end()) continue;
    if (auto shared = picture_of(owner, *notify_)) notify_->report(*shared, teller());
  }
}

/// Something happened while no command is under way, or in IDLE. The selected mailbox is told of between commands only
/// where NOTIFY asked for it, and then IDLE tells nothing else (RFC 5465 4).
asio::awaitable<void> Session::tell_news(bool idle) {
  std::vector<store::AccountId> changed = std::exchange(changed_, {});
  std::vector<Notify::Owner> gone;
  if (notify_) gone = co_await follow_owners(changed);
  const NotifyGroup* selected = notify_ ? notify_->selected() : nullptr;
  bool wanted = notify_ ? selected != nullptr && selected->events != 0 : idle;
  command_flags_ =
      !idle && selected != nullptr && selected->filter.kind == MailboxFilter::Kind::selected_delayed ? kNumbers : 0u;
  if (wanted) co_await refresh_rights();
  auto job = [&](store::Account& account) {
    if (wanted) report_changes(account);
    if (notify_) report_watched(account, changed, gone);
  };
  if (wanted || notify_) co_await on_account(job);
  if (notify_ && notify_->size() > kMaxNotifyMailboxes) notify_overflows();
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
