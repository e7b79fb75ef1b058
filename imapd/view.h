// The selected mailbox as one session has told its client about it: message numbers stand still until the session says
// EXPUNGE or EXISTS (RFC 3501 7.4.1, 5.5), whatever others do to the mailbox meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imapd/proto/sequence_set.h"
#include "store/account.h"

namespace postrider::imap {

/// The ranges ascend and do not touch.
bool contains(const store::UidRanges& ranges, store::Uid uid);

class View {
 public:
  /// owner: of a mailbox that is another user's; 0: one's own.
  View(const store::MailboxSnapshot& snapshot, std::vector<std::string> keywords, bool read_only,
       store::AccountId owner = 0);

  store::MailboxId mailbox() const { return mailbox_; }
  store::AccountId owner() const { return owner_; }
  uint32_t uid_validity() const { return uid_validity_; }
  bool read_only() const { return read_only_; }
  uint32_t count() const { return runs_.empty() ? 0 : runs_.back().before + size_of(runs_.back()); }
  store::Uid last_uid() const { return runs_.empty() ? 0 : runs_.back().last; }

  /// From 1 on; 0 where the client does not know of that UID.
  uint32_t number_of(store::Uid uid) const;
  /// number: 1 to count().
  store::Uid uid_of(uint32_t number) const;
  /// The messages that a set names, as message numbers; uids: the set is one of UIDs. Numbers above count() are left
  /// out.
  NumberRanges numbers(const SequenceSet& set, bool uids) const;
  /// The same messages as spans of UIDs; a span may hold UIDs that no message has (any more), but no unknown message.
  store::UidRanges spans(const NumberRanges& numbers) const;
  /// Those of the UIDs that the client knows, as message numbers.
  NumberRanges known(const store::UidRanges& uids) const;

  // --- what the last SEARCH with SAVE found: "$" (RFC 5182)
  void save(store::UidRanges uids) { saved_ = std::move(uids); }
  /// Those of these UIDs that the client knows.
  store::UidRanges known_uids(const store::UidRanges& uids) const;

  void add(const store::UidRanges& uids);
  void remove(const store::UidRanges& uids);
  /// All of them, as UIDs.
  store::UidRanges uids() const;

  // --- how far the client has been told
  store::ModSeq modseq() const { return modseq_; }
  void set_modseq(store::ModSeq modseq) { modseq_ = modseq; }
  /// Gone, but not to be said yet: a command with message numbers was under way.
  store::UidRanges& held_expunges() { return held_expunges_; }

  // --- \Recent (RFC 3501 2.3.2)
  void add_recent(const store::UidRanges& uids);
  uint32_t recent() const;
  bool is_recent(store::Uid uid) const;
  /// IMAP4rev2 knows no \Recent: from now on nothing is.
  void forget_recent() { recent_.clear(); }

  // --- keywords: those that were announced in FLAGS
  const std::vector<std::string>& keywords() const { return keywords_; }
  void set_keywords(std::vector<std::string> keywords) { keywords_ = std::move(keywords); }
  bool knows_keywords_of(store::Flags flags) const {
    return (flags.bits() >> store::Flags::kFirstKeywordBit) >> keywords_.size() == 0;
  }

 private:
  struct Run {
    store::Uid first, last;
    uint32_t before;  // messages in front of it
  };
  static uint32_t size_of(const Run& run) { return run.last - run.first + 1; }
  uint32_t count_from(store::Uid uid) const;
  void rebuild(const store::UidRanges& ranges);

  store::MailboxId mailbox_;
  store::AccountId owner_;
  uint32_t uid_validity_;
  bool read_only_;
  store::ModSeq modseq_;
  std::vector<Run> runs_;
  store::UidRanges held_expunges_, saved_, recent_;
  std::vector<std::string> keywords_;
};

}  // namespace postrider::imap
