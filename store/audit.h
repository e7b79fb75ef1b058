// The standing audit: whether ledger, queue and mailboxes agree on every message that was acknowledged.
//
// It goes through the files in steps, in the order of their keys, while the daemons run: what a step holds in memory is
// limited, and between two steps nothing is locked. What was accepted after the beginning is not judged. The queue is
// read in one snapshot a step; an ending is read before the mailbox that it names, which was flushed before it was
// entered; and what may have moved between two files is read again before it is called missing.
//
// It reads the tables by itself, not by the code that wrote them, and changes nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/audit_account.h"
#include "store/directory.h"
#include "store/types.h"

namespace postrider::store {

constexpr size_t kMaxAuditMessages = 2'000;   // of the ledger, in one step
constexpr size_t kMaxAuditEndings = 5'000;    // recipients that ended in a mailbox, in one step
constexpr size_t kMaxAuditMissing = 200'000;  // of them, that wait to be explained (48 octets each)

/// One thing that does not add up.
struct AuditFinding {
  std::string_view kind = {};    // one word, for programs: "message_lost"
  QueueId message = 0;           // 0: it is not known by which one it came
  UnixTime accepted = 0;         // when; 0: not known
  std::string sender = {};       // the reverse-path
  std::string recipient = {};    // an address; empty: all of them
  std::string place = {};        // "INBOX of alice@example.org, UID 12", or a file; may be empty
  std::string_view ledger = {};  // what the ledger, or another record, says
  std::string missing = {};
  std::string_view advice = {};
};

struct AuditCounts {
  int64_t messages = 0;    // in the ledger, accepted before the audit began
  int64_t recipients = 0;  // of these; each is one of the next five
  int64_t in_mailboxes = 0, relayed = 0, returned = 0, removed = 0, waiting = 0;
  int64_t moved_on = 0;  // of those in mailboxes: moved or removed by their owners since, or with their account
  int64_t accounts = 0;
  int64_t entries = 0;   // messages in the mailboxes of these, however they came there
  int64_t unjudged = 0;  // recipients older than what mailboxes remember, and accounts with too long a log
  int64_t files = 0;     // whose structure was checked
  int64_t findings = 0;
};

/// Whether stored texts are read and compared with their checksums.
enum class AuditTexts { none, some, all };
constexpr int64_t kAuditTextsDays = 14;  // some: an account's when its day has come, once in so many

class Audit {
 public:
  struct Options {
    Seconds history{0};        // queue.history: how long the ledger remembers
    bool check_files = false;  // the structure of each database too (PRAGMA quick_check), which reads all of it
    AuditTexts texts = AuditTexts::none;
  };
  using Report = std::function<void(const AuditFinding&)>;

  /// state: the state folder. Throws SqliteError, as step() does.
  Audit(std::string state, const Clock& clock, Options options, Report report);

  /// Goes on for a limited time. False: it is done.
  bool step();
  const AuditCounts& counts() const { return counts_; }

 private:
  enum class Phase { messages, mailboxes, accounts, files, done };
  struct Entered {
    UnixTime accepted = 0;
    int64_t recipients = 0;
    std::string sender;
  };
  struct Body {
    QueueId message = 0;
    int64_t size = 0;
    std::string spool;
  };

  bool check_messages();
  void check_message(QueueId id);
  int64_t count_ended(QueueId id);
  void check_reports(QueueId id, const Entered& entered);
  void check_waiting(QueueId id, const Entered& entered, int64_t waiting);
  void check_spool(const Body& body);
  bool is_readable(const Body& body) const;
  bool check_endings();
  void check_placed(AccountId account, std::span<const Placed> placed);
  void explain_most();
  bool look_into(AccountId account, std::span<const Placed> placed,
                 const std::function<AccountAudit::Judged(AccountAudit&, const AccountAudit::Lost&)>& judge);
  void report_lost(const Placed& placed, Loss loss);
  bool check_account();
  void check_entries(const AccountInfo& account);
  bool reads_texts(AccountId id) const;
  bool check_file();
  std::optional<Entered> entered(QueueId id);
  int64_t count(std::string_view sql, QueueId id);
  std::string path_of(AccountId id) const;
  static bool has_file(const std::string& path);
  static std::string plural(int64_t count, std::string_view word);
  void report(const AuditFinding& finding);
  void report(std::string_view kind, QueueId id, const Entered& entered, std::string_view ledger, std::string missing,
              std::string_view advice);

  const std::string state_;
  const Clock& clock_;
  const Options options_;
  const Report report_;
  Directory directory_;
  std::optional<Database> queue_;  // none where no mail ever came
  AuditCounts counts_;
  Phase phase_ = Phase::messages;
  QueueId end_ = 0;  // the first that is not judged
  QueueId message_ = 0;
  int64_t number_ = 0;
  std::vector<Body> spools_;  // of this step
  bool all_read_ = false;     // of what ended in mailboxes
  std::map<AccountId, std::vector<Placed>> missing_;
  size_t missing_count_ = 0;  // in all of them
  std::vector<AccountInfo> accounts_;
  size_t account_ = 0;
  std::unique_ptr<AccountAudit> open_;  // accounts_[account_], which is gone through
  std::vector<std::string> files_;
};

}  // namespace postrider::store
