// NOTIFY (RFC 5465): what a session wants to hear of mailboxes, the selected one and others, while it does nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "imapd/proto/parser.h"
#include "store/account.h"

namespace postrider::imap {

class Notify {
 public:
  /// What is there now is taken as told.
  Notify(NotifyCommand command, store::Account& account);

  /// Some group wants to hear of annotations.
  bool wants_metadata() const;

  struct Teller {
    std::string& out;
    bool utf8 = false;
    bool condstore = false;
    store::MailboxId selected = 0;  // 0: none
  };
  /// Appends what has changed in mailboxes other than the selected one since it was last asked.
  void report(store::Account& account, const Teller& teller);
  /// STATUS of every mailbox whose messages are watched, but the selected one.
  void report_status(store::Account& account, const Teller& teller) const;

  /// What is wanted of the selected mailbox; null: nothing was said of it.
  const NotifyGroup* selected() const;

 private:
  struct Known {
    std::string name;
    store::Uid uid_next = 0;
    uint32_t messages = 0, unseen = 0;
    store::ModSeq modseq = 0;
    bool subscribed = false;
  };
  static Known known_of(const store::Mailbox& mailbox);
  /// Of the first group that means the mailbox.
  unsigned events_of(std::string_view name, bool subscribed) const;
  void report_metadata(store::Account& account, const Teller& teller) const;
  void report_messages(const store::Mailbox& mailbox, const Known& before, const Teller& teller) const;

  std::vector<NotifyGroup> groups_;
  store::ModSeq modseq_ = 0;
  std::map<store::MailboxId, Known> known_;
};

}  // namespace postrider::imap
