// What is counted, and who is told of it the day after.
#include "mta/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/mailauth/gzip.h"
#include "mta/dmarc_reporter.h"
#include "mta/tls_reporter.h"
#include "tests/mailauth/table.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ReporterTest : public testing::Test {
 protected:
  void count(const std::string& domain, const std::string& failure = {}) {
    tls_.count({domain, "no-policy-found", "", failure, failure.empty() ? "" : "mx." + domain, "", "", 1});
  }
  void count_dmarc(const std::string& domain, const std::string& source = "192.0.2.1") {
    dmarc_.count({domain, "adkim=r; aspf=r; p=none; sp=none; pct=100; fo=0", source, "none", "pass", "fail", "", "",
                  domain, "", "", "helo mx.test none", 1});
  }
  void publish(const std::string& domain, const std::string& text) { dns_.txt("_smtp._tls." + domain, text); }
  asio::awaitable<DnsAnswer> answer(std::string name, DnsType type) { co_return *dns_.answer({name, type}); }
  asio::awaitable<Result<void>> post(std::string url, std::string octets) {
    posted_.push_back(url + ' ' + gunzip(octets, 100'000).value().substr(0, 1));
    if (posting_) co_return Result<void>();
    co_return failure("nobody there");
  }
  void send_due() {
    asio::io_context loop;
    const ReportIdentity identity{"mx.example.org", "postmaster@example.org",
                                  [this](std::string_view) { return enabled_; },
                                  [](const std::string& domain) { return domain == "example.org"; }};
    Reporter::Ways ways;
    ways.ask = [this](std::string name, DnsType type) { return answer(std::move(name), type); };
    ways.send = [this](const OutgoingReport& report) {
      if (accepting_) sent_.push_back(report);
      return accepting_;
    };
    ways.post = [this](std::string url, std::string, std::string octets) { return post(std::move(url), octets); };
    auto run = [&]() -> asio::awaitable<void> { co_await reporter_.send_due(identity, ways); };
    asio::co_spawn(loop, run(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
  }
  void pass_a_day() { clock_.advance(std::chrono::hours(24)); }

  store::TempState state_;
  ManualClock clock_{1'700'000'000};
  TlsReporter tls_{state_.path(), clock_};
  DmarcReporter dmarc_{state_.path(), clock_};
  Reporter reporter_{clock_, {&tls_, &dmarc_}};
  DnsTable dns_;
  std::vector<OutgoingReport> sent_;
  std::vector<std::string> posted_;
  bool enabled_ = true, accepting_ = true, posting_ = true;
};

TEST_F(ReporterTest, ADayIsReportedOnceWhenItIsOver) {
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net,mailto:tls@reports.test");
  for (int i = 0; i < 3; ++i) count("example.net");
  count("example.net", "starttls-not-supported");
  count("nobody.test");
  send_due();
  EXPECT_THAT(sent_, IsEmpty()) << "the day is not over";
  pass_a_day();
  count("example.net");
  send_due();
  send_due();
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[0].to, "tls@example.net");
  EXPECT_EQ(sent_[1].to, "tls@reports.test");
  EXPECT_THAT(sent_[0].fields, HasSubstr("TLS-Report-Domain: example.net\r\n"));
  EXPECT_TRUE(sent_[0].waives_tls);
  EXPECT_THAT(sent_[0].file, HasSubstr("mx.example.org!example.net!1699920000!1700006399!"));
  const auto json = nlohmann::json::parse(gunzip(sent_[0].octets, 100'000).value());
  EXPECT_EQ(json["contact-info"], "postmaster@example.org");
  EXPECT_EQ(json["policies"][0]["summary"]["total-successful-session-count"], 3);
  EXPECT_EQ(json["policies"][0]["failure-details"][0]["receiving-mx-hostname"], "mx.example.net");
}

TEST_F(ReporterTest, WhereDnsOrTheQueueFailsItIsTriedAgain) {
  count("example.net");
  pass_a_day();
  dns_.fail("_smtp._tls.example.net", DnsType::txt);
  send_due();
  dns_.set("_smtp._tls.example.net", DnsType::txt, DnsAnswer{DnsAnswer::Status::no_data, {}, {}, false, 0, {}});
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net");
  accepting_ = false;
  send_due();
  EXPECT_THAT(sent_, IsEmpty());
  accepting_ = true;
  send_due();
  EXPECT_THAT(sent_, SizeIs(1));
}

TEST_F(ReporterTest, WhereReportsAreOffNothingIsKept) {
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net");
  count("example.net");
  pass_a_day();
  enabled_ = false;
  send_due();
  enabled_ = true;
  send_due();
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(ReporterTest, ByHttpsFirstAndAgainForADay) {
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net,https://reports.test/tls");
  count("example.net");
  pass_a_day();
  posting_ = false;
  send_due();
  EXPECT_THAT(posted_, ElementsAre("https://reports.test/tls {"));
  EXPECT_THAT(sent_, IsEmpty()) << "nobody is to get it twice";
  posting_ = true;
  send_due();
  EXPECT_THAT(posted_, SizeIs(2));
  EXPECT_THAT(sent_, SizeIs(1));
  count("example.net");
  pass_a_day();
  pass_a_day();
  posting_ = false;
  send_due();
  send_due();
  EXPECT_THAT(posted_, SizeIs(3)) << "given up";
  EXPECT_THAT(sent_, SizeIs(2));
}

TEST_F(ReporterTest, DmarcGoesToWhoAsksAndConsents) {
  dns_.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@example.net,mailto:b@one.test,mailto:c@two.test");
  dns_.txt("example.net._report._dmarc.one.test", "v=DMARC1");
  dns_.txt("_dmarc.example.org", "v=DMARC1; p=none; rua=mailto:a@example.org");
  for (int i = 0; i < 3; ++i) count_dmarc("example.net");
  count_dmarc("example.org");
  count_dmarc("example.com");
  pass_a_day();
  send_due();
  send_due();
  ASSERT_THAT(sent_, SizeIs(2)) << "nothing about our own domain, nothing to who does not ask";
  EXPECT_EQ(sent_[0].to, "a@example.net");
  EXPECT_EQ(sent_[1].to, "b@one.test");
  const OutgoingReport& report = sent_[0];
  EXPECT_EQ(report.file, "mx.example.org!example.net!1699920000!1700006399!" + report.id + ".xml.gz");
  EXPECT_EQ(report.subject,
            "Report Domain: example.net Submitter: mx.example.org Report-ID: <" + report.id + "@mx.example.org>");
  EXPECT_EQ(report.media, "application/gzip");
  EXPECT_FALSE(report.waives_tls);
  const auto read = dmarc_report::parse(gunzip(report.octets, 100'000).value());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->organization, "mx.example.org");
  EXPECT_EQ(read->domain, "example.net");
  EXPECT_EQ(read->begin, 1'699'920'000);
  EXPECT_EQ(read->good, 3U);
}

TEST_F(ReporterTest, WhatIsLargerThanSomebodyTakesIsNotSent) {
  dns_.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@example.net!1k,mailto:b@example.net!10m");
  for (int i = 0; i < 200; ++i) count_dmarc("example.net", "2001:db8::" + std::to_string(i * 7919 % 9973));
  pass_a_day();
  send_due();
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_GT(sent_[0].octets.size(), 800U);
  EXPECT_EQ(sent_[0].to, "b@example.net");
}

TEST_F(ReporterTest, AReportThatIsMadeAgainHasTheSameId) {
  dns_.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@example.net,mailto:b@example.net");
  count_dmarc("example.net");
  pass_a_day();
  accepting_ = false;
  send_due();
  accepting_ = true;
  send_due();
  count_dmarc("example.net");
  pass_a_day();
  send_due();
  ASSERT_THAT(sent_, SizeIs(4));
  EXPECT_EQ(sent_[0].id, sent_[1].id);
  EXPECT_NE(sent_[0].id, sent_[2].id);
  EXPECT_EQ(sent_[0].id, report_id({19'675, "example.net", "adkim=r; aspf=r; p=none; sp=none; pct=100; fo=0"}, "dmarc",
                                   "mx.example.org"));
}

}  // namespace
}  // namespace postrider
