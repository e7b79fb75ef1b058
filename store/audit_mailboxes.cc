// The part of the audit that looks into mailboxes: for what the ledger put there, and at what they say of themselves.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/account_file.h"
#include "store/audit.h"
#include "store/queue.h"

namespace postrider::store {
namespace {

constexpr std::string_view kFromBackup =
    "Take the message from a backup of the account's file, or ask its sender to send it again. Where the file itself "
    "was put back from a backup, the mail since then is in none but a newer one.";

}  // namespace

// --- the ledger against the mailboxes

std::string Audit::path_of(AccountId id) const {
  return fmt::format("{}/accounts/{:02x}/{}.db", state_, static_cast<uint64_t>(id) & 0xff, id);
}

/// Reads on in the ledger until much is missing, and explains that, an account at a time.
bool Audit::check_endings() {
  if (all_read_ || missing_count_ >= kMaxAuditMissing) {
    explain_most();
    return !all_read_ || !missing_.empty();
  }
  std::vector<Placed> placed;
  {
    Rows rows(queue_
                  ->prepare("SELECT message, number, account, mailbox, uid, time FROM ending"
                            " WHERE (message, number) > (?1, ?2) AND message < ?3 AND how = ?4"
                            " ORDER BY message, number LIMIT ?5")
                  .bind(message_, number_, end_, static_cast<int>(Ending::mailbox), kMaxAuditEndings));
    while (rows.next()) {
      placed.push_back({rows->integer(0), rows->integer(1), rows->integer(2), rows->integer(3),
                        static_cast<Uid>(rows->integer(4)), rows->integer(5)});
    }
  }
  all_read_ = placed.size() < kMaxAuditEndings;
  if (!all_read_) message_ = placed.back().message, number_ = placed.back().number;
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.account < b.account; });
  for (auto begin = placed.begin(); begin != placed.end();) {
    auto end = std::find_if(begin, placed.end(), [&](const Placed& one) { return one.account != begin->account; });
    check_placed(begin->account, {begin, end});
    begin = end;
  }
  return !all_read_ || !missing_.empty();
}

void Audit::check_placed(AccountId account, std::span<const Placed> placed) {
  std::vector<Placed> missing;
  const bool read = look_into(account, placed, [&](AccountAudit& file, const AccountAudit::Lost& lost) {
    return file.judge(placed, missing, lost);
  });
  if (!read || missing.empty()) return;
  missing_count_ += missing.size();
  std::vector<Placed>& into = missing_[account];
  into.insert(into.end(), missing.begin(), missing.end());
}

