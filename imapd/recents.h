// Which session a message is \Recent to (RFC 3501 2.3.2): the first that was told of it, and no other.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "store/types.h"

namespace postrider::imap {

/// What the sessions of this process were told; the store is told later, when they leave. From any thread.
class Recents {
 public:
  /// Those of the UIDs that no session was told of yet. They are the caller's from now on, when claim says so.
  store::UidRanges untold(store::AccountId account, store::MailboxId mailbox, const store::UidRanges& uids, bool claim);
  /// The first UID that is recent to nobody yet. stored: what the store says.
  store::Uid first(store::AccountId account, store::MailboxId mailbox, store::Uid stored);

 private:
  static constexpr size_t kMaxMailboxes = 20'000;  // with more, all are forgotten: some messages are recent twice
  std::mutex mutex_;
  std::map<std::pair<store::AccountId, store::MailboxId>, store::Uid> next_;
};

}  // namespace postrider::imap
