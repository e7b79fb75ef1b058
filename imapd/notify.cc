#include "imapd/notify.h"

#include <algorithm>

#include "imapd/list.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/proto/writer.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

constexpr unsigned kMessageEvents = kMessageNew | kMessageExpunge | kFlagChange;

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

bool names_places(const MailboxFilter& filter) {
  return filter.kind == Kind::subtree || filter.kind == Kind::subtree_one || filter.kind == Kind::mailboxes;
}

bool is_selected(const Notify::Teller& teller, const Listed& listed) {
  return teller.selected == std::pair(listed.owner, listed.mailbox.id);
}

/// Whether a mailbox above it was told to have a new name, which its own follows from (RFC 5465 5.4).
bool follows(const std::vector<std::pair<std::string, std::string>>& told, std::string_view from, std::string_view to) {
  return std::any_of(told.begin(), told.end(), [&](const auto& above) {
    const auto& [old_name, name] = above;
    bool below = from.size() > old_name.size() && from.starts_with(old_name) && from[old_name.size()] == kDelimiter;
    return below && to.starts_with(name) && to.substr(name.size()) == from.substr(old_name.size());
  });
}

}  // namespace

Notify::Notify(NotifyCommand command) : groups_(std::move(command.groups)) {}

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

bool Notify::reaches_others() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const NotifyGroup& group) {
    const MailboxFilter& filter = group.filter;
    auto others = [](const std::string& name) { return is_others(name); };
    return group.events != 0 &&
           (filter.kind == Kind::subscribed ||
            (names_places(filter) && std::any_of(filter.names.begin(), filter.names.end(), others)));
  });
}

bool Notify::reaches(std::string_view address) const {
  const std::string root = fmt::format("{}{}", kOthersPrefix, address), inside = root + kDelimiter;
  auto below = [&](const std::string& name) { return name.starts_with(inside); };
  return std::any_of(groups_.begin(), groups_.end(), [&](const NotifyGroup& group) {
    const MailboxFilter& filter = group.filter;
    auto meant = [&](const std::string& name) {
      if (filter.kind == Kind::mailboxes) return below(name);
      return name == root || below(name) || (filter.kind == Kind::subtree && inside.starts_with(name + kDelimiter));
    };
    if (group.events == 0) return false;
    if (filter.kind == Kind::subscribed) return std::any_of(subscriptions_.begin(), subscriptions_.end(), below);
    return names_places(filter) && std::any_of(filter.names.begin(), filter.names.end(), meant);
  });
}

bool Notify::set_subscriptions(std::vector<std::string> names) {
  std::erase_if(names, [](const std::string& name) { return !is_others(name); });
  if (names == subscriptions_) return false;
  subscriptions_ = std::move(names);
  return true;
}

bool Notify::is_subscribed(const std::string& name) const {
  return std::binary_search(subscriptions_.begin(), subscriptions_.end(), name);
}

std::optional<store::ModSeq> Notify::told_up_to(store::AccountId owner) const {
  auto found = told_.find(owner);
  return found == told_.end() ? std::nullopt : std::optional(found->second.modseq);
}

size_t Notify::size() const {
  size_t all = 0;
  for (const auto& [owner, told] : told_) all += told.mailboxes.size();
  return all;
}

Notify::Mailboxes Notify::known_of(const Picture& picture) {
  Mailboxes all;
  std::map<std::string_view, Known*> by_name;
  for (const auto& [mailbox, owner, rights] : picture.mailboxes) {
    Known known;
    known.name = mailbox.name;
    known.uid_next = mailbox.uid_next;
    known.messages = mailbox.messages;
    known.modseq = mailbox.highest_modseq;
    known.readable = (rights & store::right::kRead) != 0;
    known.subscribed = mailbox.subscribed;
    Known& kept = all.emplace(mailbox.id, std::move(known)).first->second;
    by_name.emplace(kept.name, &kept);
  }
  for (const auto& [name, known] : by_name) {
    for (size_t end = name.rfind(kDelimiter); end != std::string_view::npos && end > 0;
         end = name.rfind(kDelimiter, end - 1)) {
      if (auto above = by_name.find(name.substr(0, end)); above != by_name.end()) above->second->has_children = true;
    }
  }
  return all;
}

unsigned Notify::events_of(const Known& known, bool own) const {
  unsigned events = 0;
  for (const NotifyGroup& group : groups_) {
    if (matches(group.filter, known.name, known.subscribed, own)) events |= group.events;
  }
  return events;
}

void Notify::begin(const Picture& now, bool status, const Teller& teller) {
  Told& told = told_[now.owner];
  told = {now.modseq, known_of(now)};
  for (const Listed& listed : now.mailboxes) {
    const Known& known = told.mailboxes.at(listed.mailbox.id);
    unsigned events = events_of(known, listed.own());
    if (!known.readable && events != 0) append_list_line(teller.out, "\\NoAccess", known.name, teller.utf8);
    if (known.readable && status && (events & kMessageEvents) != 0 && !is_selected(teller, listed))
      append_counts(teller.out, listed.mailbox, events, teller);
  }
}