/// Of the account where most is missing.
void Audit::explain_most() {
  const auto most = std::max_element(missing_.begin(), missing_.end(),
                                     [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  if (most == missing_.end()) return;
  const auto [account, missing] = std::move(*most);
  missing_.erase(most);
  missing_count_ -= missing.size();
  look_into(account, missing,
            [&](AccountAudit& file, const AccountAudit::Lost& lost) { return file.explain(missing, lost); });
}

/// False: the account's file could not be read, and what that means is told.
bool Audit::look_into(AccountId account, std::span<const Placed> placed,
                      const std::function<AccountAudit::Judged(AccountAudit&, const AccountAudit::Lost&)>& judge) {
  std::vector<std::pair<Placed, Loss>> lost;
  const std::string path = path_of(account);
  Loss whole = Loss::file;
  bool read = false;
  try {
    if (has_file(path)) {
      whole = Loss::damaged;
      AccountAudit file(path, clock_);
      const auto judged = judge(file, [&](const Placed& one, Loss loss) { lost.emplace_back(one, loss); });
      counts_.moved_on += judged.moved_on;
      counts_.unjudged += judged.unjudged;
      read = true;
    }
  } catch (const SqliteError& error) {
    report({"account_damaged",
            0,
            0,
            {},
            {},
            path,
            "Mail was put into this account.",
            error.what(),
            "Put the account's file back from a backup."});
  }
  if ((!read || !lost.empty()) && !directory_.account(account)) {  // removed, with or without its file
    if (!read) counts_.moved_on += static_cast<int64_t>(placed.size());
    return read;
  }
  if (!read) {
    for (const Placed& one : placed) report_lost(one, whole);
  }
  for (const auto& [one, loss] : lost) report_lost(one, loss);
  return read;
}

void Audit::report_lost(const Placed& placed, Loss loss) {
  const auto entered = this->entered(placed.message);
  if (!entered) return;  // forgotten by now
  AuditFinding finding{"message_lost", placed.message, entered->accepted, entered->sender};
  {
    Rows rows(queue_->prepare("SELECT address FROM ending WHERE message = ?1 AND number = ?2")
                  .bind(placed.message, placed.number));
    if (!rows.next()) return;
    finding.recipient = rows->text(0);
  }
  finding.ledger = "Put into a mailbox here.";
  finding.advice = kFromBackup;
  if (placed.uid != 0 && loss != Loss::file && loss != Loss::damaged) {
    const auto account = directory_.account(placed.account);
    finding.place =
        fmt::format("{} of {}, UID {}", AccountAudit(path_of(placed.account), clock_).mailbox_name(placed.mailbox),
                    account ? account->address : std::string(), placed.uid);
  } else {
    finding.place = path_of(placed.account);
  }
  switch (loss) {
    case Loss::file:
      finding.missing = "The account's file is not there.";
      break;
    case Loss::damaged:
      finding.missing = "The account's file cannot be read.";
      break;
    case Loss::delivery:
      finding.missing = "The account's file does not know that this message came.";
      break;
    case Loss::entry:
      finding.missing = "It is not in that mailbox, and nothing says that it was moved or removed.";
      break;
    case Loss::content:
      finding.missing = "It is in that mailbox, and parts of its text are not.";
      break;
  }
  report(finding);
}

// --- mailboxes against their own records

bool Audit::check_account() {
  if (account_ == accounts_.size()) return false;
  const AccountInfo& account = accounts_[account_];
  try {
    check_entries(account);
  } catch (const SqliteError& error) {
    open_.reset();
    if (directory_.account(account.id)) {
      report({"account_damaged",
              0,
              0,
              {},
              account.address,
              path_of(account.id),
              "The account exists.",
              error.what(),
              kRecoverAdvice});
    }
  }
  if (open_ == nullptr) ++account_;
  return account_ < accounts_.size();
}

bool Audit::reads_texts(AccountId id) const {
  const int64_t day = clock_.unix_time() / 86'400;
  return options_.texts == AuditTexts::all || (options_.texts == AuditTexts::some && (day + id) % kAuditTextsDays == 0);
}

void Audit::check_entries(const AccountInfo& account) {
  if (open_ == nullptr) {
    const std::string path = path_of(account.id);
    if (!has_file(path)) {
      if (is_set_aside(path)) {
        report({"account_set_aside",
                0,
                0,
                {},
                account.address,
                path,
                "The account has had mail.",
                "Its file, which was damaged and set aside, or is gone.",
                kRecoverAdvice});
      }
      return;  // it never had mail: where the ledger says otherwise, that was told
    }
    open_ = std::make_unique<AccountAudit>(path, clock_);
    ++counts_.accounts;
    const bool whole = open_->compare([&](const AccountAudit::Gap& gap) {
      AuditFinding finding{"mailbox_differs"};
      finding.recipient = account.address;
      finding.place = fmt::format("{} of {}", gap.mailbox, account.address);
      finding.ledger = "The mailbox's counters and the account's log.";
      finding.missing = fmt::format("It says {}, and holds {}{}.", plural(gap.stated, "message"), gap.found,
                                    gap.octets ? "; the octets differ too" : "");
      if (!gap.lost.empty())
        finding.missing += fmt::format(" UIDs that came and never went: {}.", format_ranges(gap.lost));
      finding.advice = kFromBackup;
      report(finding);
    });
    if (!whole) ++counts_.unjudged;
  }
  const size_t seen = open_->check_parts(reads_texts(account.id), [&](const std::string& mailbox, Uid uid) {
    AuditFinding finding{"text_lost"};
    finding.recipient = account.address;
    finding.place = fmt::format("{} of {}, UID {}", mailbox, account.address, uid);
    finding.ledger = "The message is in this mailbox.";
    finding.missing = "Parts of its text, or they are not as they were written.";
    finding.advice = kFromBackup;
    report(finding);
  });
  counts_.entries += static_cast<int64_t>(seen);
  if (seen < kMaxAuditEntries) open_.reset();
}

}  // namespace postrider::store
