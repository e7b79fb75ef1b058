#include "mta/report_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/mailauth/dmarc_report.h"
#include "common/mailauth/gzip.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::HasSubstr;

class ReportReaderTest : public testing::Test {
 protected:
  ReportReaderTest() {
    directory_.with([](store::Directory& directory) { return bool(directory.add_domain("example.org")); });
  }
  static std::string report(const std::string& domain, const std::string& id) {
    const std::vector<TlsResult> results{
        {domain, "sts", "", "certificate-expired", "mx.example.org", "192.0.2.1", "", 7}};
    return tls_report::format({"Example", "a@b.test", id, domain, 1'700'006'400, 1'700'092'799, results});
  }
  static std::string mail(const std::string& type, const std::string& octets) {
    return "Subject: x\r\nTLS-Report-Domain: example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; "
           "report-type=tlsrpt; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/" +
           type + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64_encode(octets) + "\r\n--b--\r\n";
  }
  std::string read(const std::string& text) {
    const auto report = reader_.read(*state_.spool(text));
    return report ? "ok" : report.error().message;
  }

  store::TempState state_;
  ManualClock clock_{1'700'100'000};
  net::WorkerPool workers_{1};
  store::DirectoryService directory_{state_.path(), clock_};
  store::TlsRecords records_{state_.path()};
  ReportReader reader_{records_, directory_, workers_, clock_};
};

TEST_F(ReportReaderTest, AReportIsReadOnce) {
  const std::string text = mail("tlsrpt+gzip", gzip(report("example.org", "1")));
  EXPECT_TRUE(ReportReader::is_report(text));
  EXPECT_FALSE(ReportReader::is_report("Subject: x\r\n\r\n"));
  EXPECT_EQ(read(text), "ok");
  EXPECT_EQ(read(text), "it came before");
  EXPECT_EQ(read(mail("tlsrpt+json", report("example.org", "2"))), "ok");
  const auto kept = records_.reports("example.org", 10);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].bad, 7U);
  EXPECT_EQ(kept[0].received, 1'700'100'000);
  EXPECT_THAT(kept[0].details, HasSubstr("certificate-expired at mx.example.org"));
}

TEST_F(ReportReaderTest, DmarcReportsHoweverTheyAreNamed) {
  const std::vector<DmarcResult> results{{"example.org", "p=none", "192.0.2.1", "none", "fail", "fail", "", "",
                                          "example.org", "", "", "helo mx.test none", 4}};
  int number = 0;
  const auto xml = [&] {
    return dmarc_report::format({"Example",
                                 "a@b.test",
                                 std::to_string(++number),
                                 {19'683, "example.org", "p=none"},
                                 1'700'611'200,
                                 1'700'697'599,
                                 results});
  };
  const auto dmarc_mail = [](const std::string& type, const std::string& octets) {
    return "Subject: Report domain: example.org\r\n Submitter: b.test Report-ID: <1>\r\nMIME-Version: "
           "1.0\r\nContent-Type: " +
           type + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64_encode(octets);
  };
  EXPECT_TRUE(ReportReader::is_report(dmarc_mail("application/gzip", "")));
  for (const char* type :
       {"application/gzip", "application/zip; name=\"b.test!example.org!1!2.zip\"", "application/octet-stream"})
    EXPECT_EQ(read(dmarc_mail(type, gzip(xml()))), "ok") << type;
  EXPECT_EQ(read(dmarc_mail("text/xml", "\xef\xbb\xbf" + xml())), "ok");
  EXPECT_EQ(read(mail("gzip", gzip(xml()))), "ok");
  const auto kept = records_.reports("example.org", 10);
  ASSERT_EQ(kept.size(), 5U);
  EXPECT_EQ(kept[0].kind, "dmarc");
  EXPECT_EQ(kept[0].bad, 4U);
}

TEST_F(ReportReaderTest, WhatIsNoReportOfOursIsNot) {
  EXPECT_THAT(read(mail("tlsrpt+gzip", gzip(report("example.net", "1")))), HasSubstr("others"));
  EXPECT_THAT(read(mail("tlsrpt+gzip", gzip(std::string(kMaxReportText + 1, ' ')))), HasSubstr("too long"));
  EXPECT_THAT(read(mail("tlsrpt+gzip", "\x1f\x8bno gzip")), HasSubstr("no gzip"));
  EXPECT_THAT(read(mail("tlsrpt+gzip", "no gzip")), HasSubstr("no part"));
  EXPECT_THAT(read(mail("pdf", "x")), HasSubstr("no part"));
  EXPECT_THAT(read(std::string(ReportReader::kMaxMessage + 1, 'x')), HasSubstr("too long"));
  EXPECT_TRUE(records_.reports({}, 10).empty());
}

}  // namespace
}  // namespace postrider
