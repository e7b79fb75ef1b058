// Names of mailboxes as a user sees them: their own, and those of others below one prefix (RFC 2342, RFC 4314).
#pragma once

#include <string>
#include <string_view>

#include "store/account.h"

namespace postrider::imap {

/// "Other users/alice@example.org/INBOX"
constexpr std::string_view kOthersPrefix = "Other users/";

inline bool is_others(std::string_view name) {
  return name.starts_with(kOthersPrefix) || name == kOthersPrefix.substr(0, kOthersPrefix.size() - 1);
}

/// Where a name leads.
struct Place {
  store::AccountId account = 0;
  std::string name;    // in that account
  std::string prefix;  // stands before it for this user; empty: the account is their own
  uint64_t quota = 0;  // octets of that account; 0: none
  bool own() const { return prefix.empty(); }
};

/// A mailbox for LIST: the name is the one that the user sees.
struct Listed {
  store::Mailbox mailbox;
  store::AccountId owner = 0;                 // 0: the user
  store::Rights rights = store::right::kAll;  // the user's
  bool own() const { return owner == 0; }
};

/// Failures of rights. Who may not even see a mailbox is told that there is none.
store::StoreFailure no_such_mailbox();
store::StoreFailure no_permission(std::string_view sentence);

}  // namespace postrider::imap
