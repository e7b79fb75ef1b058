#include "common/mailauth/tls_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/mailauth/gzip.h"
#include "tests/mailauth/table.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

DnsAnswer answer_of(std::vector<std::string> texts) {
  DnsAnswer answer;
  answer.status = DnsAnswer::Status::found;
  for (const std::string& text : texts) answer.records.push_back(wire_txt(text));
  return answer;
}

TEST(TlsReport, DestinationsOfARecord) {
  const auto mailto = [](const std::string& mailbox) { return ReportUri{mailbox, {}}; };
  EXPECT_THAT(
      tls_report::uris(answer_of({"v=TLSRPTv1; rua=mailto:tls@example.net,https://example.net/,MAILTO:b@c.test"})),
      ElementsAre(mailto("tls@example.net"), ReportUri{{}, "https://example.net/"}, mailto("b@c.test")));
  EXPECT_THAT(tls_report::uris(answer_of({"v=spf1 -all", "v=TLSRPTv1;rua=mailto:tls@example.net?x=y"})),
              ElementsAre(mailto("tls@example.net")));
  for (const char* text : {"v=TLSRPTv1", "v=TLSRPTv1; rua=", "v=TLSRPTv1; rua=mailto:nobody",
                           "v=TLSRPTv2; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:"})
    EXPECT_THAT(tls_report::uris(answer_of({text})), IsEmpty()) << text;
  EXPECT_THAT(tls_report::uris(answer_of({"v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:b@b.test"})),
              IsEmpty());
}

TEST(TlsReport, WhatIsWrittenIsRead) {
  const std::string policy = "version: STSv1\r\nmode: testing\r\nmx: *.example.net\r\nmax_age: 86400\r\n";
  const std::vector<TlsResult> results{
      {"example.net", "no-policy-found", "", "", "", "", "", 3},
      {"example.net", "sts", policy, "", "", "", "", 40},
      {"example.net", "sts", policy, "certificate-expired", "mx.example.net", "192.0.2.1", "it \"expired\"\n", 2},
      {"example.net", "sts", policy, "starttls-not-supported", "mx2.example.net", "192.0.2.2", "", 1}};
  TlsReport report{"Example", "postmaster@example.org", "1234", "example.net", 1'700'006'400, 1'700'092'799, results};
  const std::string text = tls_report::format(report);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["date-range"]["start-datetime"], "2023-11-15T00:00:00Z");
  EXPECT_EQ(json["date-range"]["end-datetime"], "2023-11-15T23:59:59Z");
  ASSERT_EQ(json["policies"].size(), 2U);
  EXPECT_EQ(json["policies"][1]["policy"]["mx-host"][0], "*.example.net");
  EXPECT_EQ(json["policies"][1]["policy"]["policy-string"][1], "mode: testing");
  EXPECT_EQ(json["policies"][1]["summary"]["total-failure-session-count"], 3);
  const auto read = tls_report::parse(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->organization, "Example");
  EXPECT_EQ(read->domain, "example.net");
  EXPECT_EQ(read->begin, report.begin);
  EXPECT_EQ(read->end, report.end);
  EXPECT_EQ(read->good, 43U);
  EXPECT_EQ(read->bad, 3U);
  EXPECT_THAT(read->details,
              HasSubstr("2 x sts: certificate-expired at mx.example.net [192.0.2.1]: it \"expired\"?\n"));
}

TEST(TlsReport, ReportsThatAreNone) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string("{\"organization-name\":\"\x1b\"}"), deep,
        std::string(R"({"organization-name":"a","report-id":"b","date-range":{"start-datetime":"x"},"policies":[]})"),
        std::string(R"({"organization-name":1,"report-id":[],"date-range":7,"policies":{"a":1}})")})
    EXPECT_FALSE(tls_report::parse(text)) << text.substr(0, 100);
  const auto odd = tls_report::parse(
      R"({"organization-name":"a\u001b[2J","report-id":"b","date-range":{"start-datetime":"2026-01-01T00:00:00Z",
          "end-datetime":"2026-01-02T00:00:00Z"},"policies":[1,{"policy":2,"summary":{"total-failure-session-count":-1},
          "failure-details":7},{"failure-details":[1,"x",{}]}]})");
  ASSERT_TRUE(odd);
  EXPECT_THAT(odd->organization, Not(HasSubstr("\x1b")));
  EXPECT_EQ(odd->bad, 0U);
}

TEST(Gzip, GoesBothWaysWithinItsLimit) {
  const std::string text(100'000, 'x');
  const std::string packed = gzip(text);
  EXPECT_LT(packed.size(), 1'000U);
  EXPECT_EQ(gunzip(packed, text.size()).value(), text);
  EXPECT_FALSE(gunzip(packed, text.size() - 1)) << "a bomb";
  EXPECT_FALSE(gunzip(packed.substr(0, packed.size() / 2), text.size()));
  EXPECT_FALSE(gunzip("no gzip", 100));
  EXPECT_FALSE(gunzip("", 100));
}

}  // namespace
}  // namespace postrider
