#include "store/dmarc_records.h"

#include <array>
#include <unordered_map>

namespace postrider::store {
namespace {

constexpr int kWalPages = 1'000;  // after which they are moved into the file

constexpr std::array kMigrations = {
    Migration{R"sql(
-- day: since 1970, UTC. The rest as in a report's record.
CREATE TABLE result(
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  policy TEXT NOT NULL,
  source TEXT NOT NULL,
  disposition TEXT NOT NULL,
  dkim TEXT NOT NULL,
  spf TEXT NOT NULL,
  reason TEXT NOT NULL,
  comment TEXT NOT NULL,
  header_from TEXT NOT NULL,
  envelope_from TEXT NOT NULL,
  signatures TEXT NOT NULL,
  spf_result TEXT NOT NULL,
  messages INTEGER NOT NULL,
  PRIMARY KEY(day, domain, policy, source, disposition, dkim, spf, reason, comment, header_from, envelope_from,
              signatures, spf_result)
) STRICT, WITHOUT ROWID;
)sql"},
};

int64_t integer_of(Statement& statement) {
  Rows rows(statement);
  return rows.next() ? rows->integer(0) : 0;
}

}  // namespace

DmarcRecords::DmarcRecords(const std::string& state) : database_(state + "/dmarc.db", OpenMode::create, Sync::normal) {
  migrate(database_, kMigrations);
}

void DmarcRecords::count(int64_t day, std::span<const DmarcResult> results) {
  std::lock_guard lock(mutex_);
  Transaction transaction(database_);
  // Counting rows takes long where there are many: once, not for each of them.
  int64_t rows = integer_of(database_.prepare("SELECT count(*) FROM result"));
  std::unordered_map<std::string, int64_t> of_domains;
  for (const DmarcResult& one : results) {
    database_
        .prepare(
            "UPDATE result SET messages = messages + ?14 WHERE day = ?1 AND domain = ?2 AND policy = ?3 AND source = "
            "?4 AND disposition = ?5 AND dkim = ?6 AND spf = ?7 AND reason = ?8 AND comment = ?9 AND header_from = ?10 "
            "AND envelope_from = ?11 AND signatures = ?12 AND spf_result = ?13")
        .bind(day, one.domain, one.policy, one.source, one.disposition, one.dkim, one.spf, one.reason, one.comment,
              one.header_from, one.envelope_from, one.signatures, one.spf_result, one.messages)
        .run();
    if (database_.changes() != 0) continue;
    auto [of_domain, is_first] = of_domains.try_emplace(one.domain, 0);
    if (is_first) {
      of_domain->second = integer_of(
          database_.prepare("SELECT count(*) FROM result WHERE day = ?1 AND domain = ?2").bind(day, one.domain));
    }
    if (rows >= kMaxResults || of_domain->second >= kMaxResultsOfDomain) continue;
    database_.prepare("INSERT INTO result VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")
        .bind(day, one.domain, one.policy, one.source, one.disposition, one.dkim, one.spf, one.reason, one.comment,
              one.header_from, one.envelope_from, one.signatures, one.spf_result, one.messages)
        .run();
    ++rows;
    ++of_domain->second;
  }
  transaction.commit();
  if (database_.wal_pages() > kWalPages) database_.checkpoint();
}

std::vector<ReportDay> DmarcRecords::unreported(int64_t before, size_t most) {
  std::lock_guard lock(mutex_);
  database_.prepare("DELETE FROM result WHERE day < ?1").bind(before - kDaysKept).run();
  std::vector<ReportDay> days;
  Rows rows(
      database_.prepare("SELECT DISTINCT day, domain, policy FROM result WHERE day < ?1 LIMIT ?2").bind(before, most));
  while (rows.next()) days.push_back({rows->integer(0), std::string(rows->text(1)), std::string(rows->text(2))});
  return days;
}

std::vector<DmarcResult> DmarcRecords::results(const ReportDay& day) {
  std::lock_guard lock(mutex_);
  std::vector<DmarcResult> results;
  Rows rows(database_
                .prepare("SELECT source, disposition, dkim, spf, reason, comment, header_from, envelope_from, "
                         "signatures, spf_result, messages FROM result WHERE day = ?1 AND domain = ?2 AND policy = ?3")
                .bind(day.day, day.domain, day.policy));
  while (rows.next()) {
    DmarcResult& one = results.emplace_back();
    one.domain = day.domain;
    one.policy = day.policy;
    int column = 0;
    for (std::string* text : {&one.source, &one.disposition, &one.dkim, &one.spf, &one.reason, &one.comment,
                              &one.header_from, &one.envelope_from, &one.signatures, &one.spf_result})
      *text = rows->text(column++);
    one.messages = static_cast<uint64_t>(rows->integer(column));
  }
  return results;
}

void DmarcRecords::forget(const ReportDay& day) {
  std::lock_guard lock(mutex_);
  database_.prepare("DELETE FROM result WHERE day = ?1 AND domain = ?2 AND policy = ?3")
      .bind(day.day, day.domain, day.policy)
      .run();
  if (database_.wal_pages() > kWalPages) database_.checkpoint();
}

}  // namespace postrider::store
