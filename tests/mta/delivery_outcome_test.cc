#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/outcome.h"

namespace postrider {
namespace {

constexpr UnixTime kAccepted = 1'700'000'000;

class OutcomeTest : public testing::Test {
 protected:
  OutcomeTest() {
    message_.reverse_path = "sender@example.net";
    message_.accepted = kAccepted;
    schedule_.retry = {Seconds(60), Seconds(300), Seconds(900)};
    schedule_.lifetime = Seconds(7'200);
    schedule_.delay_warning = Seconds(3'600);
  }
  Decision after(Seconds age, int attempts, const Outcome& outcome = Outcome::temporary("4.2.2", "452 4.2.2 Full")) {
    recipient_.attempts = attempts;
    return decide(outcome, message_, recipient_, schedule_, kAccepted + age.count(), random_);
  }

  store::QueuedMessage message_;
  store::QueuedRecipient recipient_;
  Schedule schedule_;
  uint64_t random_ = 0;
};

TEST_F(OutcomeTest, SuccessEnds) {
  EXPECT_EQ(after(Seconds(0), 0, Outcome::delivered()).next, Decision::Next::end);
  EXPECT_EQ(after(Seconds(99'999), 0, Outcome::delivered()).next, Decision::Next::end) << "late is not too late";
}

TEST_F(OutcomeTest, PermanentFailureBouncesAtOnce) {
  Decision decision = after(Seconds(0), 0, Outcome::permanent("5.1.1", "550 5.1.1 No"));
  EXPECT_EQ(decision.next, Decision::Next::bounce);
  EXPECT_FALSE(decision.expired);
}

TEST_F(OutcomeTest, TheScheduleIsFollowedAndItsLastIntervalRepeats) {
  EXPECT_EQ(after(Seconds(10), 0).at, kAccepted + 10 + 60);
  EXPECT_EQ(after(Seconds(10), 1).at, kAccepted + 10 + 300);
  EXPECT_EQ(after(Seconds(10), 2).at, kAccepted + 10 + 900);
  EXPECT_EQ(after(Seconds(10), 3).at, kAccepted + 10 + 900);
  EXPECT_EQ(after(Seconds(10), 1'000'000).at, kAccepted + 10 + 900);
}

TEST_F(OutcomeTest, TheLastAttemptIsMadeWhenTheLifetimeEnds) {
  EXPECT_EQ(after(Seconds(7'000), 5).at, kAccepted + 7'200);
  Decision last = after(Seconds(7'200), 6);
  EXPECT_EQ(last.next, Decision::Next::bounce);
  EXPECT_TRUE(last.expired);
}

TEST_F(OutcomeTest, WhatThisServerHasToMendFirstIsKeptForThat) {
  Outcome damaged = Outcome::temporary("4.3.0", "451 4.3.0 Damaged");
  damaged.expires = false;
  Decision late = after(Seconds(7'200), 6, damaged);
  EXPECT_EQ(late.next, Decision::Next::retry);
  EXPECT_EQ(late.at, kAccepted + 7'200 + 900);
  EXPECT_EQ(after(Seconds(999'999), 60, damaged).next, Decision::Next::retry);
}

TEST_F(OutcomeTest, RetriesAreSpreadOverATenthOfTheInterval) {
  for (random_ = 1; random_ < 1'000; ++random_) {
    UnixTime at = after(Seconds(0), 1).at;
    ASSERT_GE(at, kAccepted + 300);
    ASSERT_LE(at, kAccepted + 330);
  }
}

TEST_F(OutcomeTest, ADeadDestinationSaysItselfWhenItIsTriedNext) {
  Outcome outcome = Outcome::temporary("4.4.1", "no answer");
  outcome.attempted = false;
  outcome.not_before = kAccepted + 42;
  EXPECT_EQ(after(Seconds(0), 0, outcome).at, kAccepted + 42);
  outcome.not_before = kAccepted + 99'999;
  recipient_.warned = true;
  EXPECT_EQ(after(Seconds(0), 0, outcome).at, kAccepted + 7'200) << "but never after the lifetime";
}

TEST_F(OutcomeTest, TheSenderIsWarnedOnceOfADelay) {
  EXPECT_FALSE(after(Seconds(3'599), 3).warn);
  EXPECT_TRUE(after(Seconds(3'600), 3).warn);
  recipient_.warned = true;
  EXPECT_FALSE(after(Seconds(3'700), 4).warn);
}

TEST_F(OutcomeTest, ALongIntervalMakesNoWarningLate) {
  Outcome outcome = Outcome::temporary("4.4.1", "no answer");
  outcome.not_before = kAccepted + 5'000;
  EXPECT_EQ(after(Seconds(3'000), 3, outcome).at, kAccepted + 3'600);
  EXPECT_EQ(after(Seconds(3'600), 3, outcome).at, kAccepted + 5'000) << "now it is warned";
  recipient_.notify = store::kNotifyFailure;
  EXPECT_EQ(after(Seconds(3'000), 3, outcome).at, kAccepted + 5'000) << "nobody wants to hear of it";
}

TEST_F(OutcomeTest, WhoAskedForFailuresOnlyIsNotWarned) {
  recipient_.notify = store::kNotifyFailure;
  EXPECT_FALSE(after(Seconds(3'600), 3).warn);
  recipient_.notify = store::kNotifyFailure | store::kNotifyDelay;
  EXPECT_TRUE(after(Seconds(3'600), 3).warn);
  recipient_.notify = store::kNotifyNever;
  EXPECT_FALSE(after(Seconds(3'600), 3).warn);
}

TEST_F(OutcomeTest, NobodyIsWarnedOfADelayedReport) {
  message_.reverse_path.clear();
  EXPECT_FALSE(after(Seconds(3'600), 3).warn);
}

TEST_F(OutcomeTest, WarningsCanBeSwitchedOff) {
  schedule_.delay_warning = Seconds(0);
  EXPECT_FALSE(after(Seconds(7'000), 3).warn);
}

}  // namespace
}  // namespace postrider