/// One LIST response for whatever is different of a mailbox but its messages (RFC 5465 5.4, 5.5, 5.9). Whether the user
/// may know of a mailbox of somebody else is told to whoever hears anything of it.
void Notify::report_name(const Listed& listed, const Known& is, const Known* was, Renames& told,
                         const Teller& teller) const {
  const unsigned events = events_of(is, listed.own());
  const unsigned any = events | (was != nullptr ? events_of(*was, listed.own()) : 0);
  const bool access = !listed.own() && any != 0;
  const bool renamed = was != nullptr && was->name != is.name;
  bool tell = false;
  if (was == nullptr) {
    tell = access || (events & kMailboxName) != 0;
  } else {
    tell = (access && was->readable != is.readable) ||
           ((any & kSubscriptionChange) != 0 && was->subscribed != is.subscribed) ||
           ((any & kMailboxName) != 0 &&
            (was->has_children != is.has_children || (renamed && !follows(told, was->name, is.name))));
  }
  if (!tell) return;
  std::string attributes = is.has_children ? "\\HasChildren" : "\\HasNoChildren";
  if (is.subscribed) attributes.insert(0, "\\Subscribed ");
  if (!is.readable) attributes.insert(0, "\\NoAccess ");
  if (!listed.mailbox.special_use.empty()) attributes += ' ' + listed.mailbox.special_use;
  append_list_line(teller.out, attributes, is.name, teller.utf8, renamed ? was->name : std::string_view());
  if (renamed) told.emplace_back(was->name, is.name);
}

void Notify::report_messages(const Listed& listed, const Known& is, const Known* was, const Teller& teller) const {
  if (!is.readable || is_selected(teller, listed)) return;
  const Known nothing;
  const Known& before = was != nullptr && was->readable ? *was : nothing;
  if (is.modseq == before.modseq || (&before == &nothing && is.messages == 0)) return;
  unsigned events = events_of(is, listed.own());
  bool came = is.uid_next != before.uid_next;
  bool went = is.messages != before.messages + (is.uid_next - before.uid_next);
  bool wanted =
      (came && (events & kMessageNew) != 0) || (went && (events & kMessageExpunge) != 0) || (events & kFlagChange) != 0;
  if (wanted) append_counts(teller.out, listed.mailbox, events, teller);
}

void Notify::report(const Picture& now, const Teller& teller) {
  Told& told = told_[now.owner];
  Mailboxes known = known_of(now);
  Renames renames;
  for (const Listed& listed : now.mailboxes) {
    const Known& is = known.at(listed.mailbox.id);
    auto found = told.mailboxes.find(listed.mailbox.id);
    const Known* was = found == told.mailboxes.end() ? nullptr : &found->second;
    report_name(listed, is, was, renames, teller);
    report_messages(listed, is, was, teller);
  }
  for (const auto& [id, was] : told.mailboxes) {
    if (known.contains(id)) continue;
    const unsigned events = events_of(was, now.owner == 0);
    // Somebody else's may be there still: the answer is the same.
    if (now.owner != 0 && events != 0) append_list_line(teller.out, "\\NonExistent \\NoAccess", was.name, teller.utf8);
    if (now.owner == 0 && (events & kMailboxName) != 0)
      append_list_line(teller.out, "\\NonExistent", was.name, teller.utf8);
  }
  report_metadata(now, known, teller);
  told = {now.modseq, std::move(known)};
  if (now.owner != 0 && now.mailboxes.empty()) told_.erase(now.owner);
}

/// Names of entries without their values (RFC 5465 5.6, 5.7; RFC 5464 4.4.2).
void Notify::report_metadata(const Picture& now, const Mailboxes& known, const Teller& teller) const {
  bool server = now.owner == 0 && std::any_of(groups_.begin(), groups_.end(), [](const NotifyGroup& group) {
                  return (group.events & kServerMetadataChange) != 0;
                });
  for (const store::Annotation& changed : now.annotations) {
    auto mailbox = known.find(changed.mailbox);
    std::string_view name;
    if (changed.mailbox == store::kServerAnnotations) {
      if (!server) continue;
    } else if (mailbox == known.end() || !mailbox->second.readable ||
               (events_of(mailbox->second, now.owner == 0) & kMailboxMetadataChange) == 0) {
      continue;
    } else {
      name = mailbox->second.name;
    }
    teller.out += "* METADATA ";
    append_mailbox(teller.out, name, teller.utf8);
    teller.out += ' ';
    append_astring(teller.out, changed.name);
    teller.out += "\r\n";
  }
}

}  // namespace postrider::imap
