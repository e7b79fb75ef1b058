// What edit.cc and edit_mailbox.cc share.
#pragma once

#include "store/account.h"
#include "store/writer_lock.h"

namespace postrider::store {

/// What this edit does to one mailbox: its new counters, and the UIDs for the log.
struct Edit::Delta {
  Mailbox mailbox;
  UidRanges added, expunged, flags;
  bool mailbox_changed = false;
  bool changed() const { return mailbox_changed || !added.empty() || !expunged.empty() || !flags.empty(); }
};

/// What the person over quota is told. quota: octets.
StoreFailure over_quota(uint64_t quota);

}  // namespace postrider::store
