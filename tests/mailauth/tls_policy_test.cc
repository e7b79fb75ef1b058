#include "common/mailauth/tls_policy.h"

#include <gtest/gtest.h>

#include "tests/mailauth/table.h"

namespace postrider {
namespace {

using sts::Mode;

constexpr const char* kPolicy =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\nmax_age: 604800\r\n";

DnsAnswer answer_of(std::vector<std::string> records, bool secure = true) {
  DnsAnswer answer;
  answer.status = records.empty() ? DnsAnswer::Status::no_data : DnsAnswer::Status::found;
  answer.records = std::move(records);
  answer.secure = secure;
  return answer;
}

std::string tlsa(int usage, int selector, int matching, size_t octets) {
  std::string rdata{static_cast<char>(usage), static_cast<char>(selector), static_cast<char>(matching)};
  return rdata + std::string(octets, 'x');
}

TEST(MtaSts, PoliciesAreRead) {
  const auto policy = sts::parse_policy(kPolicy);
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->mode, Mode::enforce);
  EXPECT_EQ(policy->max_age, Seconds(604'800));
  EXPECT_TRUE(sts::names_host(*policy, "Mail.Example.com."));
  EXPECT_TRUE(sts::names_host(*policy, "mx1.example.net"));
  EXPECT_FALSE(sts::names_host(*policy, "a.mx1.example.net"));
  EXPECT_FALSE(sts::names_host(*policy, "example.net"));
  EXPECT_FALSE(sts::names_host(*policy, ".example.net"));
  EXPECT_FALSE(sts::names_host(*policy, "mail.example.org"));
}

TEST(MtaSts, PoliciesThatAreNone) {
  for (const char* text :
       {"", "version: STSv1\nmode: enforce\nmax_age: 1\n", "version: STSv2\nmode: none\nmax_age: 1\n",
        "version: STSv1\nmode: often\nmx: a.example\nmax_age: 1\n", "version: STSv1\nmode: none\n",
        "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", "version: STSv1\nmode: none\nmax_age: -1\n",
        "<html>not found</html>"}) {
    EXPECT_FALSE(sts::parse_policy(text)) << text;
  }
  EXPECT_FALSE(sts::parse_policy(kPolicy + std::string(sts::kMaxPolicy, '\n')));
  std::string many = kPolicy;
  for (int i = 0; i < 200; ++i) many += "mx: a.example\n";
  EXPECT_FALSE(sts::parse_policy(many));
}

TEST(MtaSts, AgesAreAtMostAYear) {
  EXPECT_EQ(sts::parse_policy("version: STSv1\nmode: none\nmax_age: 99999999999\nnew_key: x\n")->max_age, sts::kMaxAge);
}

TEST(MtaSts, RecordsNameAPolicy) {
  EXPECT_EQ(sts::policy_id(answer_of({wire_txt("v=STSv1; id=20260131T000000;")})), "20260131T000000");
  EXPECT_EQ(sts::policy_id(answer_of({wire_txt("v=spf1 -all"), wire_txt("v=STSv1;id=a")})), "a");
  EXPECT_EQ(sts::policy_id(answer_of({wire_txt("v=STSv1; id=a"), wire_txt("v=STSv1; id=b")})), std::nullopt);
  EXPECT_EQ(sts::policy_id(answer_of({wire_txt("v=STSv1; id=a b")})), std::nullopt);
  EXPECT_EQ(sts::policy_id(answer_of({wire_txt("id=a; v=STSv1")})), std::nullopt);
  EXPECT_EQ(sts::policy_id(answer_of({})), std::nullopt);
}

TEST(TlsPolicy, TlsaRecordsThatCanBeUsed) {
  EXPECT_TRUE(is_usable_tlsa(tlsa(3, 1, 1, 32)));
  EXPECT_TRUE(is_usable_tlsa(tlsa(2, 0, 2, 64)));
  EXPECT_TRUE(is_usable_tlsa(tlsa(3, 0, 0, 500)));
  for (const auto& rdata : {tlsa(0, 1, 1, 32), tlsa(1, 1, 1, 32), tlsa(3, 2, 1, 32), tlsa(3, 1, 3, 32),
                            tlsa(3, 1, 1, 31), tlsa(3, 1, 2, 32), tlsa(3, 1, 0, 0), std::string()}) {
    EXPECT_FALSE(is_usable_tlsa(rdata));
  }
}

TEST(TlsPolicy, DaneWinsAndNeverFallsBack) {
  const auto policy = *sts::parse_policy(kPolicy);
  const DnsAnswer good = answer_of({tlsa(0, 0, 1, 32), tlsa(3, 1, 1, 32)}), unusable = answer_of({tlsa(1, 0, 1, 32)}),
                  none = answer_of({}), unsigned_zone = answer_of({tlsa(3, 1, 1, 32)}, false);
  DnsAnswer failed;
  const auto level = [&](const DnsAnswer* answer, bool secure, const sts::Policy* sts,
                         const char* host = "mail.example.com") {
    return decide_tls({host, secure, answer, sts}).level;
  };
  EXPECT_EQ(level(&good, true, nullptr), TlsLevel::dane);
  EXPECT_EQ(level(&good, true, &policy, "elsewhere.example"), TlsLevel::dane);
  EXPECT_EQ(level(&failed, true, nullptr), TlsLevel::impossible);
  EXPECT_EQ(level(&unusable, true, nullptr), TlsLevel::encrypted);
  EXPECT_EQ(level(&unusable, true, &policy), TlsLevel::verified);
  EXPECT_EQ(level(&none, true, nullptr), TlsLevel::opportunistic);
  EXPECT_EQ(level(&unsigned_zone, true, nullptr), TlsLevel::opportunistic);
  EXPECT_EQ(level(&good, false, nullptr), TlsLevel::opportunistic);
  EXPECT_EQ(decide_tls({"mail.example.com", true, &good}).tlsa.size(), 1U);
}

TEST(TlsPolicy, MtaStsIsEnforcedWhenItSaysSo) {
  auto policy = *sts::parse_policy(kPolicy);
  const auto level = [&](const char* host) { return decide_tls({host, false, nullptr, &policy}).level; };
  EXPECT_EQ(level("mail.example.com"), TlsLevel::verified);
  EXPECT_EQ(level("evil.example"), TlsLevel::impossible);
  policy.mode = Mode::testing;
  EXPECT_EQ(level("evil.example"), TlsLevel::opportunistic);
  policy.mode = Mode::none;
  EXPECT_EQ(level("evil.example"), TlsLevel::opportunistic);
}

TEST(TlsPolicy, TheRouteAndTheMessageAskToo) {
  auto policy = *sts::parse_policy(kPolicy);
  const DnsAnswer good = answer_of({tlsa(3, 1, 1, 32)}), unusable = answer_of({tlsa(1, 0, 1, 32)});
  DnsAnswer failed;
  TlsFacts facts{"mail.example.com"};
  const auto level = [&](TlsLevel asked, TlsNeed need) {
    facts.asked = asked;
    facts.need = need;
    return decide_tls(facts).level;
  };
  EXPECT_EQ(level(TlsLevel::encrypted, TlsNeed::as_policy), TlsLevel::encrypted);
  EXPECT_EQ(level(TlsLevel::verified, TlsNeed::as_policy), TlsLevel::verified);
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::required), TlsLevel::impossible) << "nobody vouches for the name";
  EXPECT_EQ(level(TlsLevel::verified, TlsNeed::waived), TlsLevel::verified) << "the route is the administrator's";
  policy.mode = Mode::testing;
  facts.sts = &policy;
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::required), TlsLevel::verified) << "the policy knows the host";
  policy.mode = Mode::enforce;
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::waived), TlsLevel::opportunistic);
  facts.sts = nullptr;
  facts.name_secure = true;
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::required), TlsLevel::verified);
  facts.tlsa = &good;
  EXPECT_EQ(level(TlsLevel::verified, TlsNeed::required), TlsLevel::dane);
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::waived), TlsLevel::opportunistic);
  facts.tlsa = &unusable;
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::required), TlsLevel::verified);
  EXPECT_EQ(level(TlsLevel::verified, TlsNeed::as_policy), TlsLevel::verified);
  facts.tlsa = &failed;
  EXPECT_EQ(level(TlsLevel::verified, TlsNeed::as_policy), TlsLevel::impossible);
  EXPECT_EQ(level(TlsLevel::opportunistic, TlsNeed::waived), TlsLevel::opportunistic);
}

}  // namespace
}  // namespace postrider
