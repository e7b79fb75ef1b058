// SEARCH as work in slices (RFC 3501 6.4.4): the narrow table and the search index decide what they can, headers and
// bodies are read only for messages that they leave open. Text is compared decoded and case-folded.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/mail/mime_index.h"
#include "imapd/proto/command.h"
#include "imapd/view.h"
#include "store/account.h"
#include "store/search_index.h"

namespace postrider::imap {

class SearchRun {
 public:
  /// The view must outlive the run and stand still meanwhile. key: strings in UTF-8. keywords: the account's, by bit.
  /// ranked: how relevant each message is is worked out.
  SearchRun(SearchKey key, const View& view, const std::vector<std::string>& keywords, UnixTime now,
            bool ranked = false);

  /// Works for about kSlice. True: there is more to do.
  bool step(store::Account& account);

  struct Found {
    store::Uid uid = 0;
    store::ModSeq modseq = 0;
    uint8_t relevancy = 0;  // 1 to 100 (RFC 6203 4); 0: nobody asked
  };
  /// By UID.
  const std::vector<Found>& found() const { return found_; }
  /// How far it has come, and how far it has to go: UIDs.
  store::Uid progress() const { return next_ == 0 ? view_.last_uid() : next_ - 1; }

 private:
  static constexpr std::chrono::milliseconds kSlice{10};
  static constexpr uint64_t kWorthAsking = 32;  // messages to be read, from which on the index is asked instead

  enum class Truth : uint8_t { no, yes, open };
  /// A key made ready: strings folded, sets resolved.
  struct Key {
    SearchKey::Kind kind = SearchKey::Kind::all;
    bool negated = false;
    uint8_t system = 0;
    uint64_t keyword = 0;  // bit; 0: a keyword that nobody ever used
    int64_t day = 0;
    uint64_t number = 0;
    std::string field;   // as written
    std::string needle;  // folded
    NumberRanges set;
    std::optional<store::SearchCandidates> candidates;
    std::vector<Key> children;
  };
  /// What is known of a message while its row is at hand.
  class Message;

  Key prepare(SearchKey key, const std::vector<std::string>& keywords);
  void loosen(Key& key);
  static unsigned wants_of(const Key& key);
  static int cost(const Key& key);
  Truth evaluate(const Key& key, Message& message) const;
  Truth evaluate_plain(const Key& key, Message& message) const;
  Truth evaluate_children(const Key& key, Message& message) const;
  static void ask_index(Key& key, store::SearchIndex& index);
  bool first_pass(store::Account& account);
  void scan_entries(store::Account& account, store::Uid from);
  void second_pass(store::Account& account, std::chrono::steady_clock::time_point deadline);
  void take(Message& message);

  const View& view_;
  const UnixTime now_;
  const bool ranked_;
  std::vector<Key> sought_;  // what stands below FUZZY, as it was said: TEXT
  Key key_;
  unsigned wants_ = 0;
  store::UidRanges open_;  // of the slice in hand
  store::Uid next_ = 1;
  bool asked_ = false;  // the index
  std::vector<Found> found_;
};

}  // namespace postrider::imap
