#include "store/tls_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(TlsRecords, PoliciesAreKeptAndReplaced) {
  TempState state;
  {
    TlsRecords records(state.path());
    EXPECT_FALSE(records.policy("example.net"));
    records.keep({"example.net", "one", "text", 100, 200});
    records.keep({"example.net", "two", "other text", 150, 300});
  }
  TlsRecords records(state.path());
  const auto kept = records.policy("example.net");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->id, "two");
  EXPECT_EQ(kept->text, "other text");
  EXPECT_EQ(kept->fetched, 150);
  EXPECT_EQ(kept->expires, 300);
}

TEST(TlsRecords, PoliciesAgeWhenHalfOfTheirTimeIsOver) {
  TempState state;
  TlsRecords records(state.path());
  records.keep({"late.example", "one", "text", 100, 300, 100});
  records.keep({"soon.example", "two", "text", 100, 290, 90});
  records.keep({"young.example", "three", "text", 150, 400, 150});
  records.keep({"idle.example", "four", "text", 100, 280, 50});
  records.keep({"over.example", "five", "text", 100, 200, 100});
  const auto ageing = records.ageing(200, 90, 10);
  ASSERT_THAT(ageing, SizeIs(2));
  EXPECT_EQ(ageing[0].domain + ageing[0].id, "soon.exampletwo");
  EXPECT_EQ(ageing[1].domain, "late.example");
  EXPECT_EQ(ageing[1].used, 100);
  EXPECT_THAT(records.ageing(200, 90, 1), SizeIs(1));
}

TEST(TlsRecords, PoliciesOfTheFirstVersionCountAsUsedWhenTheyWereFetched) {
  TempState state;
  {
    constexpr std::array kFirst = {
        Migration{"CREATE TABLE policy(domain TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL, text TEXT NOT NULL, fetched "
                  "INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID"}};
    Database database(state.file("tls.db"), OpenMode::create, Sync::normal);
    migrate(database, kFirst);
    database.execute("INSERT INTO policy VALUES('example.net', 'one', 'text', 100, 200)");
  }
  TlsRecords records(state.path());
  EXPECT_EQ(records.policy("example.net")->used, 100);
}

TEST(TlsRecords, ResultsAddUpByDay) {
  TempState state;
  TlsRecords records(state.path());
  const std::vector<TlsResult> results{
      {"example.net", "no-policy-found", "", "", "", "", "", 3},
      {"example.net", "no-policy-found", "", "starttls-not-supported", "mx", "::1", "why", 1},
      {"example.com", "no-policy-found", "", "", "", "", "", 1}};
  records.count(10, results);
  records.count(10, results);
  records.count(11, results);
  EXPECT_THAT(records.unreported(10, 100), IsEmpty());
  EXPECT_THAT(records.unreported(11, 100), SizeIs(2));
  EXPECT_THAT(records.unreported(12, 3), SizeIs(3));
  const auto read = records.results({10, "example.net", {}});
  ASSERT_THAT(read, SizeIs(2));
  EXPECT_EQ(read[0].sessions, 6U);
  EXPECT_EQ(read[1].failure, "starttls-not-supported");
  EXPECT_EQ(read[1].detail, "why");
  records.forget({10, "example.net", {}});
  EXPECT_THAT(records.unreported(11, 100), SizeIs(1));
  EXPECT_THAT(records.unreported(100, 100), IsEmpty()) << "long past";
}

TEST(TlsRecords, OneDomainCannotFillIt) {
  TempState state;
  TlsRecords records(state.path());
  std::vector<TlsResult> results;
  for (int i = 0; i < 500; ++i)
    results.push_back({"example.net", "sts", "", "certificate-expired", "mx" + std::to_string(i), "", "", 1});
  records.count(1, results);
  EXPECT_THAT(records.results({1, "example.net", {}}), SizeIs(TlsRecords::kMaxResultsOfDomain));
}

TEST(TlsRecords, AReportIsKeptOnce) {
  TempState state;
  TlsRecords records(state.path());
  ReceivedReport report{"tls", "Example", "1", "example.org", 100, 200, 300, 4, 5, "details"};
  EXPECT_TRUE(records.add_report(report));
  EXPECT_FALSE(records.add_report(report));
  report.report_id = "2";
  report.domain = "example.com";
  report.end = 250;
  EXPECT_TRUE(records.add_report(report));
  EXPECT_THAT(records.reports("example.org", 10), SizeIs(1));
  const auto all = records.reports("", 10);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].report_id, "2") << "the newest first";
  EXPECT_EQ(all[1].bad, 5U);
}

}  // namespace
}  // namespace postrider::store
