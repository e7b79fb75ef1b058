// Reports of others, packed or not: read in bounded memory, and what is kept of them can be shown on a terminal.
#include <string>

#include "common/base/ascii.h"
#include "common/mailauth/dmarc_report.h"
#include "common/mailauth/gzip.h"
#include "common/mailauth/report.h"
#include "common/mailauth/tls_report.h"
#include "common/mailauth/zip.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr size_t kMaxUnpacked = 1 << 20;

void must_be_printable(const std::string& word) {
  must(word.size() <= kMaxReportWord, "a word has a limit");
  for (const char c : word) must(!is_ctl(c), "a word is printable");
}

void check(const Result<ReceivedReport>& report) {
  if (!report) {
    must(!report.error().message.empty(), "an error is a sentence");
    return;
  }
  must_be_printable(report->organization);
  must_be_printable(report->report_id);
  must_be_printable(report->domain);
  must(report->details.size() <= kMaxReportLines * 4 * (kMaxReportWord + 40), "details have a limit");
  for (const char c : report->details) must(!is_ctl(c) || c == '\n', "details are printable");
}

void check_text(std::string_view text) {
  check(dmarc_report::parse(text));
  check(tls_report::parse(text));
  must_be_printable(printable_word(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_text(text);
  if (const auto unpacked = unpack(text, kMaxUnpacked)) {
    must(unpacked->size() <= kMaxUnpacked, "what is unpacked has a limit");
    if (*unpacked != text) check_text(*unpacked);
  }
  static_cast<void>(unzip(text, kMaxUnpacked));
  const auto both_ways = unpack(gzip(text), size);
  must(both_ways && *both_ways == text, "packed and unpacked");
  if (size > 0) must(!unpack(gzip(text), size - 1), "and no more than allowed");
  return 0;
}
