#include "common/mailauth/spf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/base/ascii.h"
#include "common/mailauth/spf_record.h"
#include "tests/mailauth/table.h"

namespace postrider::spf {
namespace {

Query query_of(const std::string& client, const std::string& sender, const std::string& helo = "mail.example.net") {
  Query query{*IpAddress::parse(client), helo, sender, "receiver.example", 1'400'000'000};
  return query;
}

class SpfTest : public testing::Test {
 protected:
  Judgement check(const std::string& client, const std::string& sender, const std::string& helo = "mail.example.net") {
    const Query query = query_of(client, sender, helo);
    return dns.run([&](DnsLookups& lookups) { return check_mail_from(query, lookups); });
  }
  Verdict verdict(const std::string& record, const std::string& client = "192.0.2.1") {
    dns = DnsTable();
    dns.txt("example.org", record);
    return check(client, "a@example.org").verdict;
  }

  DnsTable dns;
};

// --- the public test suite

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char piece[4096];
  while (const size_t size = std::fread(piece, 1, sizeof piece, pipe)) text.append(piece, size);
  ::pclose(pipe);
  return text;
}

DnsTable table_of(const nlohmann::json& zone) {
  const std::map<std::string, DnsType> types{
      {"A", DnsType::a}, {"AAAA", DnsType::aaaa}, {"MX", DnsType::mx}, {"PTR", DnsType::ptr}, {"TXT", DnsType::txt}};
  const std::map<std::string, DnsAnswer::Status> statuses{{"found", DnsAnswer::Status::found},
                                                          {"no_data", DnsAnswer::Status::no_data},
                                                          {"no_domain", DnsAnswer::Status::no_domain},
                                                          {"failed", DnsAnswer::Status::failed}};
  DnsTable table;
  for (const auto& [key, value] : zone.items()) {
    DnsAnswer answer;
    answer.status = statuses.at(value[0]);
    for (const std::string hex : value[1]) {
      std::string rdata;
      for (size_t i = 0; i + 1 < hex.size(); i += 2)
        rdata += static_cast<char>(hex_value(hex[i]) * 16 + hex_value(hex[i + 1]));
      answer.records.push_back(std::move(rdata));
    }
    const size_t space = key.rfind(' ');
    table.set(key.substr(0, space), types.at(key.substr(space + 1)), std::move(answer));
  }
  return table;
}

TEST_F(SpfTest, ThePublicTestSuite) {
  const std::string text = output_of("/usr/bin/python3 " POSTRIDER_SOURCE "/tests/mailauth/spf_vectors.py");
  const auto scenarios = nlohmann::json::parse(text, nullptr, false);
  ASSERT_TRUE(scenarios.is_array()) << "Debian's python3-spf and python3-yaml are needed";
  size_t cases = 0;
  for (const auto& scenario : scenarios) {
    dns = table_of(scenario["zone"]);
    for (const auto& expected : scenario["cases"]) {
      ++cases;
      const std::string what =
          fmt::format("{}: {}", scenario["name"].get<std::string>(), expected["name"].get<std::string>());
      const Query query{*IpAddress::parse(expected["host"].get<std::string>()), expected["helo"], expected["mailfrom"],
                        "receiver.example", 1'400'000'000};
      const Judgement result = dns.run([&](DnsLookups& lookups) { return check_mail_from(query, lookups); });
      const auto& results = expected["results"];
      const std::string verdict(to_string(result.verdict));
      EXPECT_TRUE(std::any_of(results.begin(), results.end(), [&](const auto& one) { return one == verdict; }))
          << what << ": " << to_string(result.verdict) << " " << result.reason << ", expected " << results;
      if (expected["explanation"].is_string() && result.verdict == Verdict::fail) {
        const std::string words = expected["explanation"];
        EXPECT_EQ(result.explanation, words == "DEFAULT" ? "" : words) << what;
      }
    }
  }
  EXPECT_GT(cases, 200u);
}

// --- our own

TEST_F(SpfTest, QualifiersAndNetworks) {
  EXPECT_EQ(verdict("v=spf1 ip4:192.0.2.0/24 -all"), Verdict::pass);
  EXPECT_EQ(verdict("v=spf1 ip4:192.0.3.0/24 -all"), Verdict::fail);
  EXPECT_EQ(verdict("v=spf1 ~ip4:192.0.2.1 -all"), Verdict::softfail);
  EXPECT_EQ(verdict("v=spf1 ?all"), Verdict::neutral);
  EXPECT_EQ(verdict("v=spf1"), Verdict::neutral);
  EXPECT_EQ(verdict("v=spf1 ip6:2001:db8::/32 -all", "2001:db8:ffff::1"), Verdict::pass);
  EXPECT_EQ(verdict("v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1"), Verdict::pass);
  EXPECT_EQ(verdict("v=spf10 +all"), Verdict::none);
}

TEST_F(SpfTest, OneErrorAnywhereMakesARecordVoid) {
  for (const char* term :
       {"ip4:192.0.2.1/33", "ip4:192.0.2.1/024", "ip6:192.0.2.1", "a:", "a/", "all:x", "include", "exists", "mx//129",
        "%{d}", "a:%{z}.org", "a:%{d0}.org", "a:example.org:25", "redirect=", "fl%oo=x", "unknown", "exp=a%"}) {
    EXPECT_EQ(verdict(fmt::format("v=spf1 +all {}", term)), Verdict::permerror) << term;
  }
  EXPECT_EQ(verdict("v=spf1 redirect=a.example redirect=b.example"), Verdict::permerror);
  EXPECT_EQ(verdict("v=spf1 unknown=modifier +all"), Verdict::pass);
}

TEST_F(SpfTest, TwoRecordsAreAnError) {
  dns.txt("example.org", "v=spf1 +all");
  dns.txt("example.org", "v=spf1 -all");
  dns.txt("example.org", "something else");
  EXPECT_EQ(check("192.0.2.1", "a@example.org").verdict, Verdict::permerror);
}

TEST_F(SpfTest, LookupsHaveALimit) {
  std::string record = "v=spf1";
  for (int i = 0; i < 10; ++i) {
    record += fmt::format(" a:h{}.example.org", i);
    dns.add(fmt::format("h{}.example.org", i), DnsType::a, std::string("\xc0\x00\x03\x01", 4));
  }
  dns.txt("ten.example", record + " +all");
  dns.txt("eleven.example", record + " mx +all");
  EXPECT_EQ(check("192.0.2.1", "a@ten.example").verdict, Verdict::pass);
  EXPECT_EQ(check("192.0.2.1", "a@eleven.example").verdict, Verdict::permerror);
  // Records that include each other, with as many branches as fit.
  dns.txt("ring.example", "v=spf1 include:ring.example include:ring.example -all");
  EXPECT_EQ(check("192.0.2.1", "a@ring.example").verdict, Verdict::permerror);
  dns.txt("loop.example", "v=spf1 redirect=loop.example");
  EXPECT_EQ(check("192.0.2.1", "a@loop.example").verdict, Verdict::permerror);
}

TEST_F(SpfTest, NamesThatDoNotExistHaveALimit) {
  EXPECT_EQ(verdict("v=spf1 a:x.example a:y.example +all"), Verdict::pass);
  EXPECT_EQ(verdict("v=spf1 a:x.example a:y.example a:z.example +all"), Verdict::permerror);
}

TEST_F(SpfTest, AFailureOfDnsIsTemporary) {
  dns.fail("down.example", DnsType::txt);
  EXPECT_EQ(check("192.0.2.1", "a@down.example").verdict, Verdict::temperror);
  dns.txt("example.org", "v=spf1 a:host.example -all");
  dns.fail("host.example", DnsType::a);
  EXPECT_EQ(check("192.0.2.1", "a@example.org").verdict, Verdict::temperror);
  DnsLookups nobody_answers;
  nobody_answers.give_up();
  EXPECT_EQ(check_mail_from(query_of("192.0.2.1", "a@example.org"), nobody_answers)->verdict, Verdict::temperror);
}

TEST_F(SpfTest, ANullSenderIsJudgedByItsHelo) {
  dns.txt("mail.example.net", "v=spf1 exists:%{l}.%{o}.%{h} -all");
  dns.add("postmaster.mail.example.net.mail.example.net", DnsType::a, std::string("\x7f\0\0\2", 4));
  const Judgement result = check("192.0.2.1", "");
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_EQ(result.domain, "mail.example.net");
  EXPECT_EQ(check("192.0.2.1", "", "[192.0.2.1]").verdict, Verdict::none);
  EXPECT_EQ(check("192.0.2.1", "", "localhost").verdict, Verdict::none);
}

TEST_F(SpfTest, WhatADomainSaysIsPrintable) {
  dns.txt("example.org", "v=spf1 -all exp=why.example.org");
  dns.txt("why.example.org", "%{i} may not send as %{s}; see http://%{r}/?%{T}");
  EXPECT_EQ(check("192.0.2.1", "a@example.org").explanation,
            "192.0.2.1 may not send as a@example.org; see http://receiver.example/?1400000000");
  dns.txt("why.example.org", "a second record");
  EXPECT_EQ(check("192.0.2.1", "a@example.org").explanation, "");
}

TEST_F(SpfTest, MacrosOfAnyLengthStayBounded) {
  std::string spec;
  for (int i = 0; i < 1'000; ++i) spec += "%{s}%{S}";
  dns.txt("example.org", "v=spf1 exists:" + spec + ".example.net -all");
  EXPECT_EQ(check("192.0.2.1", std::string(64, 'x') + "@example.org").verdict, Verdict::fail);
}

}  // namespace
}  // namespace postrider::spf
