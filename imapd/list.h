// The answers of LIST, LSUB and STATUS (RFC 9051 6.3.9, 6.3.11; RFC 5258, 5819, 6154), made from an account's
// mailboxes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "imapd/place.h"
#include "imapd/proto/command.h"
#include "imapd/proto/writer.h"
#include "store/account.h"

namespace postrider::imap {

struct ListSource {
  std::vector<Listed> mailboxes;
  std::vector<std::string> subscriptions;  // names, sorted
  bool utf8 = false;                       // names are told in UTF-8
  /// Appends what the command wants to know of a mailbox besides: STATUS, MYRIGHTS, METADATA.
  std::function<void(std::string&, const Listed&)> details;
};

/// Append untagged responses.
void append_list(std::string& out, const ListCommand& command, const ListSource& source);
void append_lsub(std::string& out, const ListCommand& command, const ListSource& source);
/// The LIST response that SELECT gives in IMAP4rev2 (RFC 9051 6.3.2).
void append_selected_name(std::string& out, std::string_view name, std::string_view special_use, bool utf8);
void append_status_line(std::string& out, std::string_view name, unsigned items, const StatusValues& values, bool utf8);

/// items: only what costs something is left out where it was not asked for.
/// owner: of a mailbox of another user; 0: one's own.
StatusValues status_values(store::Account& account, const store::Mailbox& mailbox, unsigned items,
                           uint64_t append_limit, store::AccountId owner = 0);

/// The OBJECTID of a mailbox (RFC 8474).
std::string mailbox_id(store::MailboxId mailbox, store::AccountId owner = 0);

}  // namespace postrider::imap
