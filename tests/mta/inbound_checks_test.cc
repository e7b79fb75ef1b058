// What mail from other servers is counted as, for the reports of DMARC.
#include "mta/inbound_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/dmarc_reporter.h"
#include "tests/mailauth/table.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class CountedTest : public testing::Test {
 protected:
  CountedTest() {
    checks_.count_with(&reporter_);
    config_->reports.dmarc = "on";
    dns_.txt("good.example", "v=spf1 ip4:192.0.2.0/24 -all");
    dns_.txt("_dmarc.good.example", "v=DMARC1; p=reject; rua=mailto:a@good.example");
    dns_.txt("_dmarc.silent.example", "v=DMARC1; p=reject");
  }
  asio::awaitable<DnsAnswer> answer(std::string name, DnsType type) { co_return *dns_.answer({name, type}); }
  void check(const std::string& client, const std::string& sender, const std::string& author, bool is_report = false) {
    auto message = std::make_shared<CheckedMessage>();
    message->client = client;
    message->helo = "mx.example";
    message->sender = sender;
    message->head = "From: " + author + "\r\n\r\n";
    message->spool = state_.spool("body\r\n");
    message->is_report = is_report;
    asio::io_context loop;
    auto run = [&]() -> asio::awaitable<void> { co_await checks_.check(message, config_); };
    asio::co_spawn(loop, run(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
  }
  std::vector<DmarcResult> rows() {
    reporter_.write();
    clock_.advance(std::chrono::hours(24));
    store::DmarcRecords records(state_.path());
    std::vector<DmarcResult> all;
    for (const ReportDay& day : records.unreported(clock_.unix_time() / 86'400, 10)) {
      for (DmarcResult& row : records.results(day)) all.push_back(std::move(row));
    }
    return all;
  }

  store::TempState state_;
  ManualClock clock_{1'700'000'000};
  DnsTable dns_;
  net::WorkerPool workers_{1};
  CheckDns check_dns_{[this](asio::io_context&) -> CheckDns::Ask {
    return [this](std::string name, DnsType type) { return answer(std::move(name), type); };
  }};
  DmarcReporter reporter_{state_.path(), clock_};
  InboundChecks checks_{check_dns_, workers_, clock_};
  std::shared_ptr<Config> config_ = std::make_shared<Config>();
};

TEST_F(CountedTest, WhatPassesAddsUp) {
  check("192.0.2.1", "carol@good.example", "carol@good.example");
  check("192.0.2.1", "dave@good.example", "dave@good.example");
  const auto found = rows();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].messages, 2U);
  EXPECT_EQ(found[0].domain, "good.example");
  EXPECT_EQ(found[0].disposition + ' ' + found[0].dkim + ' ' + found[0].spf, "none fail pass");
  EXPECT_EQ(found[0].spf_result, "mfrom good.example pass");
}

TEST_F(CountedTest, WhatIsRefusedCountsAsRefused) {
  check("198.51.100.1", "x@other.example", "ceo@sub.good.example");
  const auto found = rows();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].disposition, "reject");
  EXPECT_EQ(found[0].header_from, "sub.good.example");
  EXPECT_EQ(found[0].envelope_from, "other.example");
}

TEST_F(CountedTest, WhereNothingIsEnforcedItIsSaidWhy) {
  config_->checks.dmarc = "note";
  check("198.51.100.1", "x@other.example", "ceo@good.example");
  const auto found = rows();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].disposition, "none");
  EXPECT_EQ(found[0].reason, "local_policy");
}

TEST_F(CountedTest, NeitherReportsNorWhoAsksForNothing) {
  check("192.0.2.1", "carol@good.example", "carol@good.example", true);
  check("192.0.2.1", "carol@good.example", "carol@silent.example");
  check("192.0.2.1", "carol@good.example", "carol@nothing.example");
  config_->reports.dmarc = "off";
  check("192.0.2.1", "carol@good.example", "carol@good.example");
  EXPECT_THAT(rows(), IsEmpty());
}

}  // namespace
}  // namespace postrider
