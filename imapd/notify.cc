#include "imapd/notify.h"

#include <algorithm>

#include "imapd/list.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/proto/writer.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

void append_list_line(std::string& out, std::string_view attributes, std::string_view name, bool utf8,
                      std::string_view old_name = {}) {
  append_format(out, "* LIST ({}) \"{}\" ", attributes, kDelimiter);
  append_mailbox(out, name, utf8);
  if (!old_name.empty()) {
    out += " (\"OLDNAME\" (";
    append_mailbox(out, old_name, utf8);
    out += "))";
  }
  out += "\r\n";
}

void append_counts(std::string& out, const store::Mailbox& mailbox, unsigned events, const Notify::Teller& teller) {
  out += "* STATUS ";
  append_mailbox(out, mailbox.name, teller.utf8);
  append_format(out, " (MESSAGES {} UIDNEXT {} UIDVALIDITY {} UNSEEN {}", mailbox.messages, mailbox.uid_next,
                mailbox.uid_validity, mailbox.unseen);
  if (teller.condstore || (events & kFlagChange) != 0) append_format(out, " HIGHESTMODSEQ {}", mailbox.highest_modseq);
  out += ")\r\n";
}

}  // namespace

Notify::Notify(NotifyCommand command, store::Account& account) : groups_(std::move(command.groups)) {
  modseq_ = account.modseq();
  for (const store::Mailbox& mailbox : account.mailboxes()) known_.emplace(mailbox.id, known_of(mailbox));
}

Notify::Known Notify::known_of(const store::Mailbox& mailbox) {
  return Known{mailbox.name,   mailbox.uid_next,       mailbox.messages,
               mailbox.unseen, mailbox.highest_modseq, mailbox.subscribed};
}

const NotifyGroup* Notify::selected() const {
  for (const NotifyGroup& group : groups_) {
    if (group.filter.kind == Kind::selected || group.filter.kind == Kind::selected_delayed) return &group;
  }
  return nullptr;
}

bool Notify::wants_metadata() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const NotifyGroup& group) {
    return (group.events & (kMailboxMetadataChange | kServerMetadataChange)) != 0;
  });
}

/// Names of entries without their values (RFC 5465 5.6, 5.7; RFC 5464 4.4.2).
void Notify::report_metadata(store::Account& account, const Teller& teller) const {
  bool server = std::any_of(groups_.begin(), groups_.end(),
                            [](const NotifyGroup& group) { return (group.events & kServerMetadataChange) != 0; });
  for (const store::Annotation& changed : account.annotations_since(modseq_, account.id())) {
    auto known = known_.find(changed.mailbox);
    std::string_view name;
    if (changed.mailbox == store::kServerAnnotations) {
      if (!server) continue;
    } else if (known == known_.end() ||
               (events_of(known->second.name, known->second.subscribed) & kMailboxMetadataChange) == 0) {
      continue;
    } else {
      name = known->second.name;
    }
    teller.out += "* METADATA ";
    append_mailbox(teller.out, name, teller.utf8);
    teller.out += ' ';
    append_astring(teller.out, changed.name);
    teller.out += "\r\n";
  }
}

unsigned Notify::events_of(std::string_view name, bool subscribed) const {
  for (const NotifyGroup& group : groups_) {
    if (matches(group.filter, name, subscribed)) return group.events;
  }
  return 0;
}

void Notify::report_messages(const store::Mailbox& mailbox, const Known& before, const Teller& teller) const {
  if (mailbox.id == teller.selected || mailbox.highest_modseq == before.modseq) return;
  unsigned events = events_of(mailbox.name, mailbox.subscribed);
  bool came = mailbox.uid_next != before.uid_next;
  bool went = mailbox.messages != before.messages + (mailbox.uid_next - before.uid_next);
  bool wanted =
      (came && (events & kMessageNew) != 0) || (went && (events & kMessageExpunge) != 0) || (events & kFlagChange) != 0;
  if (wanted) append_counts(teller.out, mailbox, events, teller);
}

void Notify::report(store::Account& account, const Teller& teller) {
  store::ModSeq modseq = account.modseq();
  std::map<store::MailboxId, Known> now;
  for (const store::Mailbox& mailbox : account.mailboxes()) {
    now.emplace(mailbox.id, known_of(mailbox));
    unsigned events = events_of(mailbox.name, mailbox.subscribed);
    auto before = known_.find(mailbox.id);
    if (before == known_.end()) {
      if (events & kMailboxName) append_list_line(teller.out, mailbox.special_use, mailbox.name, teller.utf8);
      if (mailbox.messages > 0) report_messages(mailbox, Known(), teller);
      continue;
    }
    const Known& known = before->second;
    bool renamed = mailbox.name != known.name;
    if (renamed && ((events | events_of(known.name, known.subscribed)) & kMailboxName) != 0)
      append_list_line(teller.out, mailbox.special_use, mailbox.name, teller.utf8, known.name);
    if (!renamed && mailbox.subscribed != known.subscribed &&
        ((events | events_of(known.name, known.subscribed)) & kSubscriptionChange) != 0)
      append_list_line(teller.out, mailbox.subscribed ? "\\Subscribed" : "", mailbox.name, teller.utf8);
    report_messages(mailbox, known, teller);
  }
  for (const auto& [id, known] : known_) {
    if (!now.contains(id) && (events_of(known.name, known.subscribed) & kMailboxName) != 0)
      append_list_line(teller.out, "\\NonExistent", known.name, teller.utf8);
  }
  known_ = std::move(now);
  if (wants_metadata()) report_metadata(account, teller);
  modseq_ = modseq;
}

void Notify::report_status(store::Account& account, const Teller& teller) const {
  for (const store::Mailbox& mailbox : account.mailboxes()) {
    unsigned events = events_of(mailbox.name, mailbox.subscribed);
    bool watched = (events & (kMessageNew | kMessageExpunge | kFlagChange)) != 0;
    if (watched && mailbox.id != teller.selected) append_counts(teller.out, mailbox, events, teller);
  }
}

}  // namespace postrider::imap
