// What is counted, and who is told of it the day after.
#include "mta/tls_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/mailauth/gzip.h"
#include "tests/mailauth/table.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TlsReporterTest : public testing::Test {
 protected:
  void count(const std::string& domain, const std::string& failure = {}) {
    reporter_.count({domain, "no-policy-found", "", failure, failure.empty() ? "" : "mx." + domain, "", "", 1});
  }
  void publish(const std::string& domain, const std::string& text) {
    DnsAnswer& answer = answers_["_smtp._tls." + domain];
    answer.status = DnsAnswer::Status::found;
    answer.records = {wire_txt(text)};
  }
  asio::awaitable<DnsAnswer> answer(std::string name) {
    auto found = answers_.find(name);
    DnsAnswer none;
    none.status = DnsAnswer::Status::no_domain;
    co_return found != answers_.end() ? found->second : none;
  }
  void send_due() {
    asio::io_context loop;
    const TlsReporter::Identity identity{"mx.example.org", "postmaster@example.org", enabled_};
    const TlsReporter::Ask ask = [this](std::string name, DnsType) { return answer(std::move(name)); };
    const TlsReporter::Send send = [this](const OutgoingReport& report) {
      if (accepting_) sent_.push_back(report);
      return accepting_;
    };
    auto run = [&]() -> asio::awaitable<void> { co_await reporter_.send_due(identity, ask, send); };
    asio::co_spawn(loop, run(), [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
  }

  store::TempState state_;
  ManualClock clock_{1'700'000'000};
  TlsReporter reporter_{state_.path(), clock_};
  std::map<std::string, DnsAnswer> answers_;
  std::vector<OutgoingReport> sent_;
  bool enabled_ = true, accepting_ = true;
};

TEST_F(TlsReporterTest, ADayIsReportedOnceWhenItIsOver) {
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net,mailto:tls@reports.test");
  for (int i = 0; i < 3; ++i) count("example.net");
  count("example.net", "starttls-not-supported");
  count("nobody.test");
  send_due();
  EXPECT_THAT(sent_, IsEmpty()) << "the day is not over";
  clock_.advance(std::chrono::hours(24));
  count("example.net");
  send_due();
  send_due();
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[0].to, "tls@example.net");
  EXPECT_EQ(sent_[1].to, "tls@reports.test");
  EXPECT_THAT(sent_[0].fields, HasSubstr("TLS-Report-Domain: example.net\r\n"));
  EXPECT_THAT(sent_[0].file, HasSubstr("mx.example.org!example.net!1699920000!1700006399!"));
  const auto json = nlohmann::json::parse(gunzip(sent_[0].octets, 100'000).value());
  EXPECT_EQ(json["contact-info"], "postmaster@example.org");
  EXPECT_EQ(json["policies"][0]["summary"]["total-successful-session-count"], 3);
  EXPECT_EQ(json["policies"][0]["failure-details"][0]["receiving-mx-hostname"], "mx.example.net");
}

TEST_F(TlsReporterTest, WhereDnsOrTheQueueFailsItIsTriedAgain) {
  count("example.net");
  clock_.advance(std::chrono::hours(24));
  answers_["_smtp._tls.example.net"] = DnsAnswer();
  send_due();
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net");
  accepting_ = false;
  send_due();
  EXPECT_THAT(sent_, IsEmpty());
  accepting_ = true;
  send_due();
  EXPECT_THAT(sent_, SizeIs(1));
}

TEST_F(TlsReporterTest, WhereReportsAreOffNothingIsKept) {
  publish("example.net", "v=TLSRPTv1; rua=mailto:tls@example.net");
  count("example.net");
  clock_.advance(std::chrono::hours(24));
  enabled_ = false;
  send_due();
  enabled_ = true;
  send_due();
  EXPECT_THAT(sent_, IsEmpty());
}

}  // namespace
}  // namespace postrider
