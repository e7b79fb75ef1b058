#include "mta/report_reader.h"

#include <algorithm>
#include <array>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/mail/mime_index.h"
#include "common/mail/transfer.h"
#include "common/mailauth/dmarc_report.h"
#include "common/mailauth/zip.h"

namespace postrider {
namespace {

// Few senders of DMARC's reports name their files' type rightly.
constexpr std::array<std::string_view, 10> kTypes{"application/tlsrpt+gzip",
                                                  "application/tlsrpt+json",
                                                  "application/gzip",
                                                  "application/x-gzip",
                                                  "application/zip",
                                                  "application/x-zip",
                                                  "application/x-zip-compressed",
                                                  "application/octet-stream",
                                                  "application/xml",
                                                  "text/xml"};

bool may_be_report(const MimePart& part) {
  return std::find(kTypes.begin(), kTypes.end(), part.type + '/' + part.subtype) != kTypes.end();
}

Result<std::string> text_of(const std::string& message, const MimePart& part) {
  std::string octets;
  TransferDecoder decoder(part.encoding);
  decoder.feed(std::string_view(message).substr(part.body_offset(), part.body_size), octets);
  decoder.finish(octets);
  if (octets.size() > kMaxPackedReport) return failure("it is too long");
  return unpack(octets, kMaxReportText);
}

/// What a text is, its first octet says. Nothing: no report.
std::optional<Result<ReceivedReport>> parse(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";  // some begin with it
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  const std::string_view content = trim(text);
  if (content.starts_with('{')) return tls_report::parse(content);
  if (content.starts_with('<')) return dmarc_report::parse(content);
  return std::nullopt;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

bool ReportReader::is_report(std::string_view head) {
  if (find_header(head, "TLS-Report-Domain")) return true;
  const std::string subject = lower(find_header(head, "Subject").value_or(""));
  return contains(subject, "report domain:") && contains(subject, "submitter:");
}

void ReportReader::take(std::shared_ptr<const store::Spool> message) {
  workers_.post([this, message = std::move(message)] {
    const auto report = read(*message);
    if (!report) {
      log_info("report_not_read", {{"reason", report.error().message}});
    } else {
      log_info("report_read", {{"kind", report->kind},
                               {"from", report->organization},
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
    if (!may_be_report(part)) continue;
    auto unpacked = text_of(text, part);
    if (!unpacked) return tl::unexpected(unpacked.error());
    auto report = parse(*unpacked);
    if (!report) continue;
    if (!*report) return tl::unexpected(report->error());
    ReceivedReport& read = **report;
    const bool ours = directory_.with([&](store::Directory& directory) { return directory.has_domain(read.domain); });
    if (!ours) return failure("it is about a domain of others");
    read.received = clock_.unix_time();
    if (!records_.add_report(read)) return failure("it came before");
    return std::move(read);
  }
  return failure("it has no part with a report");
}

}  // namespace postrider
