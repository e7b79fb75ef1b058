// What one reader has seen of a mailbox of another account, while its messages are visited.
#pragma once

#include "store/account.h"

namespace postrider::store {

/// Neighbouring messages whose \Seen was changed by one reader at once. Runs of one reader never overlap.
struct SeenRun {
  UidRange uids;
  bool seen = false;
  ModSeq modseq = 0;
};

/// The runs within a range of UIDs, taken one by one beside its messages.
class SeenRuns {
 public:
  SeenRuns(Database& db, MailboxId mailbox, AccountId reader, UidRange within);
  /// Gives the row the reader's \Seen, and the modseq of that where it is the later one. In the order of UIDs.
  void apply(MessageRow& row);

 private:
  void next();
  Rows rows_;
  SeenRun run_;
  bool more_ = false;
};

}  // namespace postrider::store
