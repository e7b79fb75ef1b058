// The NOTIFY command (RFC 5465).
#include <algorithm>

#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

struct EventName {
  std::string_view name;
  NotifyEvent event;
};
constexpr EventName kEvents[] = {
    {"MESSAGENEW", kMessageNew},
    {"MESSAGEEXPUNGE", kMessageExpunge},
    {"FLAGCHANGE", kFlagChange},
    {"MAILBOXNAME", kMailboxName},
    {"SUBSCRIPTIONCHANGE", kSubscriptionChange},
    {"MAILBOXMETADATACHANGE", kMailboxMetadataChange},
    {"SERVERMETADATACHANGE", kServerMetadataChange},
};

bool event(Cursor& cursor, NotifyCommand& command, NotifyGroup& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  auto known = std::find_if(std::begin(kEvents), std::end(kEvents), [&](const auto& e) { return e.name == name; });
  if (known == std::end(kEvents)) {
    command.unknown_event = true;
    return true;
  }
  out.events |= known->event;
  bool attributes = known->event == kMessageNew && cursor.rest().starts_with(" (");
  return !attributes || (cursor.space() && parse_fetch_items(cursor, out.items));
}

/// What goes together (RFC 5465 3 and 5).
bool check_group(Cursor& cursor, const NotifyGroup& group) {
  bool selected = group.filter.kind == Kind::selected || group.filter.kind == Kind::selected_delayed;
  constexpr unsigned kBoth = kMessageNew | kMessageExpunge;
  bool messages = (group.events & (kBoth | kFlagChange)) != 0;
  if (messages && (group.events & kBoth) != kBoth)
    return cursor.fail("MessageNew and MessageExpunge go together, and FlagChange goes with both.");
  if (selected && (group.events & ~(kBoth | kFlagChange)) != 0)
    return cursor.fail("The selected mailbox has message events only.");
  if (!selected && !group.items.empty()) return cursor.fail("Only messages of the selected mailbox are fetched.");
  return true;
}

// event-group = "(" filter-mailboxes SP ("(" event *(SP event) ")" / "NONE") ")"
bool event_group(Cursor& cursor, NotifyCommand& command, size_t& names) {
  NotifyGroup& group = command.groups.emplace_back();
  if (!cursor.expect('(') || !parse_mailbox_filter(cursor, group.filter, names) || !cursor.space()) return false;
  if (!cursor.skip_word("NONE") && !cursor.list([&] { return event(cursor, command, group); })) return false;
  return cursor.expect(')') && check_group(cursor, group);
}

}  // namespace

bool parse_notify(Cursor& cursor, NotifyCommand& out) {
  if (!cursor.space()) return false;
  if (cursor.skip_word("NONE")) return cursor.end();
  if (!cursor.skip_word("SET")) return cursor.fail("NOTIFY takes SET or NONE.");
  if (!cursor.space()) return false;
  out.status = cursor.skip_word("STATUS");
  if (out.status && !cursor.space()) return false;
  size_t names = 0, selected = 0;
  do {
    if (out.groups.size() >= kMaxNotifyGroups) return cursor.fail("There are too many event groups.");
    if (!event_group(cursor, out, names)) return false;
    Kind kind = out.groups.back().filter.kind;
    selected += kind == Kind::selected || kind == Kind::selected_delayed;
  } while (cursor.skip(' '));
  if (selected > 1) return cursor.fail("The selected mailbox can be named once.");
  return cursor.end();
}

}  // namespace postrider::imap
