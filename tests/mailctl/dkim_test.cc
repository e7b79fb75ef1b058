// mailctl dkim and mailctl dns.
#include "tests/mailctl/mailctl_fixture.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(MailctlTest, ADomainGetsKeysWhenItIsAdded) {
  done({"domain", "add", "example.test"});
  const auto keys = json({"dkim", "list", "example.test"});
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0]["state"], "signs");
  EXPECT_EQ(keys[1]["state"], "signs");
  EXPECT_THAT(refused({"dkim", "create", "example.test"}), HasSubstr("has keys already"));
  EXPECT_THAT(done({"dkim", "show", "example.test"}),
              HasSubstr("._domainkey.example.test. IN TXT \"v=DKIM1; k=rsa; p="));
}

TEST_F(MailctlTest, ADomainMayHaveNoKeys) {
  done({"domain", "add", "--no-dkim", "example.test"});
  EXPECT_EQ(json({"dkim", "list"}).size(), 0U);
  EXPECT_THAT(refused({"dkim", "show", "example.test"}), HasSubstr("mailctl dkim create example.test"));
  EXPECT_THAT(done({"dkim", "create", "example.test"}), HasSubstr("Put into DNS:"));
  EXPECT_THAT(refused({"dkim", "create", "elsewhere.test"}), HasSubstr("There is no domain elsewhere.test"));
}

TEST_F(MailctlTest, KeysAreRotatedWithAnOverlap) {
  done({"domain", "add", "example.test"});
  EXPECT_THAT(done({"dkim", "rotate", "example.test"}), HasSubstr("until then the present ones do"));
  const auto keys = json({"dkim", "list", "example.test"});
  ASSERT_EQ(keys.size(), 4U);
  EXPECT_EQ(keys[0]["state"], "signs");
  EXPECT_EQ(keys[3]["state"], "next");
  EXPECT_THAT(refused({"dkim", "rotate", "example.test"}), HasSubstr("--force"));
  const std::string first = keys[0]["selector"];
  EXPECT_THAT(refused({"dkim", "remove", "example.test", first}), HasSubstr("in use"));
  done({"dkim", "rotate", "--force", "--overlap", "0", "example.test"});
  EXPECT_EQ(json({"dkim", "list", "example.test"})[0]["state"], "old");
  EXPECT_THAT(done({"dkim", "remove", "example.test", first}), HasSubstr("No longer needed in DNS"));
  EXPECT_THAT(refused({"dkim", "remove", "example.test", first}), HasSubstr("has no key"));
  EXPECT_THAT(refused({"dkim", "rotate", "--overlap", "soon", "example.test"}, kUsage), HasSubstr("no duration"));
}

TEST_F(MailctlTest, DnsSaysWhatToPublish) {
  done({"domain", "add", "example.test"});
  const std::string records = done({"dns", "example.test"});
  for (const char* part :
       {"example.test. IN MX 10 ", "example.test. IN TXT \"v=spf1 mx -all\"",
        "._domainkey.example.test. IN TXT \"v=DKIM1; k=ed25519",
        "_dmarc.example.test. IN TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test\"",
        "_smtp._tls.example.test. IN TXT \"v=TLSRPTv1;", "_imaps._tcp.example.test. IN SRV 0 1 993 "}) {
    EXPECT_THAT(records, HasSubstr(part));
  }
  EXPECT_THAT(records, Not(HasSubstr("TLSA")));  // no certificate is there yet
  EXPECT_EQ(json({"dns", "example.test"})[0]["type"], "MX");
  EXPECT_THAT(refused({"dns", "look", "example.test"}, kUsage), HasSubstr("dns check"));
}

}  // namespace
}  // namespace postrider::mailctl
