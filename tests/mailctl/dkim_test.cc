// mailctl dkim and mailctl dns.
#include "store/dkim_keys.h"
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

TEST_F(MailctlTest, KeysThatWaitForDnsAreShownAndThoseOutOfUseAreNot) {
  done({"domain", "add", "--no-dkim", "example.test"});
  store::DkimKeys keys(state_);
  const UnixTime now = SystemClock().unix_time();
  constexpr UnixTime kDay = 86'400;
  const auto rsa = dkim::Algorithm::rsa_sha256;
  const auto unused = keys.create("example.test", rsa, now - 90 * kDay, now - 90 * kDay);
  const auto old = keys.create("example.test", rsa, now - 60 * kDay, now - 60 * kDay);
  const auto signs = keys.create("example.test", rsa, now - 10 * kDay, now - 10 * kDay);
  const auto waits = keys.create("example.test", rsa, now, store::kWhenPublished);
  const auto list = json({"dkim", "list", "example.test"});
  ASSERT_EQ(list.size(), 4U);
  for (size_t i = 0; const char* state : {"unused", "old", "signs", "waits"}) EXPECT_EQ(list[i++]["state"], state);
  EXPECT_EQ(list[3]["signs_from"], nullptr);
  const std::string records = done({"dns", "example.test"});
  EXPECT_THAT(records, Not(HasSubstr(unused.record_name())));
  EXPECT_THAT(records, HasSubstr("DKIM: a former key, which mail on its way needs until "));
  EXPECT_THAT(records, HasSubstr("mta has seen it here.\n" + waits.record_name()));
  for (const auto& key : {old, signs}) EXPECT_THAT(records, HasSubstr(key.record_name()));
  EXPECT_THAT(refused({"dkim", "rotate", "example.test"}), HasSubstr("sign when DNS has their records"));
  EXPECT_THAT(refused({"dkim", "remove", "example.test", waits.selector}), HasSubstr("in use"));
  EXPECT_THAT(done({"dkim", "rotate", "--force", "example.test"}),
              HasSubstr("No longer needed in DNS: " + unused.record_name()));
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
