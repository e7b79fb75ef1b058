// Which mailboxes a command speaks of (RFC 5465 6, RFC 7377 2.2): by name, or by what they are.
#pragma once

#include <string>
#include <vector>

#include "imapd/proto/cursor.h"

namespace postrider::imap {

constexpr size_t kMaxFilterNames = 1'000;  // names in one command

struct MailboxFilter {
  enum class Kind : uint8_t {
    selected,
    selected_delayed,
    inboxes,   // where mail is delivered to
    personal,  // all of one's own
    subscribed,
    subtree,      // names, and all below them
    subtree_one,  // names, and the level below them
    mailboxes,    // names
  };
  Kind kind = Kind::selected;
  std::vector<std::string> names;
};

/// filter-mailboxes. names: counted over the whole command.
bool parse_mailbox_filter(Cursor& cursor, MailboxFilter& out, size_t& names);

/// Whether a mailbox is meant; for all kinds but the selected ones. own: it is the user's.
bool matches(const MailboxFilter& filter, std::string_view mailbox, bool subscribed, bool own);

}  // namespace postrider::imap
