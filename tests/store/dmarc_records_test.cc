#include "store/dmarc_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

DmarcResult result(const std::string& domain, const std::string& source, const std::string& disposition = "none") {
  return {domain,
          "p=none",
          source,
          disposition,
          "pass",
          "fail",
          "",
          "",
          domain,
          "list.test",
          "example.net s pass\n",
          "mfrom list.test pass",
          2};
}

TEST(DmarcRecords, MessagesThatCameToTheSameAddUp) {
  TempState state;
  {
    DmarcRecords records(state.path());
    const std::vector<DmarcResult> results{result("example.net", "192.0.2.1"), result("example.net", "192.0.2.2"),
                                           result("example.net", "192.0.2.1", "reject"),
                                           result("example.com", "192.0.2.1")};
    records.count(10, results);
    records.count(10, results);
    records.count(11, results);
  }
  DmarcRecords records(state.path());
  EXPECT_THAT(records.unreported(10, 100), IsEmpty());
  const auto days = records.unreported(11, 100);
  ASSERT_THAT(days, SizeIs(2));
  EXPECT_EQ(days[1].domain, "example.net");
  EXPECT_EQ(days[1].policy, "p=none");
  const auto read = records.results(days[1]);
  ASSERT_THAT(read, SizeIs(3));
  EXPECT_EQ(read[0].messages, 4U);
  EXPECT_EQ(read[0].signatures, "example.net s pass\n");
  EXPECT_EQ(read[0].spf_result, "mfrom list.test pass");
  records.forget(days[1]);
  EXPECT_THAT(records.unreported(11, 100), SizeIs(1));
  EXPECT_THAT(records.unreported(12, 1), SizeIs(1));
  EXPECT_THAT(records.unreported(100, 100), IsEmpty()) << "long past";
}

TEST(DmarcRecords, APolicyThatChangesMakesAReportOfItsOwn) {
  TempState state;
  DmarcRecords records(state.path());
  std::vector<DmarcResult> results{result("example.net", "192.0.2.1"), result("example.net", "192.0.2.1")};
  results[1].policy = "p=reject";
  records.count(10, results);
  EXPECT_THAT(records.unreported(11, 100), SizeIs(2));
}

TEST(DmarcRecords, OneDomainCannotFillIt) {
  TempState state;
  DmarcRecords records(state.path());
  std::vector<DmarcResult> results;
  for (int i = 0; i < DmarcRecords::kMaxResultsOfDomain + 500; ++i)
    results.push_back(result("example.net", std::to_string(i)));
  records.count(1, results);
  EXPECT_THAT(records.results({1, "example.net", "p=none"}), SizeIs(DmarcRecords::kMaxResultsOfDomain));
  const std::vector<DmarcResult> other{result("example.com", "192.0.2.1")};
  records.count(1, other);
  EXPECT_THAT(records.results({1, "example.com", "p=none"}), SizeIs(1));
}

}  // namespace
}  // namespace postrider::store
