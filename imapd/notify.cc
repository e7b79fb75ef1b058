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

/// What one picture of an account has that the one before had not.
class Notify::Report {
 public:
  Report(const Notify& notify, const Told& told, const Picture& now, const Teller& teller)
      : notify_(notify), told_(told.mailboxes), now_(now), known_(known_of(now)), teller_(teller) {
    for (const auto& [id, was] : told_) before_.emplace(was.name, id);
  }

  /// Names that are gone come first: something else may have them now.
  void tell() {
    for (const auto& [id, was] : told_) {
      if (!known_.contains(id)) tell_gone(was);
    }
    for (const Listed& listed : now_.mailboxes) tell_mailbox(listed);
    tell_metadata();
  }
  Mailboxes take_known() { return std::move(known_); }

 private:
  bool own() const { return now_.owner == 0; }
  unsigned events_of(const Known& known) const { return notify_.events_of(known, own()); }
  void tell_gone(const Known& was);
  void tell_mailbox(const Listed& listed);
  bool differs(const Known& is, const Known* was, bool renamed) const;
  bool moves_whole(const Known& was, const Known& is) const;
  bool is_taken(std::string_view name) const { return first_from(name) == name; }
  std::string_view first_from(std::string_view text) const;
  void tell_name(const Listed& listed, const Known& is, std::string_view old_name);
  void tell_messages(const Listed& listed, const Known& is, const Known* was);
  void tell_metadata();
  /// Somebody else's mailbox is watched from when it may be read on; what changed before is not told.
  bool was_readable(store::MailboxId mailbox) const {
    auto was = told_.find(mailbox);
    return own() || (was != told_.end() && was->second.readable);
  }

  const Notify& notify_;
  const Mailboxes& told_;
  const Picture& now_;
  Mailboxes known_;
  const Teller& teller_;
  std::map<std::string_view, store::MailboxId> before_;       // told_ by name
  std::vector<std::pair<std::string, std::string>> renames_;  // told with the old name: all below goes along
};

void Notify::report(const Picture& now, const Teller& teller) {
  Told& told = told_[now.owner];
  Report report(*this, told, now, teller);
  report.tell();
  told = {now.modseq, report.take_known()};
  if (now.owner != 0 && now.mailboxes.empty()) told_.erase(now.owner);
}

/// Somebody else's may be there still: the answer is the same.
void Notify::Report::tell_gone(const Known& was) {
  const unsigned events = events_of(was);
  if (own() ? (events & kMailboxName) == 0 : events == 0) return;
  append_list_line(teller_.out, own() ? "\\NonExistent" : "\\NonExistent \\NoAccess", was.name, teller_.utf8);
}

/// One LIST response for whatever is different of a mailbox but its messages (RFC 5465 5.4, 5.5, 5.9), and STATUS for
/// those.
void Notify::Report::tell_mailbox(const Listed& listed) {
  const Known& is = known_.at(listed.mailbox.id);
  auto found = told_.find(listed.mailbox.id);
  const Known* was = found == told_.end() ? nullptr : &found->second;
  const bool renamed = was != nullptr && was->name != is.name && !follows(renames_, was->name, is.name);
  const bool whole = renamed && moves_whole(*was, is);
  if (differs(is, was, renamed)) {
    // A name that something below is to keep, or something else has now, is not one that moved: it ended, and began.
    if (renamed && !whole && !is_taken(was->name)) tell_gone(*was);
    tell_name(listed, is, whole ? std::string_view(was->name) : std::string_view());
    if (whole) renames_.emplace_back(was->name, is.name);
  }
  if (renamed && !whole) was = nullptr;
  tell_messages(listed, is, was);
}

