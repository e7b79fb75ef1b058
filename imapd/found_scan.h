// The rows of messages that a search found, in slices, so that a large result stands in nobody's way.
#pragma once

#include <chrono>
#include <vector>

#include "imapd/search.h"
#include "store/account.h"

namespace postrider::imap {

class FoundScan {
 public:
  FoundScan(store::MailboxId mailbox, const std::vector<SearchRun::Found>& found, unsigned wants)
      : mailbox_(mailbox), wants_(wants) {
    for (const auto& one : found) store::append_uid(left_, one.uid);
  }

  /// Visits rows by UID for about a slice of time. True: there are more.
  template <class Visit>
  bool step(store::Account& account, Visit&& visit) {
    auto deadline = std::chrono::steady_clock::now() + kSlice;
    while (at_ < left_.size()) {
      store::UidRange& range = left_[at_];
      store::Uid resume = 0;
      account.scan(mailbox_, range, wants_, [&](const store::MessageRow& row) {
        visit(row);
        if (row.uid == range.last || std::chrono::steady_clock::now() < deadline) return true;
        resume = row.uid + 1;
        return false;
      });
      if (resume != 0) {
        range.first = resume;
        return true;
      }
      ++at_;
    }
    return false;
  }

 private:
  static constexpr std::chrono::milliseconds kSlice{10};
  store::MailboxId mailbox_;
  unsigned wants_;
  store::UidRanges left_;
  size_t at_ = 0;
};

}  // namespace postrider::imap
