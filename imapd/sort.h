// SORT (RFC 5256, RFC 5957): puts what a search found in the order that was asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "imapd/found_scan.h"
#include "imapd/proto/command.h"

namespace postrider::imap {

class SortRun {
 public:
  SortRun(std::vector<SortKey> keys, store::MailboxId mailbox, const std::vector<SearchRun::Found>& found);

  /// Reads for about a slice of time. True: there is more to do.
  bool step(store::Account& account);
  /// In order, once step() is done.
  const std::vector<SearchRun::Found>& sorted() const { return sorted_; }

  // --- kept up to date afterwards (RFC 5267 4.3); places count from 0
  /// Where the message goes; nothing where it is no longer there.
  std::optional<size_t> insert(store::Account& account, store::Uid uid);
  /// Where it was; nothing where it is not in the list.
  std::optional<size_t> remove(store::Uid uid);

 private:
  struct Value {
    int64_t number = 0;
    std::string text;
  };
  struct Row {
    SearchRun::Found found;
    std::vector<Value> values;  // one for each key
  };
  static unsigned wants_of(const std::vector<SortKey>& keys);
  void take(const store::MessageRow& row);
  uint8_t relevancy_of(store::Uid uid) const;
  bool before(const Row& a, const Row& b) const;

  std::vector<SortKey> keys_;
  store::MailboxId mailbox_;
  FoundScan scan_;
  std::vector<SearchRun::Found> ranked_;  // by UID, where relevancy was asked for
  std::vector<Row> rows_;
  std::vector<SearchRun::Found> sorted_;
};

/// What a message says of itself in its stored ENVELOPE, for sorting and threading.
struct EnvelopeFields {
  struct Address {
    std::string name, mailbox, host;
  };
  std::string date, subject;
  std::vector<Address> from, to, cc;
};
/// As much as can be made out.
EnvelopeFields parse_envelope(std::string_view envelope);

/// The sent date (RFC 5256 2.2): of the Date field, in UTC, else when the message came in.
UnixTime sent_date(std::string_view date_field, UnixTime internal_date);

}  // namespace postrider::imap
