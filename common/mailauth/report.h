// What reports to other domains (TLS-RPT, DMARC) and their reports to us have in common: where they go, what of them is
// kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"

namespace postrider {

constexpr size_t kMaxReportUris = 10;               // of a record
constexpr size_t kMaxPackedReport = 1 << 20;        // octets of a report that came
constexpr size_t kMaxReportText = size_t{8} << 20;  // when it is unpacked
constexpr size_t kMaxReportLines = 200;             // of details that are kept of one
constexpr size_t kMaxReportWord = 255;              // octets of a name in it

/// Where a report is wanted: one of the two.
struct ReportUri {
  std::string mailbox;             // mailto:
  std::string url;                 // https:
  uint64_t max_size = UINT64_MAX;  // octets on the way, as "!10m" says (RFC 7489 6.2)
  bool operator==(const ReportUri&) const = default;
};
/// rua=: those that can be used, in their order.
std::vector<ReportUri> parse_report_uris(std::string_view rua);

struct ReportDestinations {
  bool failed = false;  // DNS does not answer: to be tried again
  std::vector<ReportUri> uris;
};

/// What one report is about.
struct ReportDay {
  int64_t day = 0;     // since 1970, UTC
  std::string domain;  // whose policy it was
  std::string policy;  // DMARC: that was applied
};
/// The same for the same day from the same host, in letters and digits: who gets a report twice sees it.
std::string report_id(const ReportDay& day, std::string_view kind, std::string_view hostname);

/// A report of somebody else about mail from or to a domain of ours.
struct ReceivedReport {
  std::string kind;          // "tls" or "dmarc"
  std::string organization;  // who reports
  std::string report_id;
  std::string domain;  // of ours
  UnixTime begin = 0, end = 0, received = 0;
  uint64_t good = 0, bad = 0;
  std::string details;  // what failed, one line each
};

/// What strangers write is shown on terminals: one printable line of it.
std::string printable_word(std::string_view text);

}  // namespace postrider
