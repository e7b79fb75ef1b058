#include "mta/report_reader.h"

#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/mail/mime_index.h"
#include "common/mail/transfer.h"
#include "common/mailauth/gzip.h"

namespace postrider {
namespace {

Result<std::string> text_of(const std::string& message, const MimePart& part) {
  std::string octets;
  TransferDecoder decoder(part.encoding);
  decoder.feed(std::string_view(message).substr(part.body_offset(), part.body_size), octets);
  decoder.finish(octets);
  if (octets.size() > tls_report::kMaxCompressed) return failure("it is too long");
  if (part.subtype == "tlsrpt+json") return octets;
  return gunzip(octets, tls_report::kMaxText);
}

}  // namespace

bool ReportReader::is_report(std::string_view head) {
  return find_header(head, "TLS-Report-Domain").has_value();
}

void ReportReader::take(std::shared_ptr<const store::Spool> message) {
  workers_.post([this, message = std::move(message)] {
    const auto report = read(*message);
    if (!report) {
      log_info("report_not_read", {{"reason", report.error().message}});
    } else {
      log_info("report_read", {{"from", report->organization},
                               {"id", report->report_id},
                               {"domain", report->domain},
                               {"good", report->good},
                               {"bad", report->bad}});
    }
  });
}

Result<ReceivedReport> ReportReader::read(const store::Spool& message) {
  if (message.size() > kMaxMessage) return failure("the message is too long");
  std::string text, buffer;
  MimeIndexer indexer;
  while (text.size() < message.size()) text += message.read_at(text.size(), buffer);
  indexer.feed(text);
  const MimeIndex index = indexer.finish().index;
  for (const MimePart& part : index.parts) {
    if (part.type != "application" || (part.subtype != "tlsrpt+gzip" && part.subtype != "tlsrpt+json")) continue;
    auto json = text_of(text, part);
    if (!json) return tl::unexpected(json.error());
    auto report = tls_report::parse(*json);
    if (!report) return tl::unexpected(report.error());
    const bool ours =
        directory_.with([&](store::Directory& directory) { return directory.has_domain(report->domain); });
    if (!ours) return failure("it is about a domain of others");
    report->received = clock_.unix_time();
    if (!records_.add_report(*report)) return failure("it came before");
    return std::move(*report);
  }
  return failure("it has no part with a report");
}

}  // namespace postrider
