// NOTIFY (RFC 5465): what a session wants to hear of mailboxes, the selected one and others, while it does nothing. It
// is shown what an account's mailboxes look like to the user, one account at a time, and says what is different.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imapd/place.h"
#include "imapd/proto/parser.h"
#include "store/account.h"

namespace postrider::imap {

constexpr size_t kMaxNotifyOwners = 100;        // other users whose mailboxes one session hears of
constexpr size_t kMaxNotifyMailboxes = 50'000;  // of all accounts that it hears of together

class Notify {
 public:
  explicit Notify(NotifyCommand command);

  /// Somebody who shares mailboxes with the user.
  struct Owner {
    store::AccountId id = 0;  // 0: the user
    std::string address;
    bool operator==(const Owner&) const = default;
  };
  /// Some group can mean mailboxes of others.
  bool reaches_others() const;
  /// Whether a mailbox that this other user has, or may have one day, can be meant.
  bool reaches(std::string_view address) const;
  /// Names that the user subscribed to, sorted. True: those in accounts of others are not the ones of before.
  bool set_subscriptions(std::vector<std::string> names);
  bool is_subscribed(const std::string& name) const;
  /// Some group wants to hear of annotations.
  bool wants_metadata() const;

  /// The mailboxes of an account that the user may know of, as the user sees them.
  struct Picture {
    store::AccountId owner = 0;  // 0: the user
    store::ModSeq modseq = 0;
    std::vector<Listed> mailboxes;               // by name
    std::vector<store::Annotation> annotations;  // that changed since told_up_to()
  };
  struct Teller {
    std::string& out;
    bool utf8 = false;
    bool condstore = false;
    std::pair<store::AccountId, store::MailboxId> selected = {};  // owner and mailbox; mailbox 0: none
  };
  /// Takes what there is as told, but for what may not be read (RFC 5465 3.1). status: the messages of what is watched,
  /// but for the selected mailbox, are told too.
  void begin(const Picture& now, bool status, const Teller& teller);
  /// Tells what is different since the last picture of the account. Nothing in it: the user may know of none any more.
  void report(const Picture& now, const Teller& teller);
  /// Takes what there is now as told: the session itself has made it so.
  void take(const Picture& now) { told_[now.owner] = {now.modseq, known_of(now)}; }
  /// The modseq of the last picture of an account; nothing: there was none.
  std::optional<store::ModSeq> told_up_to(store::AccountId owner) const;
  /// Mailboxes that are watched for changes.
  size_t size() const;

  /// What is wanted of the selected mailbox; null: nothing was said of it.
  const NotifyGroup* selected() const;

 private:
  struct Known {
    std::string name;
    store::Uid uid_next = 0;
    uint32_t messages = 0;
    store::ModSeq modseq = 0;
    bool readable = false, subscribed = false, has_children = false;
  };
  using Mailboxes = std::map<store::MailboxId, Known>;
  struct Told {
    store::ModSeq modseq = 0;
    Mailboxes mailboxes;
  };
  class Report;

  static Mailboxes known_of(const Picture& picture);
  /// Of all groups that mean the mailbox (RFC 5465 6).
  unsigned events_of(const Known& known, bool own) const;

  std::vector<NotifyGroup> groups_;
  std::vector<std::string> subscriptions_;  // in accounts of others, sorted
  std::map<store::AccountId, Told> told_;
};

}  // namespace postrider::imap
