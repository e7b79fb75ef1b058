// Address lists of header fields: From, To, Cc, ... (RFC 5322 3.4 and the obsolete forms of 4.4). Nothing is refused:
// what can be made out is given, as IMAP's ENVELOPE needs it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postrider {

constexpr size_t kMaxListedAddresses = 10'000;  // addresses and group marks that are read of one list

struct ListedAddress {
  enum class Kind { mailbox, group_begin, group_end };

  Kind kind = Kind::mailbox;
  std::string name;     // display name, or the comment behind a bare address; encoded words as they are; empty: none
  std::string route;    // obsolete source route "@a,@b"; empty: none
  std::string mailbox;  // local part without its quotes; of group_begin: the name of the group
  std::string host;     // domain or "[literal]" as given; empty: missing
};

/// A group without an end is ended. "a@b <c@d>" is c@d with the display name "a@b". What is after the limit is left
/// out.
std::vector<ListedAddress> parse_address_list(std::string_view value, size_t limit = kMaxListedAddresses);

}  // namespace postrider
