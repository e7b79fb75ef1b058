// The search index of an account: which messages may hold a text, without reading them.
//
// It names candidates, and the decoded text decides: a message that is not named does not hold the text, one that is
// may. It lies in the account's file, so that a copy of the file is whole. Messages are put in by their ids, in the
// order in which they came; a message never changes, and copies of it share its id. Those after indexed_to are not in
// yet, and have to be looked at.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/account.h"
#include "store/trigrams.h"

namespace postrider::store {

struct SearchCandidates {
  MessageId indexed_to = 0;
  std::vector<MessageId> messages;  // ascending

  /// False: the message does not hold the text.
  bool may_hold(MessageId message) const;
};

class SearchIndex {
 public:
  explicit SearchIndex(Account& account) : account_(account) {}

  /// Messages that may hold this text, which is folded. Nothing: the index cannot tell; every message may.
  std::optional<SearchCandidates> candidates(std::string_view folded);

  /// Feeds all the text of a message that a search looks at. The row has kWantIndex and kWantHead, and no UID.
  using Reader = std::function<void(const MessageRow&, TrigramSet&)>;
  /// Takes the next messages in: at most kMaxFilled, and for not much longer than a few milliseconds. The account's
  /// writers wait only while what was read is written. Not flushed: what is lost is done again. False: nothing is left.
  bool fill(TrigramSet& trigrams, const Reader& read);
  /// Begins anew where more messages are in it that are gone than others. False: no need.
  bool drop_if_worn();
  /// Empties it; the messages are then to be looked at, until they are taken in again. False: it was empty.
  bool drop();

 private:
  static constexpr size_t kMaxFilled = 64;
  static constexpr size_t kMaxNames = 512 << 10;  // octets of names that are written at once, about
  static constexpr int64_t kWorn = 1'000;         // messages that are gone and not worth the work

  /// Empties it when that is what is wrong; any other error goes on.
  void drop_if_damaged(const SqliteError& error);
  std::optional<SearchCandidates> find(const std::vector<std::string>& names);
  struct Filling;
  void write(const Filling& filling);
  Filling read_next(TrigramSet& trigrams, const Reader& read);

  Account& account_;
};

}  // namespace postrider::store
