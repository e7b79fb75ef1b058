#include "mta/filter_changes.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/config/config.h"
#include "common/mail/address.h"

namespace postrider {

MilterClient::Surroundings filter_surroundings(const Config& config) {
  MilterClient::Surroundings surroundings;
  surroundings.max_message_size = config.smtp.max_message_size;
  surroundings.timeouts = {config.milter.connect_timeout, config.milter.command_timeout, config.milter.content_timeout};
  surroundings.on_failure = config.milter.on_failure;
  return surroundings;
}

FilterNotes notes_of(const MilterMessage& changed) {
  FilterNotes notes;
  if (!changed.spam.empty()) {
    notes.junk = true;
    append_format(notes.checks, " junk=\"{}\"", changed.spam);
  }
  if (changed.quarantine) {
    notes.held = "held by a filter: " + *changed.quarantine;
    append_format(notes.checks, " held=\"{}\"", *changed.quarantine);
  }
  return notes;
}

bool change_sender(const MilterMessage& changed, std::string& reverse_path) {
  if (!changed.sender) return true;
  const auto sender = parse_mailbox(*changed.sender, Utf8::allowed);
  if (!sender && !changed.sender->empty()) return false;
  reverse_path = sender ? sender->to_string() : std::string();
  return true;
}

void remove_recipients(std::vector<store::QueuedRecipient>& recipients, const std::vector<std::string>& removed,
                       const std::function<void(const store::QueuedRecipient&)>& gone) {
  std::erase_if(recipients, [&](const store::QueuedRecipient& recipient) {
    const auto is_it = [&](const std::string& address) { return iequals(recipient.original, address); };
    if (std::none_of(removed.begin(), removed.end(), is_it)) return false;
    gone(recipient);
    return true;
  });
}

void mark_recipients(std::vector<store::QueuedRecipient>& recipients, bool discarded, const std::string& held) {
  for (store::QueuedRecipient& recipient : recipients) {
    // What a filter throws away has its line in the ledger like anything else that an administrator removes.
    if (discarded) recipient.wish = store::Wish::remove;
    if (held.empty() || discarded) continue;
    recipient.hold = store::Hold::administrator;
    recipient.last_reply = held;
  }
}

}  // namespace postrider
