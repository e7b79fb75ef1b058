#include "store/maintenance.h"

#include <algorithm>
#include <exception>
#include <filesystem>

#include "common/base/log.h"

namespace postrider::store {
namespace {

constexpr auto kCheckpointInterval = std::chrono::seconds(1);
constexpr UnixTime kPurgeInterval = 24 * 3600;
constexpr UnixTime kLookAtDisk = 600;
constexpr Seconds kKeptWhenLow{24 * 3600};
constexpr UnixTime kFirstAudit = 600;       // after the start
constexpr size_t kMaxLoggedFindings = 100;  // of one audit

}  // namespace

Maintenance::Maintenance(Accounts& accounts, const Clock& clock, Options options)
    : accounts_(accounts), clock_(clock), options_(std::move(options)), thread_([this] { run(); }) {}

Maintenance::~Maintenance() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool Maintenance::stopping() {
  std::lock_guard guard(mutex_);
  return stopping_;
}

void Maintenance::run() {
  // Not while a daemon that crashed comes back.
  next_purge_ = next_look_ = clock_.unix_time() + 60;
  next_audit_ = clock_.unix_time() + std::min<UnixTime>(kFirstAudit, options_.audit_interval.count());
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kCheckpointInterval, [this] { return stopping_; })) return;
    }
    checkpoint_grown();
    const UnixTime now = clock_.unix_time();
    if (options_.purge_accounts && now >= next_look_) purge(now);
    if (options_.audit_interval.count() != 0 && (audit_ != nullptr || now >= next_audit_)) audit(now);
  }
}

void Maintenance::purge(UnixTime now) {
  next_look_ = now + kLookAtDisk;
  const bool low = options_.disk_is_low && options_.disk_is_low();
  if (!low && now < next_purge_) return;
  if (low) log_warn("disk_nearly_full", {{"expunged_mail_kept_seconds", kKeptWhenLow.count()}});
  purge_all(low ? std::min(options_.undelete, kKeptWhenLow) : options_.undelete);
  next_purge_ = clock_.unix_time() + kPurgeInterval;
}

/// One step: the thread is there for the checkpoints first.
void Maintenance::audit(UnixTime now) {
  try {
    if (audit_ == nullptr) {
      next_audit_ = now + options_.audit_interval.count();
      begin_audit();
    }
    if (!audit_->step()) end_audit();
  } catch (const std::exception& error) {
    log_error("audit_failed", {{"reason", error.what()}});
    audit_.reset();
  }
}

void Maintenance::begin_audit() {
  auto logged = std::make_shared<size_t>(0);
  audit_ = std::make_unique<Audit>(options_.state, clock_, options_.audit, [logged](const AuditFinding& finding) {
    if (++*logged > kMaxLoggedFindings) return;
    log_error("audit_failed", {{"what", finding.kind},
                               {"msg", finding.message == 0 ? std::string() : queue_id_text(finding.message)},
                               {"from", finding.sender},
                               {"to", finding.recipient},
                               {"place", finding.place},
                               {"missing", finding.missing}});
  });
}

void Maintenance::end_audit() {
  const AuditCounts counts = audit_->counts();
  audit_.reset();
  const std::initializer_list<LogField> fields = {{"findings", counts.findings},
                                                  {"messages", counts.messages},
                                                  {"recipients", counts.recipients},
                                                  {"accounts", counts.accounts},
                                                  {"in_mailboxes", counts.entries}};
  if (counts.findings == 0) {
    log_info("audit", fields);
  } else {
    log_error("audit_failed", fields);
  }
  if (options_.audited) options_.audited(counts);
}

void Maintenance::checkpoint_grown() {
  for (AccountId id : accounts_.take_grown()) {
    try {
      accounts_.open(id)->checkpoint();
    } catch (const std::exception& error) {
      log_error("checkpoint_failed", {{"account", id}, {"reason", error.what()}});
    }
  }
}

void Maintenance::purge_all(Seconds kept) {
  UnixTime now = clock_.unix_time();
  std::vector<AccountInfo> accounts;
  try {
    accounts = options_.purge_accounts();
  } catch (const std::exception& error) {
    log_error("purge_failed", {{"reason", error.what()}});
  }
  std::vector<AccountId> ids;
  for (const AccountInfo& account : accounts) ids.push_back(account.id);
  std::sort(ids.begin(), ids.end());
  for (const AccountInfo& account : accounts) {
    if (stopping()) return;
    Retention retention{now - kept.count(), now - kLogKept};
    retention.accounts = ids;
    if (account.quota != 0) retention.max_kept = account.quota;
    try {
      accounts_.open(account.id)->maintain(retention);
    } catch (const std::exception& error) {
      log_error("purge_failed", {{"account", account.id}, {"reason", error.what()}});
    }
  }
}

bool disk_is_low(const std::string& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  return !error && space.available < space.capacity / 20;
}

}  // namespace postrider::store
