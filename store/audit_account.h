// The audit's look into one account file: whether what was put there is there, or left in a way that the file knows.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

constexpr size_t kMaxAuditEntries = 5'000;   // whose parts are looked for in one step
constexpr size_t kMaxAuditRuns = 2'000'000;  // runs of UIDs of one account's log in memory (8 octets each)
constexpr size_t kMaxNamedUids = 100;        // of one mailbox, in findings

/// What is said of an account's file that is damaged.
constexpr std::string_view kRecoverAdvice =
    "`mailctl recover ADDRESS` brings back what can be read of it, `mailctl restore --from BACKUP` what a backup has.";

/// A recipient that ended in a mailbox, as the ledger has it.
struct Placed {
  QueueId message = 0;
  int64_t number = 0;
  AccountId account = 0;
  MailboxId mailbox = 0;  // where the UID is 0, an earlier process put it there
  Uid uid = 0;
  UnixTime time = 0;
};

enum class Loss {
  file,     // there is no such file
  damaged,  // it cannot be read
  delivery,
  entry,    // it is in no mailbox, and nothing says why
  content,  // it is in its mailbox, and parts of it are missing
};

class AccountAudit {
 public:
  /// Opens the file, which must exist. Throws SqliteError, as everything here does.
  AccountAudit(const std::string& path, const Clock& clock);

  struct Judged {
    int64_t moved_on = 0;  // by its owner
    int64_t unjudged = 0;  // before what the file remembers
  };
  using Lost = std::function<void(const Placed&, Loss)>;
  /// Names those that are lost, and puts those that are not where they were put into missing: explain() knows more.
  Judged judge(std::span<const Placed> placed, std::vector<Placed>& missing, const Lost& lost);
  /// Of those that were missing, names those of which nothing says where they went. Reads all of what was removed, so
  /// it is for many at once.
  Judged explain(std::vector<Placed> missing, const Lost& lost);

  /// Where a mailbox does not hold what it should.
  struct Gap {
    std::string mailbox;  // its name
    UidRanges lost;       // came in and never went, by the log; at most kMaxNamedUids runs of them
    int64_t stated = 0;   // messages, by the mailbox's own count
    int64_t found = 0;
    bool octets = false;  // the number is right, that of octets is not
  };
  /// Compares mailboxes with their counters and with the log. False: the log is too long, only the counters were
  /// compared.
  bool compare(const std::function<void(const Gap&)>& visit);

  /// The next messages of all mailboxes: names those with missing parts, by mailbox and UID. texts: and those whose
  /// parts are not what was written. Gives how many were looked at; 0: there are no more.
  size_t check_parts(bool texts, const std::function<void(const std::string& mailbox, Uid uid)>& visit);

  std::string mailbox_name(MailboxId mailbox);

 private:
  struct Box;
  bool is_delivered(QueueId message);
  bool is_gone(MailboxId mailbox);
  void find_in(Statement& statement, std::vector<Placed>& missing);
  void find_in_log(std::vector<Placed>& missing);
  bool is_before_log(UnixTime time);
  bool read_log(std::map<MailboxId, Box>& boxes);
  UidRanges lost_of(MailboxId mailbox, const UidRanges& expected);

  const Clock& clock_;
  Database database_;
  MailboxId mailbox_ = 0;  // check_parts() went to there
  Uid uid_ = 0;
};

}  // namespace postrider::store
