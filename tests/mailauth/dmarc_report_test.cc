// Aggregate reports: who wants them, what they say, and what comes of others'.
#include "common/mailauth/dmarc_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <cstdio>

#include "common/mailauth/gzip.h"
#include "common/mailauth/zip.h"
#include "tests/mailauth/table.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ReportUri mailto(const std::string& mailbox, uint64_t max = UINT64_MAX) {
  return {mailbox, {}, max};
}

TEST(ReportUris, AsTheyAreWritten) {
  EXPECT_THAT(parse_report_uris("mailto:a@b.test!10m, MAILTO:c%21d@b.test , https://b.test/x,ftp://b.test"),
              ElementsAre(mailto("a@b.test", 10 << 20), mailto("c!d@b.test"), ReportUri{{}, "https://b.test/x"}));
  EXPECT_THAT(parse_report_uris("mailto:a@b.test!5"), ElementsAre(mailto("a@b.test", 5)));
  EXPECT_THAT(parse_report_uris("mailto:a@b.test!99999999999999999t"), ElementsAre(mailto("a@b.test")));
  for (const char* none : {"", ",,,", "mailto:", "mailto:a", "mailto:a@b.test!", "mailto:a@b.test!x", "https://",
                           "https://b.test/a b", "mailto:a%0d%0ab@c.test"}) {
    EXPECT_LE(parse_report_uris(none).size(), std::string(none) == "https://" ? 1U : 0U) << none;
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "mailto:a@b.test,";
  EXPECT_EQ(parse_report_uris(many).size(), kMaxReportUris);
}

class DestinationsTest : public testing::Test {
 protected:
  ReportDestinations find(const std::string& domain) {
    return dns.run([&](DnsLookups& lookups) { return dmarc_report::destinations(domain, lookups); });
  }
  DnsTable dns;
};

TEST_F(DestinationsTest, TheOwnOrganizationNeedsNoConsent) {
  dns.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@reports.example.net!1k,https://example.net/");
  EXPECT_THAT(find("example.net").uris, ElementsAre(mailto("a@reports.example.net", 1'024)));
  EXPECT_THAT(find("sub.example.net").uris, IsEmpty()) << "the record is another domain's";
  EXPECT_THAT(find("example.com").uris, IsEmpty());
}

TEST_F(DestinationsTest, OthersMustSayThatTheyTakeThem) {
  dns.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@one.test,mailto:b@two.test,mailto:c@three.test");
  dns.txt("example.net._report._dmarc.one.test", "v=DMARC1;");
  dns.txt("example.net._report._dmarc.two.test", "v=spf1 -all");
  EXPECT_THAT(find("example.net").uris, ElementsAre(mailto("a@one.test")));
  dns.txt("example.net._report._dmarc.three.test", "v=DMARC1; rua=mailto:else@three.test");
  EXPECT_THAT(find("example.net").uris, ElementsAre(mailto("a@one.test"), mailto("else@three.test")));
}

TEST_F(DestinationsTest, ConsentLeadsToNobodyElse) {
  dns.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@one.test");
  dns.txt("example.net._report._dmarc.one.test", "v=DMARC1; rua=mailto:victim@two.test");
  EXPECT_THAT(find("example.net").uris, ElementsAre(mailto("a@one.test")));
}

TEST_F(DestinationsTest, AFailureOfDnsIsToBeTriedAgain) {
  dns.txt("_dmarc.example.net", "v=DMARC1; p=none; rua=mailto:a@one.test");
  dns.fail("example.net._report._dmarc.one.test", DnsType::txt);
  EXPECT_TRUE(find("example.net").failed);
  dns.fail("_dmarc.example.com", DnsType::txt);
  EXPECT_TRUE(find("example.com").failed);
}

// --- what a message is counted as

class RowTest : public testing::Test {
 protected:
  RowTest() {
    author.domain = author.record_domain = "example.net";
    author.record = *dmarc::parse_record("v=DMARC1; p=reject; sp=none; adkim=s; fo=1:d; rua=mailto:a@example.net");
    author.policy = dmarc::Policy::reject;
    spf.domain = "example.net";
  }
  DmarcResult row(const std::string& sender = "example.net") {
    const dmarc::Authenticated found{spf, signatures};
    const auto judgement = dmarc::judge(author, found, 0);
    return dmarc_report::result_of({"192.0.2.1", sender, judgement.disposition, {}, {}}, author, judgement, found);
  }
  dmarc::AuthorPolicy author;
  spf::Judgement spf;
  std::vector<dkim::SignatureResult> signatures;
};

TEST_F(RowTest, Passed) {
  spf.verdict = spf::Verdict::pass;
  signatures.push_back({dkim::Verdict::pass, "example.net", "s1", "rsa-sha256", "", "", false});
  const DmarcResult result = row();
  EXPECT_EQ(result.policy, "adkim=s; aspf=r; p=reject; sp=none; pct=100; fo=1:d");
  EXPECT_EQ(result.disposition + result.dkim + result.spf, "nonepasspass");
  EXPECT_EQ(result.signatures, "example.net s1 pass\n");
  EXPECT_EQ(result.spf_result, "mfrom example.net pass");
}

TEST_F(RowTest, ForwardedMailHasItsSignatureAlone) {
  spf.verdict = spf::Verdict::pass;
  spf.domain = "forwarder.test";
  signatures.push_back({dkim::Verdict::pass, "example.net", "s1", "", "", "", false});
  const DmarcResult result = row("forwarder.test");
  EXPECT_EQ(result.disposition + result.dkim + result.spf, "nonepassfail");
  EXPECT_EQ(result.spf_result, "mfrom forwarder.test pass") << "what SPF said, without alignment";
  EXPECT_EQ(result.envelope_from, "forwarder.test");
}

TEST_F(RowTest, Failed) {
  spf.verdict = spf::Verdict::softfail;
  signatures.push_back({dkim::Verdict::fail, "example.net", "s 1\x1b", "", "", "", false});
  signatures.push_back({dkim::Verdict::permerror, "", "", "", "", "", false});
  const DmarcResult result = row("");
  EXPECT_EQ(result.disposition + result.dkim + result.spf, "rejectfailfail");
  EXPECT_EQ(result.signatures, "example.net s?1? fail\n");
  EXPECT_EQ(result.spf_result, "helo example.net softfail");
}

TEST_F(RowTest, APolicyOfNoneDoesNothing) {
  author.policy = dmarc::Policy::none;
  EXPECT_EQ(row().disposition, "none");
}

// --- the report

std::vector<DmarcResult> some_results() {
  DmarcResult good{"example.net",
                   "",
                   "192.0.2.1",
                   "none",
                   "pass",
                   "pass",
                   "",
                   "",
                   "example.net",
                   "example.net",
                   "example.net s1 pass\nother.test s2 fail\n",
                   "mfrom example.net pass",
                   12};
  good.policy = dmarc_report::policy_text(*dmarc::parse_record("v=DMARC1; p=quarantine"));
  DmarcResult bad = good;
  bad.source = "2001:db8::1";
  bad.dkim = bad.spf = "fail";
  bad.disposition = "none";
  bad.reason = "local_policy";
  bad.comment = "arc=pass & <more>";
  bad.envelope_from.clear();
  bad.signatures.clear();
  bad.spf_result = "helo mx.test none";
  bad.messages = 3;
  return {good, bad};
}

std::string some_report() {
  const auto results = some_results();
  return dmarc_report::format({"mx.example.org",
                               "postmaster@example.org",
                               "dmarc19683dab",
                               {19'683, "example.net", results[0].policy},
                               1'700'611'200,
                               1'700'697'599,
                               results});
}

TEST(DmarcReport, WhatIsWrittenIsRead) {
  const std::string text = some_report();
  EXPECT_THAT(text,
              HasSubstr("<reason><type>local_policy</type><comment>arc=pass &amp; &lt;more&gt;</comment></reason>"));
  const auto read = dmarc_report::parse(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->kind, "dmarc");
  EXPECT_EQ(read->organization, "mx.example.org");
  EXPECT_EQ(read->report_id, "dmarc19683dab");
  EXPECT_EQ(read->domain, "example.net");
  EXPECT_EQ(read->begin, 1'700'611'200);
  EXPECT_EQ(read->end, 1'700'697'599);
  EXPECT_EQ(read->good, 12U);
  EXPECT_EQ(read->bad, 3U);
  EXPECT_EQ(read->details,
            "3 x 2001:db8::1 as example.net: dkim=fail spf=fail, none: local_policy\n"
            "12 x 192.0.2.1 as example.net: dkim=pass spf=pass, none\n");
}

TEST(DmarcReport, FitsTheSchema) {
  FILE* checker = ::popen("xmllint --noout --schema " POSTRIDER_SOURCE "/tests/mailauth/dmarc_report.xsd -", "w");
  ASSERT_NE(checker, nullptr);
  std::fputs(some_report().c_str(), checker);
  EXPECT_EQ(::pclose(checker), 0);
}

TEST(DmarcReport, NamespacesAndWhatIsNewAreReadOver) {
  const auto read = dmarc_report::parse(
      "<d:feedback xmlns:d='urn:ietf:params:xml:ns:dmarc-2.0'><d:report_metadata><d:org_name> Big "
      "Mail "
      "</d:org_name><d:report_id>1</d:report_id><d:date_range><d:begin>100</d:begin><d:end>200</d:end></d:date_range>"
      "<d:generator>x</d:generator></d:report_metadata><d:policy_published><d:domain>Example.ORG</d:domain>"
      "<d:np>none</d:np></d:policy_published><d:record><d:row><d:source_ip>::1</d:source_ip><d:count>7</d:count>"
      "</d:row></d:record></d:feedback>");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->organization, "Big Mail");
  EXPECT_EQ(read->domain, "example.org");
  EXPECT_EQ(read->bad, 7U);
}

TEST(DmarcReport, EntitiesAreNotExpanded) {
  const std::string laughs =
      "<?xml version='1.0'?><!DOCTYPE feedback [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]><feedback>&b;</feedback>";
  const std::string outside =
      "<!DOCTYPE feedback [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><feedback><report_metadata><org_name>&x;</org_name>"
      "</report_metadata></feedback>";
  for (const std::string& text : {laughs, outside}) {
    const auto read = dmarc_report::parse(text);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("document type"));
  }
}

TEST(DmarcReport, WhatIsNoneIsNotRead) {
  std::string deep, many = some_report();
  for (int i = 0; i < 1'000; ++i) deep += "<a>";
  for (const std::string& text : {std::string(), std::string("{}"), std::string("<feedback/>"), deep,
                                  many.substr(0, many.size() / 2), std::string(kMaxReportText + 1, ' ')})
    EXPECT_FALSE(dmarc_report::parse(text)) << text.substr(0, 40);
  const size_t record = many.find("  <record>"), end = many.find("  </record>\n");
  const std::string one = many.substr(record, end - record + 12);
  std::string text = many.substr(0, record);
  for (int i = 0; i < 1'000; ++i) text += one;
  const auto read = dmarc_report::parse(text + "</feedback>");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->good, 12'000U);
  EXPECT_LE(std::count(read->details.begin(), read->details.end(), '\n'), int(kMaxReportLines));
  std::string escapes = many;
  escapes.replace(escapes.find("mx.example.org"), 14, "\xc3\xa9&#27;");
  EXPECT_FALSE(dmarc_report::parse(escapes)) << "XML has no such character";
  escapes.replace(escapes.find("&#27;"), 5, "&#133;");
  EXPECT_THAT(dmarc_report::parse(escapes).value().organization, testing::Eq("????"));
}

// --- how they are packed

/// A zip archive with one file.
std::string zip(const std::string& text) {
  zip_error_t error;
  zip_source_t* memory = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(memory);
  zip_t* archive = zip_open_from_source(memory, ZIP_TRUNCATE, &error);
  zip_file_add(archive, "report.xml", zip_source_buffer(archive, text.data(), text.size(), 0), 0);
  zip_close(archive);
  zip_stat_t info;
  zip_source_stat(memory, &info);
  std::string octets(info.size, '\0');
  zip_source_open(memory);
  zip_source_read(memory, octets.data(), octets.size());
  zip_source_free(memory);
  return octets;
}

TEST(Unpack, ZipAndGzipAndNeither) {
  const std::string text = some_report();
  EXPECT_EQ(unpack(zip(text), 100'000).value(), text);
  EXPECT_EQ(unpack(gzip(text), 100'000).value(), text);
  EXPECT_EQ(unpack(text, 100'000).value(), text);
}

TEST(Unpack, BombsAndRuins) {
  const std::string bomb = zip(std::string(size_t{50} << 20, '\0'));
  EXPECT_LT(bomb.size(), 100'000U);
  EXPECT_THAT(unpack(bomb, kMaxReportText).error().message, HasSubstr("too long"));
  const std::string good = zip(some_report());
  for (size_t cut = 4; cut < good.size(); cut += 7) EXPECT_FALSE(unpack(good.substr(0, cut), 100'000));
  for (size_t at = 4; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    (void)unpack(changed, 100'000);  // whatever comes of it: nothing is read that is not there
  }
}

}  // namespace
}  // namespace postrider
