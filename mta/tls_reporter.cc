#include "mta/tls_reporter.h"

#include <fmt/format.h>

#include "common/mail/date.h"
#include "common/mailauth/gzip.h"

namespace postrider {

void TlsReporter::count(TlsResult result) {
  held_.add(day_of(clock_.unix_time()), std::move(result));
}

void TlsReporter::write() {
  for (const auto& [day, results] : held_.take()) records_.count(day, results);
}

OutgoingReport TlsReporter::make(const ReportDay& day, const ReportIdentity& identity) {
  const auto results = records_.results(day);
  const TlsReport report{
      identity.hostname, identity.contact, report_id(day, kind(), identity.hostname), day.domain, begin_of(day),
      end_of(day),       results};
  OutgoingReport out;
  out.domain = day.domain;
  out.id = report.id;
  out.report_type = "tlsrpt";
  out.media = "application/tlsrpt+gzip";
  out.file = report_file(day, identity.hostname, report.id, "json.gz");
  out.subject = report_subject(day, identity.hostname, report.id);
  // It may be about TLS that does not work (RFC 8460 3).
  out.waives_tls = true;
  out.fields = fmt::format("TLS-Report-Domain: {}\r\nTLS-Report-Submitter: {}\r\nTLS-Required: No\r\n", day.domain,
                           identity.hostname);
  uint64_t good = 0, bad = 0;
  for (const TlsResult& result : results) (result.failure.empty() ? good : bad) += result.sessions;
  out.text = fmt::format(
      "This is a report on how mail to {} was protected by TLS on its way from\r\n{}: {} connections were as they "
      "have to be, {} were not.\r\nIt is meant for programs (RFC 8460).\r\n",
      day.domain, identity.hostname, good, bad);
  out.octets = gzip(tls_report::format(report));
  return out;
}

}  // namespace postrider
