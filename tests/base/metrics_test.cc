// What is counted, and how it is written (Prometheus's text exposition format 0.0.4).
#include "common/base/metrics.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

namespace postrider::metrics {
namespace {

using testing::HasSubstr;

// Static, as all are: they stay in the list of this process.
Counter plain("test_b_total", "A counter.");
Counter labelled("test_c_total", "One with a label.", {"kind", {"good", "bad"}});
Gauge gauge("test_a", "A gauge.");
Histogram sizes("test_d", "Numbers.", kGroups);
Histogram durations("test_e_seconds", "Durations.", kDurations, {"kind", {"good", "bad"}});

std::string written(const Family& family) {
  Page page;
  family.write(page);
  return page.text();
}

TEST(Metrics, ACounterIsWrittenWithHelpAndType) {
  const uint64_t before = plain.value();
  plain.add();
  plain.add(41);
  EXPECT_EQ(written(plain), "# HELP test_b_total A counter.\n# TYPE test_b_total counter\ntest_b_total " +
                                std::to_string(before + 42) + "\n");
}

TEST(Metrics, EveryValueOfALabelIsThereFromTheStart) {
  labelled[1].add(3);
  EXPECT_EQ(written(labelled),
            "# HELP test_c_total One with a label.\n# TYPE test_c_total counter\n"
            "test_c_total{kind=\"good\"} 0\ntest_c_total{kind=\"bad\"} 3\n");
}

TEST(Metrics, AGaugeGoesDownToo) {
  gauge.set(5);
  gauge.add(-7);
  EXPECT_THAT(written(gauge), HasSubstr("# TYPE test_a gauge\ntest_a -2\n"));
}

TEST(Metrics, BucketsOfAHistogramAddUp) {
  for (uint64_t value : {1, 2, 3, 4, 2'000}) sizes.observe(value);
  const std::string text = written(sizes);
  EXPECT_THAT(text, HasSubstr("test_d_bucket{le=\"1\"} 1\ntest_d_bucket{le=\"2\"} 2\ntest_d_bucket{le=\"4\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("test_d_bucket{le=\"1024\"} 4\ntest_d_bucket{le=\"+Inf\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("test_d_sum 2010\ntest_d_count 5\n"));
  EXPECT_EQ(sizes.count(), 5u);
}

TEST(Metrics, DurationsAreShownInSeconds) {
  durations[1].observe(std::chrono::milliseconds(7));
  durations[1].observe(std::chrono::seconds(100));
  durations[1].observe(std::chrono::seconds(-3));  // a clock that went back
  const std::string text = written(durations);
  EXPECT_THAT(text, HasSubstr("test_e_seconds_bucket{kind=\"bad\",le=\"0.0001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_bucket{kind=\"bad\",le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_bucket{kind=\"bad\",le=\"0.01\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_bucket{kind=\"bad\",le=\"60\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_bucket{kind=\"bad\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_sum{kind=\"bad\"} 100.007\n"));
  EXPECT_THAT(text, HasSubstr("test_e_seconds_count{kind=\"good\"} 0\n"));
  { const Timing timing(durations[0]); }
  EXPECT_EQ(durations[0].count(), 1u);
}

TEST(Metrics, AllOfTheProcessAreWrittenOnceInTheOrderOfTheirNames) {
  Page page;
  write_counted(page);
  size_t last = 0;
  for (const char* name : {"test_a", "test_b_total", "test_c_total", "test_d", "test_e_seconds"}) {
    const std::string line = std::string("# TYPE ") + name + " ";
    const size_t at = page.text().find(line);
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_EQ(page.text().find(line, at + 1), std::string::npos) << name;
    EXPECT_GE(at, last);
    last = at;
    last = at;
  }
}

TEST(Metrics, TheValueOfALabelMayBeAnything) {
  Page page;
  page.family("test", Type::gauge, "Help.");
  page.value(1.5, "name", "a\"b\\c\nd\xff\xc3\xbc");
  EXPECT_THAT(page.text(), HasSubstr("test{name=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xbc\"} 1.5\n"));
  Page long_one;
  long_one.family("test", Type::gauge, "Help.");
  long_one.value(int64_t{-1}, "name", std::string(10'000, 'x'));
  EXPECT_LT(long_one.text().size(), kMaxPageText + 200);
}

TEST(Metrics, NothingIsLostWhereManyCount) {
  constexpr int kThreads = 4, kTimes = 20'000;
  const uint64_t before = plain.value(), observed = sizes.count();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([] {
      for (int k = 0; k < kTimes; ++k) plain.add(), sizes.observe(uint64_t{3});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(plain.value() - before, uint64_t{kThreads} * kTimes);
  EXPECT_EQ(sizes.count() - observed, uint64_t{kThreads} * kTimes);
}

}  // namespace
}  // namespace postrider::metrics
