#include "mta/dmarc_reporter.h"

#include <fmt/format.h>

#include "common/mail/date.h"
#include "common/mailauth/gzip.h"

namespace postrider {

void DmarcReporter::count(DmarcResult result) {
  held_.add(day_of(clock_.unix_time()), std::move(result));
}

void DmarcReporter::write() {
  for (const auto& [day, results] : held_.take()) records_.count(day, results);
}

OutgoingReport DmarcReporter::make(const ReportDay& day, const ReportIdentity& identity) {
  const auto results = records_.results(day);
  const DmarcReport report{
      identity.hostname, identity.contact, report_id(day, kind(), identity.hostname), day, begin_of(day),
      end_of(day),       results};
  OutgoingReport out;
  out.domain = day.domain;
  out.id = report.id;
  out.media = "application/gzip";
  out.file = report_file(day, identity.hostname, report.id, "xml.gz");
  out.subject = report_subject(day, identity.hostname, report.id);
  uint64_t good = 0, bad = 0;
  for (const DmarcResult& result : results) {
    const bool passed = result.dkim == "pass" || result.spf == "pass";
    (passed ? good : bad) += result.messages;
  }
  out.text = fmt::format(
      "This is a report on mail in the name of {} that came to\r\n{}: of {} messages it is proved by DMARC that they "
      "are,\r\nof {} it is not. It is meant for programs (RFC 7489).\r\n",
      day.domain, identity.hostname, good, bad);
  out.octets = gzip(dmarc_report::format(report));
  return out;
}

}  // namespace postrider
