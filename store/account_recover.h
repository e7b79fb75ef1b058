// What can be read of a damaged account file, as a whole file.
//
// Mailboxes, messages and flags are taken row by row into a fresh file. A message of which parts are missing is made
// anew from what there is, under a new UID; one that no mailbox names any more comes into the mailbox "Recovered". UIDs
// keep their meaning under the same UIDVALIDITY only where everything that gives them out could be read; the log of
// changes begins anew in any case, so that clients look at everything again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/account_file.h"
#include "store/accounts.h"

namespace postrider::store {

constexpr std::string_view kRecoveredMailbox = "Recovered";
constexpr size_t kMaxNamedLosses = 1'000;  // messages of which nothing is left, that are told one by one

struct Recovered {
  int64_t messages = 0;             // in the mailboxes of the new file
  int64_t mailboxes = 0;            // of it
  int64_t found_again = 0;          // of the messages, those that no mailbox named
  int64_t damaged = 0;              // of the messages, those of which parts are missing
  int64_t lost = 0;                 // entries of mailboxes of whose message nothing is left
  std::vector<std::string> losses;  // where these were: "INBOX, UID 12"
  std::vector<std::string> unread;  // tables of which parts could not be read
  bool new_uids = false;            // every mailbox has a new UIDVALIDITY
  bool schema_replaced = false;     // the file could be read only with other pages of its schema
};

/// Reads a damaged file, which is not changed, and makes a whole one of it at target, which must not be there; its log
/// is empty. flushed: what the account's file is known to have had (AccountFile). modseq: that of the new file. Throws
/// SqliteError where nothing can be read of it, or the new file cannot be written.
Recovered recover_account(const std::string& damaged, const std::string& target, AccountId id, ModSeq flushed,
                          const Clock& clock, ModSeq& modseq);

/// A file without mail, for an account that had some. Likewise.
ModSeq make_empty_account(const std::string& target, AccountId id, ModSeq flushed, const Clock& clock);

/// The file knows less than was flushed of it. Throws SqliteError.
bool is_older_than_flushed(const std::string& path);

/// What is wrong with an account's file, in words; empty: nothing. Reads all of it, and changes nothing.
std::string find_damage(const std::string& path);

/// What a file had given out when it was last looked at; more may have been since.
struct GivenOut {
  ModSeq modseq = 0;
  int64_t uid_validity = 0;
};

/// For a whole file that is older than what clients have seen: every mailbox gets a new UIDVALIDITY, which like the
/// modseqs from now on is above what another file in its place has given out. In one transaction, flushed and in the
/// file itself, whose log is empty after it. Gives the new modseq.
ModSeq number_anew(const std::string& path, AccountId id, const GivenOut& given_out, const Clock& clock);

}  // namespace postrider::store
