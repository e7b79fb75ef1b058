#include "store/tls_records.h"

#include <array>

namespace postrider::store {
namespace {

constexpr int kWalPages = 1'000;  // after which they are moved into the file

constexpr std::array kMigrations = {
    Migration{R"sql(
CREATE TABLE policy(
  domain TEXT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  text TEXT NOT NULL,
  fetched INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_fetched ON policy(fetched);

-- day: since 1970, UTC. failure: empty where all went well. detail: of the first of these sessions.
CREATE TABLE result(
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  policy_type TEXT NOT NULL,
  policy TEXT NOT NULL,
  failure TEXT NOT NULL,
  host TEXT NOT NULL,
  address TEXT NOT NULL,
  detail TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  PRIMARY KEY(day, domain, policy_type, policy, failure, host, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE report(
  kind TEXT NOT NULL,
  organization TEXT NOT NULL,
  report_id TEXT NOT NULL,
  domain TEXT NOT NULL,
  begin INTEGER NOT NULL,
  end INTEGER NOT NULL,
  received INTEGER NOT NULL,
  good INTEGER NOT NULL,
  bad INTEGER NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY(kind, organization, report_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_end ON report(end);
)sql"},
    Migration{R"sql(
ALTER TABLE policy ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE policy SET used = fetched;
)sql"},
};

}  // namespace

TlsRecords::TlsRecords(const std::string& state) : database_(state + "/tls.db", OpenMode::create, Sync::normal) {
  migrate(database_, kMigrations);
}

std::optional<KeptPolicy> TlsRecords::policy(const std::string& domain) {
  std::lock_guard lock(mutex_);
  Rows rows(database_.prepare("SELECT id, text, fetched, expires, used FROM policy WHERE domain = ?1").bind(domain));
  if (!rows.next()) return std::nullopt;
  return KeptPolicy{domain,           std::string(rows->text(0)), std::string(rows->text(1)),
                    rows->integer(2), rows->integer(3),           rows->integer(4)};
}

std::vector<KeptPolicy> TlsRecords::ageing(UnixTime now, UnixTime used_since, size_t most) {
  std::lock_guard lock(mutex_);
  std::vector<KeptPolicy> policies;
  Rows rows(
      database_
          .prepare("SELECT domain, id, text, fetched, expires, used FROM policy WHERE expires > ?1 AND used >= ?2 "
                   "AND fetched + (expires - fetched) / 2 <= ?1 ORDER BY expires LIMIT ?3")
          .bind(now, used_since, most));
  while (rows.next()) {
    policies.push_back({std::string(rows->text(0)), std::string(rows->text(1)), std::string(rows->text(2)),
                        rows->integer(3), rows->integer(4), rows->integer(5)});
  }
  return policies;
}

void TlsRecords::keep(const KeptPolicy& policy) {
  std::lock_guard lock(mutex_);
  Transaction transaction(database_);
  database_.prepare("INSERT OR REPLACE INTO policy VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
      .bind(policy.domain, policy.id, policy.text, policy.fetched, policy.expires, policy.used)
      .run();
  database_
      .prepare(
          "DELETE FROM policy WHERE domain IN (SELECT domain FROM policy ORDER BY fetched LIMIT "
          "max(0, (SELECT count(*) FROM policy) - ?1))")
      .bind(kMaxPolicies)
      .run();
  transaction.commit();
  if (database_.wal_pages() > kWalPages) database_.checkpoint();
}

void TlsRecords::count(int64_t day, std::span<const TlsResult> results) {
  std::lock_guard lock(mutex_);
  Transaction transaction(database_);
  for (const TlsResult& one : results) {
    database_
        .prepare(
            "UPDATE result SET sessions = sessions + ?8 WHERE day = ?1 AND domain = ?2 AND policy_type = ?3 AND "
            "policy = ?4 AND failure = ?5 AND host = ?6 AND address = ?7")
        .bind(day, one.domain, one.policy_type, one.policy, one.failure, one.host, one.address, one.sessions)
        .run();
    if (database_.changes() != 0) continue;
    database_
        .prepare(
            "INSERT INTO result SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE (SELECT count(*) FROM result) < "
            "?10 AND (SELECT count(*) FROM result WHERE day = ?1 AND domain = ?2) < ?11")
        .bind(day, one.domain, one.policy_type, one.policy, one.failure, one.host, one.address,
              std::string_view(one.detail).substr(0, kMaxDetail), one.sessions, kMaxResults, kMaxResultsOfDomain)
        .run();
  }
  transaction.commit();
  if (database_.wal_pages() > kWalPages) database_.checkpoint();
}

std::vector<ReportDay> TlsRecords::unreported(int64_t before, size_t most) {
  std::lock_guard lock(mutex_);
  database_.prepare("DELETE FROM result WHERE day < ?1").bind(before - kDaysKept).run();
  std::vector<ReportDay> days;
  Rows rows(database_.prepare("SELECT DISTINCT day, domain FROM result WHERE day < ?1 LIMIT ?2").bind(before, most));
  while (rows.next()) days.push_back({rows->integer(0), std::string(rows->text(1)), {}});
  return days;
}

std::vector<TlsResult> TlsRecords::results(const ReportDay& day) {
  std::lock_guard lock(mutex_);
  std::vector<TlsResult> results;
  Rows rows(database_
                .prepare("SELECT policy_type, policy, failure, host, address, detail, sessions FROM result WHERE day = "
                         "?1 AND domain = ?2 ORDER BY policy_type, policy, failure, host, address")
                .bind(day.day, day.domain));
  while (rows.next()) {
    results.push_back({day.domain, std::string(rows->text(0)), std::string(rows->text(1)), std::string(rows->text(2)),
                       std::string(rows->text(3)), std::string(rows->text(4)), std::string(rows->text(5)),
                       static_cast<uint64_t>(rows->integer(6))});
  }
  return results;
}

void TlsRecords::forget(const ReportDay& day) {
  std::lock_guard lock(mutex_);
  database_.prepare("DELETE FROM result WHERE day = ?1 AND domain = ?2").bind(day.day, day.domain).run();
}

bool TlsRecords::add_report(const ReceivedReport& report) {
  std::lock_guard lock(mutex_);
  Transaction transaction(database_);
  database_.prepare("INSERT OR IGNORE INTO report VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
      .bind(report.kind, report.organization, report.report_id, report.domain, report.begin, report.end,
            report.received, report.good, report.bad, std::string_view(report.details).substr(0, kMaxReportDetails))
      .run();
  const bool added = database_.changes() != 0;
  database_
      .prepare(
          "DELETE FROM report WHERE (kind, organization, report_id) IN (SELECT kind, organization, report_id FROM "
          "report ORDER BY received LIMIT max(0, (SELECT count(*) FROM report) - ?1))")
      .bind(kMaxReports)
      .run();
  transaction.commit();
  return added;
}

std::vector<ReceivedReport> TlsRecords::reports(const std::string& domain, size_t most) {
  std::lock_guard lock(mutex_);
  std::vector<ReceivedReport> reports;
  Rows rows(database_
                .prepare("SELECT kind, organization, report_id, domain, begin, end, received, good, bad, details FROM "
                         "report WHERE ?1 = '' OR domain = ?1 ORDER BY end DESC, received DESC LIMIT ?2")
                .bind(domain, most));
  while (rows.next()) {
    reports.push_back({std::string(rows->text(0)), std::string(rows->text(1)), std::string(rows->text(2)),
                       std::string(rows->text(3)), rows->integer(4), rows->integer(5), rows->integer(6),
                       static_cast<uint64_t>(rows->integer(7)), static_cast<uint64_t>(rows->integer(8)),
                       std::string(rows->text(9))});
  }
  return reports;
}

}  // namespace postrider::store
