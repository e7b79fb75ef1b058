// When MTA-STS policies are fetched, and for how long they hold.
#include "mta/sts_policies.h"

#include <gtest/gtest.h>

#include "tests/mailauth/table.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using sts::Mode;

std::string policy_text(const std::string& mode, int64_t age = 604'800) {
  return "version: STSv1\nmode: " + mode + "\nmx: mx.example.net\nmax_age: " + std::to_string(age) + "\n";
}

class StsPoliciesTest : public testing::Test {
 protected:
  StsPoliciesTest() { restart(); }
  void restart() {
    policies_.reset();
    records_ = std::make_unique<store::TlsRecords>(state_.path());
    policies_ = std::make_unique<StsPolicies>(
        *records_, workers_, clock_, [this](std::string, DnsType) { return answer(); },
        [this](std::string) { return fetch(); });
  }
  void publish(const std::string& id) {
    record_ = DnsAnswer();
    record_.status = id.empty() ? DnsAnswer::Status::no_domain : DnsAnswer::Status::found;
    if (!id.empty()) record_.records = {wire_txt("v=STSv1; id=" + id)};
  }
  asio::awaitable<DnsAnswer> answer() { co_return record_; }
  asio::awaitable<FetchedPolicy> fetch() {
    ++fetches_;
    co_return page_;
  }
  StsPolicies::Found find() {
    StsPolicies::Found found;
    asio::io_context loop;
    auto run = [&]() -> asio::awaitable<void> { found = co_await policies_->find("example.net"); };
    asio::co_spawn(loop, run(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
    return found;
  }
  /// As the rounds do it, on a loop of their own.
  void refresh_idle() {
    StsPolicies policies(
        *records_, workers_, clock_, [this](std::string, DnsType) { return answer(); },
        [this](std::string) { return fetch(); });
    asio::io_context loop;
    asio::co_spawn(loop, policies.refresh_idle(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
  }
  /// "enforce", "testing", "none", or "-" where no policy holds.
  std::string mode() {
    const auto found = find();
    return found.policy == nullptr ? "-" : std::string(to_string(found.policy->mode));
  }
  void pass(std::chrono::seconds time) { clock_.advance(time); }

  store::TempState state_;
  ManualClock clock_{1'700'000'000};
  net::WorkerPool workers_{1};
  DnsAnswer record_;
  FetchedPolicy page_ = policy_text("enforce");
  int fetches_ = 0;
  std::unique_ptr<store::TlsRecords> records_;
  std::unique_ptr<StsPolicies> policies_;
};

TEST_F(StsPoliciesTest, WithoutARecordNothingIsFetched) {
  publish("");
  EXPECT_EQ(mode(), "-");
  EXPECT_EQ(fetches_, 0);
}

TEST_F(StsPoliciesTest, APolicyIsFetchedOnceAndKeptOverARestart) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  EXPECT_EQ(mode(), "enforce");
  restart();
  EXPECT_EQ(mode(), "enforce");
  EXPECT_EQ(fetches_, 1);
}

TEST_F(StsPoliciesTest, AnotherIdMeansAnotherPolicy) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  page_ = policy_text("testing");
  pass(std::chrono::minutes(6));
  EXPECT_EQ(mode(), "enforce");
  publish("two");
  EXPECT_EQ(mode(), "testing");
  page_ = policy_text("none");
  publish("three");
  EXPECT_EQ(mode(), "testing") << "five minutes lie between two fetches";
  pass(std::chrono::minutes(6));
  EXPECT_EQ(mode(), "none");
}

TEST_F(StsPoliciesTest, WhoTakesTheRecordAwayTakesNotThePolicy) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  publish("");
  EXPECT_EQ(mode(), "enforce");
  record_ = DnsAnswer();  // DNS fails
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::seconds(604'801));
  EXPECT_EQ(mode(), "-") << "its time is over";
}

TEST_F(StsPoliciesTest, AFetchThatFailsLeavesWhatIsKept) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  page_ = tl::unexpected(StsTrouble{"sts-webpki-invalid", "the certificate has expired"});
  publish("two");
  pass(std::chrono::minutes(6));
  auto found = find();
  ASSERT_NE(found.policy, nullptr);
  EXPECT_EQ(found.policy->mode, Mode::enforce);
  ASSERT_TRUE(found.trouble);
  EXPECT_EQ(found.trouble->type, "sts-webpki-invalid");
  EXPECT_EQ(mode(), "enforce");
  EXPECT_EQ(fetches_, 2) << "not again at once";
  page_ = std::string("<html>hello</html>");
  pass(std::chrono::minutes(6));
  EXPECT_EQ(find().trouble->type, "sts-policy-invalid");
  EXPECT_EQ(fetches_, 3);
  page_ = policy_text("testing");
  pass(std::chrono::minutes(6));
  found = find();
  EXPECT_FALSE(found.trouble);
  EXPECT_EQ(found.policy->mode, Mode::testing);
}

TEST_F(StsPoliciesTest, APolicyIsFetchedAnewEveryDay) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::hours(25));
  EXPECT_EQ(mode(), "enforce");
  EXPECT_EQ(fetches_, 2);
  pass(std::chrono::seconds(604'000));
  page_ = tl::unexpected(StsTrouble{"sts-policy-fetch-error", "no connection"});
  EXPECT_EQ(mode(), "enforce") << "it held longer since it was fetched anew";
}

TEST_F(StsPoliciesTest, APolicyOfAnIdleDomainIsFetchedAnewBeforeItEnds) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::hours(80));
  refresh_idle();
  EXPECT_EQ(fetches_, 1) << "less than half of a week is over";
  for (int round = 0; round < 40; ++round) {
    pass(std::chrono::hours(24));
    refresh_idle();
  }
  EXPECT_EQ(fetches_, 11) << "every fourth day";
  publish("");
  EXPECT_EQ(mode(), "enforce") << "what was fetched meanwhile counts";
  pass(std::chrono::hours(80));
  refresh_idle();
  EXPECT_EQ(fetches_, 11) << "there is no record any more";
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::hours(24));
  EXPECT_EQ(mode(), "-");
}

TEST_F(StsPoliciesTest, AFetchThatFailsLeavesAnIdlePolicyAsItIs) {
  publish("one");
  EXPECT_EQ(mode(), "enforce");
  page_ = tl::unexpected(StsTrouble{"sts-policy-fetch-error", "no connection"});
  pass(std::chrono::hours(100));
  refresh_idle();
  EXPECT_EQ(fetches_, 2);
  publish("");
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::hours(100));
  EXPECT_EQ(mode(), "-");
}

TEST_F(StsPoliciesTest, WhatNobodyHasUsedForLongMayEnd) {
  publish("one");
  page_ = policy_text("enforce", 31'557'600);
  EXPECT_EQ(mode(), "enforce");
  pass(std::chrono::hours(200 * 24));
  refresh_idle();
  EXPECT_EQ(fetches_, 1);
}

}  // namespace
}  // namespace postrider
