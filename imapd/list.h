// The answers of LIST and LSUB (RFC 3501 6.3.8, 6.3.9; RFC 5258, 5819, 6154), made from an account's mailboxes.
#pragma once

#include <string>
#include <vector>

#include "imapd/proto/command.h"
#include "imapd/proto/writer.h"
#include "store/account.h"

namespace postrider::imap {

/// mailboxes: sorted by name, as the store gives them; subscriptions: names, sorted. Appends untagged responses.
void append_list(std::string& out, const ListCommand& command, const std::vector<store::Mailbox>& mailboxes,
                 const std::vector<std::string>& subscriptions);
void append_lsub(std::string& out, const ListCommand& command, const std::vector<store::Mailbox>& mailboxes,
                 const std::vector<std::string>& subscriptions);

StatusValues status_values(const store::Mailbox& mailbox);

}  // namespace postrider::imap
