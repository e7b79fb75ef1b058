// What others may do with a mailbox (RFC 4314): its access control list, kept by account, so that an address that is
// given to somebody else later gives them nothing. The owner may do everything, always.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/types.h"

namespace postrider::store {

using Rights = uint32_t;

namespace right {
constexpr Rights kLookup = 1;            // l: the mailbox is in LIST
constexpr Rights kRead = 2;              // r: SELECT, STATUS, FETCH
constexpr Rights kSeen = 4;              // s: set and clear \Seen
constexpr Rights kWrite = 8;             // w: other flags
constexpr Rights kInsert = 16;           // i: APPEND, COPY into it
constexpr Rights kPost = 32;             // p: mail to it; nothing here asks for it
constexpr Rights kCreate = 64;           // k: mailboxes below it
constexpr Rights kDelete = 128;          // x: DELETE, RENAME it
constexpr Rights kDeleteMessages = 256;  // t: \Deleted
constexpr Rights kExpunge = 512;         // e
constexpr Rights kAdminister = 1024;     // a: its access control list
constexpr Rights kAll = 2047;
constexpr Rights kFlags = kSeen | kWrite | kDeleteMessages;
}  // namespace right

constexpr AccountId kAnyone = 0;
constexpr size_t kMaxGrants = 1'000;         // entries of one access control list
constexpr size_t kMaxSharingOwners = 1'000;  // accounts whose mailboxes one user is shown

/// Letters of RFC 4314 2.1; "c" and "d" of RFC 2086 stand for "kx" and "te". Nothing for any other letter.
std::optional<Rights> parse_rights(std::string_view letters);
/// With "c" and "d" where one of their members is there (RFC 4314 2.1.1).
std::string format_rights(Rights rights);

/// The flags that somebody with these rights may change, as a mask over Flags.
uint64_t changeable_flags(Rights rights);

/// An entry of an access control list.
struct Grant {
  AccountId who = kAnyone;
  bool negative = false;  // takes these rights away
  Rights rights = 0;
};

}  // namespace postrider::store
