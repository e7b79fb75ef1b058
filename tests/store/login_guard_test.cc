#include "store/login_guard.h"

#include <gtest/gtest.h>

#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

constexpr UnixTime kNow = 1'769'860'800;

class LoginGuardTest : public testing::Test {
 protected:
  void fail(LoginGuard& guard, const std::string& address, const std::string& user, int times) {
    for (int i = 0; i < times; ++i) guard.failed(address, user);
  }

  LoginGuardTest() { guard_.set_policy(policy_); }

  TempState state_;
  ManualClock clock_{kNow};
  GuardPolicy policy_{5, 20, Seconds(600), Seconds(600)};
  LoginGuard guard_{state_.path(), clock_};
};

TEST_F(LoginGuardTest, AnAddressThatFailsTooOftenIsBannedForAWhile) {
  fail(guard_, "192.0.2.1", "alice", 4);
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "alice"), std::nullopt);
  fail(guard_, "192.0.2.1", "bob", 1);
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "anybody"), kNow + 600);
  EXPECT_EQ(guard_.banned_until("192.0.2.2", "alice"), std::nullopt);
  clock_.advance(std::chrono::seconds(600));
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "anybody"), std::nullopt);
}

TEST_F(LoginGuardTest, TheNextBanIsLonger) {
  fail(guard_, "192.0.2.1", "alice", 5);
  clock_.advance(std::chrono::seconds(601));
  fail(guard_, "192.0.2.1", "alice", 5);
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "x"), kNow + 601 + 1'200);
  for (int i = 0; i < 20; ++i) {
    clock_.advance(std::chrono::hours(25));
    fail(guard_, "192.0.2.1", "alice", 5);
  }
  EXPECT_EQ(*guard_.banned_until("192.0.2.1", "x"), clock_.unix_time() + 86'400);
}

TEST_F(LoginGuardTest, SlowMistakesAreForgiven) {
  for (int i = 0; i < 50; ++i) {
    fail(guard_, "192.0.2.1", "alice", 1);
    clock_.advance(std::chrono::minutes(5));
  }
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "alice"), std::nullopt);
}

TEST_F(LoginGuardTest, AnAccountThatIsGuessedAtFromEverywhereLetsInWhoHasBeenThere) {
  guard_.succeeded("192.0.2.200", "Alice@example.org");
  for (int i = 0; i < 20; ++i) fail(guard_, "198.51.100." + std::to_string(i), "ALICE@example.org", 1);
  EXPECT_TRUE(guard_.banned_until("203.0.113.1", "alice@example.org"));
  EXPECT_FALSE(guard_.banned_until("203.0.113.1", "bob@example.org"));
  EXPECT_FALSE(guard_.banned_until("192.0.2.200", "alice@example.org"));
  for (int i = 0; i < 20; ++i) fail(guard_, "198.51.100." + std::to_string(i), "nobody@example.org", 1);
  EXPECT_TRUE(guard_.banned_until("203.0.113.1", "nobody@example.org"));  // as if it were there
}

TEST_F(LoginGuardTest, BothDaemonsSeeTheSame) {
  LoginGuard other(state_.path(), clock_);
  other.set_policy(policy_);
  fail(guard_, "192.0.2.1", "alice", 3);
  fail(other, "192.0.2.1", "alice", 2);
  EXPECT_TRUE(other.banned_until("192.0.2.1", "x"));
  guard_.refresh();
  EXPECT_TRUE(guard_.banned_until("192.0.2.1", "x"));
  ASSERT_EQ(guard_.bans().size(), 1U);
  EXPECT_EQ(guard_.bans()[0].key, "192.0.2.1");
  EXPECT_TRUE(guard_.lift("192.0.2.1"));
  EXPECT_FALSE(guard_.lift("192.0.2.1"));
  other.refresh();
  EXPECT_FALSE(other.banned_until("192.0.2.1", "x"));
}

TEST_F(LoginGuardTest, BansOutliveARestartAndMayBeGivenByHand) {
  guard_.ban("2001:db8::", kNow + 86'400);
  LoginGuard again(state_.path(), clock_);
  EXPECT_EQ(again.banned_until("2001:db8::", "x"), kNow + 86'400);
}

TEST_F(LoginGuardTest, ZeroIsNever) {
  policy_.failures_per_address = policy_.failures_per_account = 0;
  guard_.set_policy(policy_);
  fail(guard_, "192.0.2.1", "alice", 300);
  EXPECT_EQ(guard_.banned_until("192.0.2.1", "alice"), std::nullopt);
}

TEST_F(LoginGuardTest, NamesOfAnyKind) {
  const std::string odd = "';DROP TABLE guarded;--\0\xff" + std::string(5'000, 'x');
  fail(guard_, "192.0.2.1", odd, 5);
  EXPECT_TRUE(guard_.banned_until("192.0.2.1", odd));
}

}  // namespace
}  // namespace postrider::store