/// Whether the user may know of a mailbox of somebody else is told to whoever hears anything of it.
bool Notify::Report::differs(const Known& is, const Known* was, bool renamed) const {
  const unsigned any = events_of(is) | (was != nullptr ? events_of(*was) : 0);
  const bool names = (any & kMailboxName) != 0, access = !own() && any != 0;
  if (was == nullptr) return names || access;
  return (access && was->readable != is.readable) ||
         ((any & kSubscriptionChange) != 0 && was->subscribed != is.subscribed) ||
         (names && (renamed || was->has_children != is.has_children));
}

/// Nothing has the old name now, and all that was below it is gone, or below the new one.
bool Notify::Report::moves_whole(const Known& was, const Known& is) const {
  const std::string below = was.name + kDelimiter;
  if (is_taken(was.name) || first_from(below).starts_with(below)) return false;
  for (auto child = before_.lower_bound(below); child != before_.end() && child->first.starts_with(below); ++child) {
    auto now = known_.find(child->second);
    if (now != known_.end() && now->second.name != is.name + std::string(child->first.substr(was.name.size())))
      return false;
  }
  return true;
}

/// The first of the names that there are now, from this text on; empty: there is none.
std::string_view Notify::Report::first_from(std::string_view text) const {
  auto at = std::lower_bound(now_.mailboxes.begin(), now_.mailboxes.end(), text,
                             [](const Listed& one, std::string_view from) { return one.mailbox.name < from; });
  return at == now_.mailboxes.end() ? std::string_view() : std::string_view(at->mailbox.name);
}

void Notify::Report::tell_name(const Listed& listed, const Known& is, std::string_view old_name) {
  std::string attributes = is.has_children ? "\\HasChildren" : "\\HasNoChildren";
  if (is.subscribed) attributes.insert(0, "\\Subscribed ");
  if (!is.readable) attributes.insert(0, "\\NoAccess ");
  if (!listed.mailbox.special_use.empty()) attributes += ' ' + listed.mailbox.special_use;
  append_list_line(teller_.out, attributes, is.name, teller_.utf8, old_name);
}

/// was: null where its messages were not told of under the name that it has. Then the client may take those of another
/// for them.
void Notify::Report::tell_messages(const Listed& listed, const Known& is, const Known* was) {
  if (!is.readable || is_selected(teller_, listed)) return;
  if (was != nullptr && !was->readable) was = nullptr;
  auto other = before_.find(is.name);
  const bool reused = other != before_.end() && told_.at(other->second).readable;
  const Known before = was != nullptr ? *was : Known();
  if (is.modseq == before.modseq || (was == nullptr && is.uid_next <= 1 && !reused)) return;
  const unsigned events = events_of(is);
  bool came = is.uid_next != before.uid_next;
  bool went = is.messages != before.messages + (is.uid_next - before.uid_next);
  bool wanted =
      (came && (events & kMessageNew) != 0) || (went && (events & kMessageExpunge) != 0) || (events & kFlagChange) != 0;
  if (wanted) append_counts(teller_.out, listed.mailbox, events, teller_);
}

/// Names of entries without their values (RFC 5465 5.6, 5.7; RFC 5464 4.4.2).
void Notify::Report::tell_metadata() {
  bool server = own() && std::any_of(notify_.groups_.begin(), notify_.groups_.end(), [](const NotifyGroup& group) {
                  return (group.events & kServerMetadataChange) != 0;
                });
  for (const store::Annotation& changed : now_.annotations) {
    auto mailbox = known_.find(changed.mailbox);
    std::string_view name;
    if (changed.mailbox == store::kServerAnnotations) {
      if (!server) continue;
    } else if (mailbox == known_.end() || !mailbox->second.readable || !was_readable(changed.mailbox) ||
               (events_of(mailbox->second) & kMailboxMetadataChange) == 0) {
      continue;
    } else {
      name = mailbox->second.name;
    }
    teller_.out += "* METADATA ";
    append_mailbox(teller_.out, name, teller_.utf8);
    teller_.out += ' ';
    append_astring(teller_.out, changed.name);
    teller_.out += "\r\n";
  }
}

}  // namespace postrider::imap
