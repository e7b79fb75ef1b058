// What edit.cc and edit_mailbox.cc share.
#pragma once

#include "store/account.h"
#include "store/writer_lock.h"

namespace postrider::store {

/// What this edit does to one mailbox: its new counters, and the UIDs for the log.
struct Edit::Delta {
  Mailbox mailbox;
  UidRanges added, expunged, flags;
  UidRanges seen;  // of what was added, by the reader whose handle it is
  bool mailbox_changed = false;
  bool changed() const { return mailbox_changed || !added.empty() || !expunged.empty() || !flags.empty(); }
};

}  // namespace postrider::store
