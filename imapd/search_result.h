// What is told of a search: SEARCH, or ESEARCH with what RETURN asked for (RFC 9051 7.3.4; RFC 4731, 5182, 9394).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "imapd/proto/command.h"
#include "imapd/search.h"
#include "imapd/view.h"

namespace postrider::imap {

struct SearchAnswer {
  std::string_view tag;
  bool uids = false;                 // UIDs are told, not message numbers
  bool modseq = false;               // MODSEQ was among the keys
  bool extended = false;             // ESEARCH
  std::string_view word = "SEARCH";  // or SORT
  std::string mailbox;               // "MAILBOX x UIDVALIDITY n", where several are searched (RFC 7377)
};

/// Appends the untagged response. found: by UID, or in the order that SORT asked for.
void append_search_result(std::string& out, const SearchAnswer& answer, const ReturnOptions& options,
                          const std::vector<SearchRun::Found>& found, const View& view);

/// What SAVE keeps: all that was found, but only the first and the last where MIN and MAX alone were asked for (RFC
/// 5182 2.1).
store::UidRanges uids_to_save(const ReturnOptions& options, const std::vector<SearchRun::Found>& found);

/// The stretch of a list of that many that these places mean: [first, last), empty where there is nothing (RFC 9394
/// 3.1).
struct Stretch {
  size_t first = 0, last = 0;
};
Stretch stretch_of(const Positions& positions, size_t count);

}  // namespace postrider::imap
