#include "common/mailauth/dmarc.h"

#include <gtest/gtest.h>

#include "tests/mailauth/table.h"

namespace postrider::dmarc {
namespace {

class DmarcTest : public testing::Test {
 protected:
  Judgement judge_message(const std::string& author, unsigned dice = 0) {
    const AuthorPolicy policy = dns.run([&](DnsLookups& lookups) { return find_policy(author, lookups); });
    return judge(policy, {spf, dkim}, dice);
  }
  void spf_says(spf::Verdict verdict, const std::string& domain) {
    spf.verdict = verdict;
    spf.domain = domain;
  }
  void dkim_says(dkim::Verdict verdict, const std::string& domain) {
    dkim::SignatureResult result;
    result.verdict = verdict;
    result.domain = domain;
    dkim.push_back(result);
  }

  DnsTable dns;
  spf::Judgement spf;
  std::vector<dkim::SignatureResult> dkim;
};

TEST_F(DmarcTest, OrganizationalDomains) {
  EXPECT_EQ(organizational_domain("a.b.example.com"), "example.com");
  EXPECT_EQ(organizational_domain("a.example.co.uk"), "example.co.uk");
  EXPECT_EQ(organizational_domain("co.uk"), "co.uk");
  EXPECT_EQ(organizational_domain("mail.example.test"), "example.test");
  EXPECT_TRUE(is_aligned("news.example.com", "bounce.example.com", false));
  EXPECT_FALSE(is_aligned("news.example.com", "bounce.example.com", true));
  EXPECT_FALSE(is_aligned("a.co.uk", "b.co.uk", false));
  EXPECT_FALSE(is_aligned("example.com", "", false));
}

TEST_F(DmarcTest, OneAlignedPassIsEnough) {
  dns.txt("_dmarc.example.com", "v=DMARC1; p=reject");
  spf_says(spf::Verdict::fail, "example.com");
  dkim_says(dkim::Verdict::fail, "example.com");
  dkim_says(dkim::Verdict::pass, "mail.example.com");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::pass);
  dkim.clear();
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::fail);
  EXPECT_EQ(judge_message("example.com").disposition, Policy::reject);
  spf_says(spf::Verdict::pass, "bounces.example.com");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::pass);
  spf_says(spf::Verdict::pass, "other.net");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::fail);
}

TEST_F(DmarcTest, StrictAlignment) {
  dns.txt("_dmarc.example.com", "v=DMARC1; p=quarantine; adkim=s; aspf=s");
  spf_says(spf::Verdict::pass, "bounces.example.com");
  dkim_says(dkim::Verdict::pass, "mail.example.com");
  EXPECT_EQ(judge_message("example.com").disposition, Policy::quarantine);
  dkim_says(dkim::Verdict::pass, "example.com");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::pass);
}

TEST_F(DmarcTest, SubdomainsInherit) {
  dns.txt("_dmarc.example.com", "v=DMARC1; p=reject; sp=none");
  EXPECT_EQ(judge_message("example.com").disposition, Policy::reject);
  EXPECT_EQ(judge_message("sub.example.com").verdict, Verdict::fail);
  EXPECT_EQ(judge_message("sub.example.com").disposition, Policy::none);
  dns.txt("_dmarc.sub.example.com", "v=DMARC1; p=quarantine");
  EXPECT_EQ(judge_message("sub.example.com").disposition, Policy::quarantine);
}

TEST_F(DmarcTest, PercentLetsSomeThroughToTheNextWeakerPolicy) {
  dns.txt("_dmarc.example.com", "v=DMARC1; p=reject; pct=30");
  EXPECT_EQ(judge_message("example.com", 29).disposition, Policy::reject);
  EXPECT_EQ(judge_message("example.com", 30).disposition, Policy::quarantine);
}

TEST_F(DmarcTest, RecordsThatAreNone) {
  for (const char* text :
       {"v=DMARC1", "v=DMARC1; p=sometimes", "v=dmarc1; p=reject", "p=reject; v=DMARC1", "v=spf1 -all"}) {
    dns = DnsTable();
    dns.txt("_dmarc.example.com", text);
    EXPECT_EQ(judge_message("example.com").verdict, Verdict::none) << text;
  }
  dns = DnsTable();
  dns.txt("_dmarc.example.com", "v=DMARC1; p=odd; rua=mailto:a@example.com");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::fail);
  EXPECT_EQ(judge_message("example.com").disposition, Policy::none);
}

TEST_F(DmarcTest, TwoRecordsAreNone) {
  dns.txt("_dmarc.example.com", "v=DMARC1; p=reject");
  dns.txt("_dmarc.example.com", "v=DMARC1; p=none");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::none);
}

TEST_F(DmarcTest, FailuresOfDnsLeaveItOpen) {
  dns.fail("_dmarc.example.com", DnsType::txt);
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::temperror);
  EXPECT_EQ(judge_message("example.com").disposition, Policy::none);
  dns = DnsTable();
  dns.txt("_dmarc.example.com", "v=DMARC1; p=reject");
  dkim_says(dkim::Verdict::temperror, "example.com");
  EXPECT_EQ(judge_message("example.com").verdict, Verdict::temperror);
  EXPECT_EQ(judge_message("example.com").disposition, Policy::reject);
}

TEST_F(DmarcTest, AuthorsOfAMessage) {
  using Domains = std::vector<std::string>;
  EXPECT_EQ(author_domains("From: Alice <a@Example.COM>\r\n\r\n"), Domains{"example.com"});
  EXPECT_EQ(author_domains("From: \"x@y.example\" <a@b.example>\r\n\r\n"), Domains{"b.example"});
  EXPECT_EQ(author_domains("From: a@b.example\r\nFrom: c@d.example\r\n\r\n"), (Domains{"b.example", "d.example"}));
  EXPECT_EQ(author_domains("From: a@b.example, c@d.example, e@b.example\r\n\r\n"), (Domains{"b.example", "d.example"}));
  EXPECT_EQ(author_domains("From: nobody\r\n\r\n"), Domains{""});
  EXPECT_EQ(author_domains("To: a@b.example\r\n\r\nFrom: c@d.example\r\n"), Domains{});
  EXPECT_EQ(author_domains("From: a@a.a,a@b.a,a@c.a,a@d.a,a@e.a,a@f.a,a@g.a\r\n\r\n").size(), kMaxAuthorDomains + 1);
}

}  // namespace
}  // namespace postrider::dmarc
