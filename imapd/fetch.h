// FETCH as work that can be put down and taken up again: each call makes about kWorkSlice octets of responses, whatever
// the messages' sizes, so memory is bounded and nobody waits for a large one.
//
// What the items want decides what is read: FLAGS, UID and MODSEQ touch the narrow table only, ENVELOPE and
// BODYSTRUCTURE are stored as they are sent, a header lies beside the body, and a body is read in pieces as it is sent.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/mail/header.h"
#include "common/mail/message_section.h"
#include "imapd/decoded.h"
#include "imapd/proto/command.h"
#include "imapd/view.h"
#include "store/account.h"

namespace postrider::imap {

/// "* 3 FETCH (", or "* 17 UIDFETCH (" where message numbers are off (RFC 9586).
void append_fetch_head(std::string& out, uint32_t number, store::Uid uid, bool uid_only);
/// The OBJECTID of a message (RFC 8474): copies share it, because they share the stored message. owner: of another
/// user's message; 0: one's own.
std::string email_id(store::MessageId message, store::AccountId owner);
/// Nothing where the text was not made here, for that owner.
std::optional<store::MessageId> parse_email_id(std::string_view text, store::AccountId owner);

/// The OBJECTID of a thread, likewise.
std::string thread_id(store::MessageId thread, store::AccountId owner);
std::optional<store::MessageId> parse_thread_id(std::string_view text, store::AccountId owner);

struct FetchOptions {
  bool uid = false;                            // UID FETCH: UID is answered whether asked for or not
  bool uid_only = false;                       // no message numbers (RFC 9586)
  bool modseq = false;                         // CHANGEDSINCE: so is MODSEQ
  std::optional<store::ModSeq> changed_since;  // only messages changed after it
  bool descending = false;                     // from the highest UID down (RFC 9738 3.1)
};

class FetchRun {
 public:
  /// Called when a message has a keyword that the client was not told of; appends FLAGS.
  using AnnounceKeywords = std::function<void(store::Account&)>;

  /// The view must outlive the run and stand still meanwhile.
  FetchRun(std::vector<FetchItem> items, FetchOptions options, const View& view, const NumberRanges& numbers,
           AnnounceKeywords announce);

  /// Some item sets \Seen (RFC 3501 6.4.5: all that show text and do not say PEEK).
  bool sets_seen() const { return sets_seen_; }
  /// Messages that were just given \Seen: their FLAGS are told as well.
  void tell_flags_of(store::UidRanges uids) { tell_flags_ = std::move(uids); }
  const store::UidRanges& spans() const { return spans_; }

  /// Appends responses to out. True: there is more.
  bool fill(store::Account& account, std::string& out);
  /// Messages that the client knows and the store no longer has (RFC 2180 4.1).
  bool some_were_gone() const { return visited_ < expected_; }
  /// BINARY was asked of a part whose transfer encoding is none that is known (RFC 3516 4.3).
  bool unknown_encoding() const { return unknown_encoding_; }

 private:
  struct Item {
    FetchItem::Kind kind;
    FetchItem fetch;                         // of sections
    std::string name;                        // of sections, as answered
    std::optional<HeaderSelector> selector;  // HEADER.FIELDS
  };
  /// Octets of a message that are still to be sent, and what comes behind them.
  struct Pending {
    store::MessageId message = 0;
    Octets octets;
    std::string text;
    std::optional<DecodedPart> decoded = {};  // octets are counted in its content then
  };

  void add_item(FetchItem item);
  void want_section(const Section& section);
  std::optional<store::UidRange> next_span() const;
  void span_done();
  bool visit(store::Account& account, const store::MessageRow& row);
  void compose(store::Account& account, const store::MessageRow& row, uint32_t number);
  void append_item(store::Account& account, const Item& item, const store::MessageRow& row);
  void append_section(store::Account& account, const Item& item, const store::MessageRow& row);
  void append_header_text(std::string_view header, const Item& item);
  void append_binary(store::Account& account, const Item& item, const store::MessageRow& row);
  void append_decoded(store::Account& account, const Item& item, DecodedPart part, uint64_t encoded_size);
  std::string preview(store::Account& account, const store::MessageRow& row);
  const MimeIndex& index_of(const store::MessageRow& row);
  void append_octets(store::Account& account, store::MessageId message, Octets octets);
  void append_flags_item(const store::MessageRow& row);
  bool drain(store::Account& account);
  void drain_decoded(store::Account& account, Pending& next);
  std::string& text() { return pending_.empty() ? *out_ : pending_.back().text; }

  const View& view_;
  const FetchOptions options_;
  AnnounceKeywords announce_;
  std::vector<Item> items_;
  unsigned wants_ = store::kWantEntry;
  bool sets_seen_ = false, has_flags_ = false, has_uid_ = false, has_modseq_ = false, unknown_encoding_ = false;

  store::UidRanges spans_;
  store::UidRanges tell_flags_;
  uint64_t expected_ = 0, visited_ = 0;
  size_t span_ = 0;           // that is being visited
  NumberRanges left_;         // descending: instead of spans, message by message
  store::Uid resume_at_ = 0;  // UID to go on with; 0: from the span's beginning

  std::string* out_ = nullptr;  // of the running fill()
  std::deque<Pending> pending_;
  std::optional<MimeIndex> index_;  // of the message in hand
  std::string scratch_, selected_;
};

}  // namespace postrider::imap
