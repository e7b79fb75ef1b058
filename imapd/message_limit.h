// How many messages one command may mean (RFC 9738): of more, those with the highest UIDs are taken, from the highest
// on.
#pragma once

#include <string>

#include "imapd/proto/command.h"
#include "imapd/reply.h"
#include "imapd/view.h"

namespace postrider::imap {

class MessageLimit {
 public:
  /// most: 0: any number.
  explicit MessageLimit(uint64_t most) : most_(most) {}

  bool exceeded_by(uint64_t messages) const { return most_ != 0 && messages > most_; }
  bool exceeded_by(const NumberRanges& numbers) const { return exceeded_by(count(numbers)); }
  /// Leaves the highest of these message numbers, as many as one command may mean.
  void cut(NumberRanges& numbers, const View& view);
  /// Likewise of UIDs, each of which is one of a message.
  void cut(store::UidRanges& uids);
  /// Some were left out; the lowest of those that were not.
  bool was_cut() const { return lowest_ != 0; }
  store::Uid lowest() const { return lowest_; }

  /// "MESSAGELIMIT 1000 23221", or without a UID where nothing was done.
  std::string code() const;
  /// NO: the command does not do a part of its work.
  Reply refusal() const;
  /// Says in a command's answer that some were left out; in an untagged NO where it says something else already.
  Reply tell(Reply reply, std::string& out) const;

  static uint64_t count(const NumberRanges& numbers);

 private:
  uint64_t most_;
  store::Uid lowest_ = 0;
};

/// The messages that a search looks at: all, less what its outermost sets leave out.
NumberRanges searched(const SearchKey& key, const View& view);
/// Adds to a search that UIDs are at least that.
void search_from(SearchKey& key, store::Uid lowest);

}  // namespace postrider::imap
