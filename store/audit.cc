#include "store/audit.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "store/queue.h"
#include "store/queue_schema.h"

namespace postrider::store {
namespace {

constexpr std::string_view kDeletedRows =
    "Rows were deleted beneath, or queue.db comes from an older backup. The log of mta has the message by its id; its "
    "sender can send it again.";
constexpr std::string_view kLastId =
    "SELECT max(coalesce((SELECT max(id) FROM ledger), 0), coalesce((SELECT max(message) FROM ending), 0),"
    " coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT max(message) FROM recipient), 0))";

}  // namespace

bool Audit::has_file(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0;
}

std::string Audit::plural(int64_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

Audit::Audit(std::string state, const Clock& clock, Options options, Report report)
    : state_(std::move(state)),
      clock_(clock),
      options_(options),
      report_(std::move(report)),
      directory_(state_, clock) {
  const std::string path = state_ + "/queue.db";
  if (!has_file(path)) {
    phase_ = Phase::accounts;
  } else {
    queue_.emplace(path, OpenMode::must_exist, Sync::normal);
    migrate(*queue_, kQueueMigrations);
    // By what is there, not by the time: ids go on from the last where the clock was set back.
    Rows rows(queue_->prepare(kLastId));
    if (rows.next()) end_ = rows->integer(0) + 1;
  }
  accounts_ = directory_.accounts();
}

bool Audit::step() {
  bool more = false;
  switch (phase_) {
    case Phase::messages:
      more = check_messages();
      break;
    case Phase::mailboxes:
      more = check_endings();
      break;
    case Phase::accounts:
      more = check_account();
      break;
    case Phase::files:
      more = options_.check_files && check_file();
      break;
    case Phase::done:
      return false;
  }
  if (more) return true;
  phase_ = static_cast<Phase>(static_cast<int>(phase_) + 1);
  message_ = number_ = 0;
  return phase_ != Phase::done;
}

// --- the queue against its ledger

int64_t Audit::count(std::string_view sql, QueueId id) {
  Rows rows(queue_->prepare(sql).bind(id));
  return rows.next() ? rows->integer(0) : 0;
}

std::optional<Audit::Entered> Audit::entered(QueueId id) {
  Rows rows(queue_->prepare("SELECT accepted, recipients, reverse_path FROM ledger WHERE id = ?1").bind(id));
  if (!rows.next()) return std::nullopt;
  return Entered{rows->integer(0), rows->integer(1), std::string(rows->text(2))};
}

void Audit::report(const AuditFinding& finding) {
  ++counts_.findings;
  report_(finding);
}

void Audit::report(std::string_view kind, QueueId id, const Entered& entered, std::string_view ledger,
                   std::string missing, std::string_view advice) {
  report({kind, id, entered.accepted, entered.sender, {}, {}, ledger, std::move(missing), advice});
}

bool Audit::check_messages() {
  std::vector<QueueId> ids;
  {
    ReadTransaction snapshot(*queue_);
    {
      Rows rows(
          queue_
              ->prepare("SELECT id FROM ledger WHERE id > ?1 AND id < ?2"
                        " UNION SELECT message FROM ending WHERE message > ?1 AND message < ?2"
                        " UNION SELECT id FROM message WHERE id > ?1 AND id < ?2"
                        " UNION SELECT message FROM recipient WHERE message > ?1 AND message < ?2 ORDER BY 1 LIMIT ?3")
              .bind(message_, end_, kMaxAuditMessages));
      while (rows.next()) ids.push_back(rows->integer(0));
    }
    for (QueueId id : ids) check_message(id);
  }
  for (const Body& body : spools_) check_spool(body);
  spools_.clear();
  if (!ids.empty()) message_ = ids.back();
  return ids.size() == kMaxAuditMessages;
}

void Audit::check_message(QueueId id) {
  const auto entered = this->entered(id);
  const int64_t waiting = count("SELECT count(*) FROM recipient WHERE message = ?1", id);
  if (!entered) {
    return report("not_in_ledger", id, {}, "Nothing: it has no row of this message.",
                  "The row by which it was accepted, while others of the queue tell of it.", kDeletedRows);
  }
  ++counts_.messages;
  counts_.recipients += entered->recipients;
  counts_.waiting += waiting;
  const int64_t missing = entered->recipients - waiting - count_ended(id);
  if (missing != 0) {
    report("recipients_lost", id, *entered, "Recipients that have ended, or that wait, fewer than were accepted.",
           missing > 0
               ? fmt::format("{} of {}: neither ended nor waiting.", plural(missing, "recipient"), entered->recipients)
               : fmt::format("Nothing; {} too many.", plural(-missing, "recipient")),
           kDeletedRows);
  }
  check_reports(id, *entered);
  check_waiting(id, *entered, waiting);
}

int64_t Audit::count_ended(QueueId id) {
  int64_t ended = 0;
  Rows rows(queue_->prepare("SELECT how, count(*) FROM ending WHERE message = ?1 GROUP BY how").bind(id));
  while (rows.next()) {
    const int64_t some = rows->integer(1);
    ended += some;
    switch (static_cast<Ending>(rows->integer(0))) {
      case Ending::mailbox:
        counts_.in_mailboxes += some;
        break;
      case Ending::relayed:
        counts_.relayed += some;
        break;
      case Ending::failed:
        counts_.returned += some;
        break;
      case Ending::removed:
        counts_.removed += some;
        break;
    }
  }
  return ended;
}

/// What the ledger proves an ending by: the report that its sender got, the words of the server that took it.
void Audit::check_reports(QueueId id, const Entered& entered) {
  Rows rows(
      queue_
          ->prepare("SELECT address, report FROM ending WHERE message = ?1 AND ((report > ?2 AND NOT EXISTS"
                    " (SELECT 1 FROM ledger WHERE id = report)) OR (how = ?3 AND reply = ''))")
          .bind(id, first_id_of(clock_.unix_time() - options_.history.count()), static_cast<int>(Ending::relayed)));
  while (rows.next()) {
    AuditFinding finding{"handover_unproven", id, entered.accepted, entered.sender, std::string(rows->text(0))};
    finding.ledger = "Handed over to another server.";
    finding.missing = "The reply by which that server took it.";
    finding.advice = "Ask the recipient whether it came.";
    if (rows->integer(1) != 0) {
      finding.kind = "report_lost";
      finding.ledger = "Ended, and a report about that was sent.";
      finding.missing = fmt::format("The report {}: it was never accepted.", queue_id_text(rows->integer(1)));
      finding.advice = "Tell the sender what became of the message; `mailctl trace` shows it.";
    }
    report(finding);
  }
}

void Audit::check_waiting(QueueId id, const Entered& entered, int64_t waiting) {
  constexpr std::string_view kWaits = "Recipients wait.";
  int64_t remaining = 0;
  Body body{id, 0, {}};
  {
    Rows rows(queue_->prepare("SELECT remaining, size, spool FROM message WHERE id = ?1").bind(id));
    if (rows.next()) {
      remaining = rows->integer(0);
      body.size = rows->integer(1);
      body.spool = rows->text(2);
    }
  }
  if (remaining != waiting) {
    report("waiting_lost", id, entered, kWaits,
           remaining == 0 ? fmt::format("The message itself, for {}.", plural(waiting, "recipient"))
                          : fmt::format("The queue counts {} waiting, and holds {}.", remaining, waiting),
           kDeletedRows);
  }
  if (remaining == 0) return;
  if (!body.spool.empty()) {
    spools_.push_back(std::move(body));
  } else if (count("SELECT length(data) FROM body WHERE message = ?1", id) != body.size) {
    report("body_lost", id, entered, kWaits, "The text of the message, which waits in queue.db.", kDeletedRows);
  }
}

bool Audit::is_readable(const Body& body) const {
  try {
    return Spool::adopt(fmt::format("{}/spool/{}", state_, body.spool)).size() == static_cast<uint64_t>(body.size);
  } catch (const std::exception&) {
    return false;
  }
}

void Audit::check_spool(const Body& body) {
  if (is_readable(body)) return;
  {
    Rows rows(queue_->prepare("SELECT 1 FROM message WHERE id = ?1").bind(body.message));
    if (!rows.next()) return;  // it ended meanwhile
  }
  const auto entered = this->entered(body.message);
  if (!entered) return;
  report("body_lost", body.message, *entered, "Recipients wait.",
         fmt::format("The text of the message: spool/{} is not there, or not whole.", body.spool),
         "Put the file back from a backup, or remove the message (`mailctl queue remove`) and tell its sender.");
}

// --- the structure of the files

bool Audit::check_file() {
  if (counts_.files == 0) {
    for (const auto& entry : std::filesystem::directory_iterator(state_)) {
      if (entry.path().extension() == ".db") files_.push_back(entry.path());
    }
    for (const AccountInfo& account : accounts_) {
      if (has_file(path_of(account.id))) files_.push_back(path_of(account.id));
    }
  }
  if (files_.empty()) return false;
  const std::string path = std::move(files_.back());
  files_.pop_back();
  ++counts_.files;
  std::string wrong;
  try {
    Database database(path, OpenMode::must_exist, Sync::normal);
    Rows rows(database.prepare("PRAGMA quick_check(10)"));
    while (rows.next()) {
      if (rows->text(0) != "ok") wrong += fmt::format("{}{}", wrong.empty() ? "" : "; ", rows->text(0));
    }
  } catch (const SqliteError& error) {
    wrong = error.what();
  }
  if (!wrong.empty() && has_file(path)) {
    report({"file_damaged",
            0,
            0,
            {},
            {},
            path,
            "",
            wrong,
            path.find("/accounts/") == std::string::npos
                ? "Stop the daemons, keep the file, and put it back from a backup (`mailctl restore --help`)."
                : kRecoverAdvice});
  }
  return !files_.empty();
}

}  // namespace postrider::store
