// What mail from other servers is counted as, for the reports of DMARC.
#include "mta/inbound_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/dmarc_reporter.h"
#include "tests/mailauth/sealer.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::HasSubstr;
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
  CheckOutcome check_message(const std::string& client, const std::string& sender, const std::string& text,
                             bool is_report = false) {
    auto message = std::make_shared<CheckedMessage>();
    message->client = client;
    message->helo = "mx.example";
    message->sender = sender;
    message->body_offset = header_block_size(text);
    message->head = text.substr(0, message->body_offset);
    message->spool = state_.spool(text);
    message->is_report = is_report;
    CheckOutcome outcome;
    asio::io_context loop;
    auto run = [&]() -> asio::awaitable<void> { outcome = co_await checks_.check(message, config_); };
    asio::co_spawn(loop, run(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
    return outcome;
  }
  void check(const std::string& client, const std::string& sender, const std::string& author, bool is_report = false) {
    check_message(client, sender, "From: " + author + "\r\n\r\nbody\r\n", is_report);
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

TEST_F(CountedTest, ATrustedSealerIsBelieved) {
  Sealer sealer(dns_);
  const std::string sealed = sealer.seal("From: carol@good.example\r\n\r\nbody and a footer\r\n", "list.example",
                                         "dmarc=pass header.from=good.example");
  auto outcome = check_message("198.51.100.1", "list@list.example", sealed);
  ASSERT_TRUE(outcome.refusal);
  EXPECT_THAT(outcome.summary, HasSubstr("arc=pass:list.example dmarc=fail:good.example"));
  config_->arc.trusted_sealers = {"list.example"};
  outcome = check_message("198.51.100.1", "list@list.example", sealed);
  EXPECT_FALSE(outcome.refusal);
  EXPECT_THAT(outcome.summary, HasSubstr("dmarc=fail:good.example local_policy=arc"));
  EXPECT_THAT(outcome.fields,
              HasSubstr("arc=pass (sealed by list.example);\r\n\tdmarc=fail (p=reject) reason=\"taken all the "
                        "same: list.example, a trusted sealer, says that it passed there\""));
  const auto found = rows();
  ASSERT_THAT(found, SizeIs(2));
  for (const DmarcResult& row : found) {
    EXPECT_EQ(row.dkim + ' ' + row.spf, "fail fail");
    EXPECT_EQ(row.reason, row.disposition == "none" ? "local_policy" : "");
    EXPECT_EQ(row.comment, row.disposition == "none" ? "arc=pass as[1].d=list.example as[1].s=arc" : "");
  }
}

TEST_F(CountedTest, AChainThatWasBrokenSavesNothing) {
  Sealer sealer(dns_);
  config_->arc.trusted_sealers = {"list.example"};
  config_->checks.dkim = "off";
  std::string sealed =
      sealer.seal("From: carol@good.example\r\n\r\nbody\r\n", "list.example", "dmarc=pass header.from=good.example");
  EXPECT_FALSE(check_message("198.51.100.1", "list@list.example", sealed).refusal);
  EXPECT_TRUE(check_message("198.51.100.1", "list@list.example", "From: ceo@good.example\r\n" + sealed).refusal);
  sealed += "and more\r\n";
  const auto outcome = check_message("198.51.100.1", "list@list.example", sealed);
  EXPECT_TRUE(outcome.refusal);
  EXPECT_THAT(outcome.fields, HasSubstr("arc=fail reason=\"its last signature fails: the body was changed\""));
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
