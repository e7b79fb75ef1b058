#include "mta/check_dns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace postrider {
namespace {

using namespace std::chrono_literals;

/// A name server in this process: a name that begins with "quiet" gets no answer, "broken" fails, "probe" is the
/// prober's.
class CheckDnsTest : public testing::Test {
 protected:
  CheckDns::Ask ask(asio::io_context& loop) {
    return [this, &loop](std::string name, DnsType) { return answer(loop, std::move(name)); };
  }
  asio::awaitable<DnsAnswer> answer(asio::io_context& loop, std::string name) {
    if (!name.starts_with("probe")) ++asked_;
    DnsAnswer result;
    if (mute_ || name.starts_with("quiet")) {
      asio::steady_timer never(loop, std::chrono::hours(1));
      co_await never.async_wait(asio::use_awaitable);
    }
    result.ttl = 300;
    if (name.starts_with("probe")) result.status = DnsAnswer::Status::no_domain;
    if (name.starts_with("found")) {
      result.status = DnsAnswer::Status::found;
      result.records = {name};
    }
    co_return result;
  }

  /// Asks from a loop of its own, and says how long it took.
  std::vector<CheckDns::Answer> ask_for(CheckDns& dns, std::vector<std::string> names,
                                        std::chrono::milliseconds patience = 10s) {
    asio::io_context loop;
    std::vector<DnsQuestion> questions;
    for (auto& name : names) questions.push_back({name, DnsType::txt});
    auto answers = asio::co_spawn(loop, dns.ask(questions, CheckDns::Steady::now() + patience), asio::use_future);
    const auto begin = CheckDns::Steady::now();
    loop.run();
    took_ = CheckDns::Steady::now() - begin;
    return answers.get();
  }

  std::atomic<int> asked_ = 0;
  std::atomic<bool> mute_ = false;
  CheckDns::Steady::duration took_{};
};

TEST_F(CheckDnsTest, AnswersAreKept) {
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  EXPECT_EQ(dns.kept({"found.example", DnsType::txt}), nullptr);
  const auto answers = ask_for(dns, {"found.example", "broken.example"});
  EXPECT_EQ(answers[0]->records.front(), "found.example");
  EXPECT_EQ(answers[1]->status, DnsAnswer::Status::failed);
  EXPECT_EQ(dns.kept({"found.example", DnsType::txt}), answers[0]);
  EXPECT_EQ(dns.kept({"found.example", DnsType::mx}), nullptr);
}

TEST_F(CheckDnsTest, WhatHasNoAnswerByTheDeadlineIsMissingAndNotWaitedForAgain) {
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  const auto answers = ask_for(dns, {"quiet.example", "found.example"}, 50ms);
  EXPECT_EQ(answers[0], nullptr);
  ASSERT_NE(answers[1], nullptr);
  EXPECT_EQ(dns.kept({"quiet.example", DnsType::txt})->status, DnsAnswer::Status::failed);
  EXPECT_FALSE(dns.silent());
}

TEST_F(CheckDnsTest, TheSameQuestionIsAskedOnce) {
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  ask_for(dns, {"quiet.example"}, 10ms);
  ask_for(dns, {"quiet.example", "quiet.example"}, 10ms);
  EXPECT_EQ(asked_, 1);
}

TEST_F(CheckDnsTest, WhereNobodyAnswersNobodyWaits) {
  mute_ = true;
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  EXPECT_EQ(ask_for(dns, {"found.example"}, 60s)[0], nullptr);  // until the probe has had its time
  EXPECT_LT(took_, 30s);
  EXPECT_TRUE(dns.silent());
  EXPECT_EQ(ask_for(dns, {"found2.example"}, 60s)[0], nullptr);
  EXPECT_LT(took_, 1s);
}

TEST_F(CheckDnsTest, AnAnswerEndsTheSilence) {
  mute_ = true;
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  ask_for(dns, {"found.example"}, 60s);
  ASSERT_TRUE(dns.silent());
  mute_ = false;
  ask_for(dns, {"found2.example"}, 60s);
  while (dns.silent()) std::this_thread::yield();  // the answer is on its way
  EXPECT_EQ(ask_for(dns, {"found3.example"}, 60s)[0]->records.front(), "found3.example");
}

TEST_F(CheckDnsTest, BrokenDomainsAreNotTakenForSilence) {
  CheckDns dns([this](asio::io_context& loop) { return ask(loop); });
  for (int i = 0; i < 100; ++i) ask_for(dns, {"broken" + std::to_string(i) + ".example"});
  EXPECT_FALSE(dns.silent());
}

}  // namespace
}  // namespace postrider
