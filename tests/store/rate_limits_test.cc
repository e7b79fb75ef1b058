#include "store/rate_limits.h"

#include <gtest/gtest.h>

#include "store/greylist.h"
#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using namespace std::chrono_literals;

class RateLimitsTest : public testing::Test {
 protected:
  static RatePolicy of(RateLayer layer, std::vector<RateRule> rules) {
    RatePolicy policy;
    policy[static_cast<size_t>(layer)] = std::move(rules);
    return policy;
  }
  /// How many are taken until one is not.
  size_t taken(RateLimits& limits, RateLayer layer, const std::string& key) {
    size_t count = 0;
    while (count < 100'000 && !limits.take(layer, key)) ++count;
    return count;
  }

  TempState state;
  ManualClock clock{1'700'000'000};
};

TEST_F(RateLimitsTest, WithoutRulesEverythingIsTaken) {
  RateLimits limits(state.path(), clock);
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.7"), 100'000u);
}

TEST_F(RateLimitsTest, WhatWasUsedComesBackEvenly) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::address, {{60, 60min}}));
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.7"), 60u);
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.8"), 60u);
  const auto refused = limits.take(RateLayer::address, "192.0.2.7");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->again, clock.unix_time() + 60);
  EXPECT_EQ(rate_sentence(*refused, clock.unix_time()), "more than 60 in 1 h; try again in 1 minute");
  clock.advance(59s);
  EXPECT_TRUE(limits.take(RateLayer::address, "192.0.2.7"));
  clock.advance(1s);
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.7"), 1u);
  clock.advance(30min);
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.7"), 30u);
  clock.advance(24h);
  EXPECT_EQ(taken(limits, RateLayer::address, "192.0.2.7"), 60u);
}

TEST_F(RateLimitsTest, TheStrictestRuleCountsAndARefusalCostsNothing) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::recipient, {{5, 1min}, {8, 24h}}));
  EXPECT_EQ(taken(limits, RateLayer::recipient, "a@b"), 5u);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limits.take(RateLayer::recipient, "A@b"));
  clock.advance(1min);
  EXPECT_EQ(taken(limits, RateLayer::recipient, "a@b"), 3u);
  EXPECT_EQ(limits.take(RateLayer::recipient, "a@b")->rule.count, 8u);
}

TEST_F(RateLimitsTest, AClockThatIsSetBackClosesNothingForLonger) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::address, {{10, 1min}}));
  EXPECT_EQ(taken(limits, RateLayer::address, "a"), 10u);
  clock.advance(-24h);
  EXPECT_LE(limits.take(RateLayer::address, "a")->again, clock.unix_time() + 60);
  clock.advance(1min);
  EXPECT_GE(taken(limits, RateLayer::address, "a"), 9u);
}

TEST_F(RateLimitsTest, AMillionAddressesNeedNoMoreMemoryAndDoNotFreeTheBusiest) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::address, {{1'000, 24h}}));
  EXPECT_EQ(taken(limits, RateLayer::address, "busy"), 1'000u);
  for (int i = 0; i < 1'000'000; ++i) limits.take(RateLayer::address, std::to_string(i));
  EXPECT_TRUE(limits.take(RateLayer::address, "busy"));
}

TEST_F(RateLimitsTest, WhatAccountsUsedOutlivesAProcess) {
  const auto policy = of(RateLayer::account, {{10, 1h}, {20, 24h}});
  {
    RateLimits limits(state.path(), clock);
    limits.set_policy(policy);
    EXPECT_EQ(taken(limits, RateLayer::account, "alice@example.org"), 10u);
  }
  RateLimits limits(state.path(), clock);
  limits.set_policy(policy);
  EXPECT_TRUE(limits.take(RateLayer::account, "Alice@example.org"));
  EXPECT_FALSE(limits.take(RateLayer::account, "bob@example.org"));
  limits.refresh();
  const auto uses = limits.uses();
  ASSERT_EQ(uses.size(), 4u);
  EXPECT_EQ(uses[0].account, "alice@example.org");
  EXPECT_EQ(uses[0].used, 10u);
  EXPECT_EQ(uses[0].rule, (RateRule{10, 1h}));
  EXPECT_EQ(uses[3].used, 1u);
}

TEST_F(RateLimitsTest, AnAdministratorLiftsALimitOfARunningServer) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::account, {{10, 1h}}));
  EXPECT_EQ(taken(limits, RateLayer::account, "alice@example.org"), 10u);
  limits.refresh();
  {
    RateLimits mailctl(state.path(), clock);
    EXPECT_FALSE(mailctl.lift("bob@example.org"));
    EXPECT_TRUE(mailctl.lift("Alice@example.org"));
    EXPECT_TRUE(mailctl.uses().empty());
  }
  limits.refresh();
  EXPECT_EQ(taken(limits, RateLayer::account, "alice@example.org"), 10u);
}

TEST_F(RateLimitsTest, HalfOfARuleIsHalfOfAnotherForTheSameTime) {
  RateLimits limits(state.path(), clock);
  limits.set_policy(of(RateLayer::account, {{10, 24h}}));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limits.take(RateLayer::account, "a@b"));
  limits.set_policy(of(RateLayer::account, {{4, 1min}, {6, 24h}}));
  EXPECT_EQ(taken(limits, RateLayer::account, "a@b"), 3u);
}

TEST_F(RateLimitsTest, WhoComesAgainInTimeIsTakenAndKnown) {
  Greylist list(state.path(), clock);
  const GreylistPolicy policy{5min, 48h, 36 * 24h};
  const auto ask = [&](const std::string& sender, const std::string& recipient = "bob@example.org") {
    return list.ask("192.0.2.0/24", sender, recipient, policy);
  };
  EXPECT_EQ(ask("a@b"), clock.unix_time() + 300);
  clock.advance(2min);
  EXPECT_EQ(ask("a@b"), clock.unix_time() + 180);
  clock.advance(3min);
  EXPECT_FALSE(ask("A@b"));
  EXPECT_TRUE(ask("a@b", "carol@example.org"));
  EXPECT_TRUE(list.ask("198.51.100.0/24", "a@b", "bob@example.org", policy));
  clock.advance(35 * 24h);
  EXPECT_FALSE(ask("a@b"));
  clock.advance(37 * 24h);
  EXPECT_TRUE(ask("a@b"));
}

TEST_F(RateLimitsTest, ASecondAttemptThatComesTooLateIsAFirstOne) {
  Greylist list(state.path(), clock);
  const GreylistPolicy policy{5min, 48h, 36 * 24h};
  EXPECT_TRUE(list.ask("n", "a@b", "c@d", policy));
  clock.advance(49h);
  EXPECT_TRUE(list.ask("n", "a@b", "c@d", policy));
}

TEST_F(RateLimitsTest, ANetworkThatComesAgainOftenWaitsNoMore) {
  Greylist list(state.path(), clock);
  const GreylistPolicy policy{5min, 48h, 36 * 24h};
  for (int i = 0; i < Greylist::kKnownNetwork; ++i) {
    const std::string sender = std::to_string(i) + "@b";
    EXPECT_TRUE(list.ask("n", sender, "c@d", policy)) << i;
    clock.advance(5min);
    EXPECT_FALSE(list.ask("n", sender, "c@d", policy)) << i;
  }
  EXPECT_FALSE(list.ask("n", "new@b", "c@d", policy));
  EXPECT_TRUE(list.ask("other", "new@b", "c@d", policy));
}

}  // namespace
}  // namespace postrider::store
