#include "imapd/recents.h"

#include <algorithm>

namespace postrider::imap {

store::UidRanges Recents::untold(store::AccountId account, store::MailboxId mailbox, const store::UidRanges& uids,
                                 bool claim) {
  std::lock_guard lock(mutex_);
  if (next_.size() >= kMaxMailboxes) next_.clear();
  store::Uid& next = next_.try_emplace({account, mailbox}, 0).first->second;
  store::UidRanges untold;
  for (const store::UidRange& range : uids) {
    if (range.last >= next) untold.push_back({std::max(range.first, next), range.last});
  }
  if (claim && !untold.empty()) next = untold.back().last + 1;
  return untold;
}

store::Uid Recents::first(store::AccountId account, store::MailboxId mailbox, store::Uid stored) {
  std::lock_guard lock(mutex_);
  auto found = next_.find({account, mailbox});
  return found == next_.end() ? stored : std::max(stored, found->second);
}

}  // namespace postrider::imap
