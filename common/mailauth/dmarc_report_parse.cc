// Reads aggregate reports with Debian's expat, as they come: the schemata of RFC 7489, of RFC 9990 and older ones.
#include <expat.h>
#include <fmt/format.h>

#include <memory>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mailauth/dmarc_report.h"

namespace postrider::dmarc_report {
namespace {

constexpr size_t kMaxDepth = 12;
constexpr size_t kMaxName = 64;                // octets of an element's name
constexpr size_t kMaxRecords = 50'000;         // of a report
constexpr uint64_t kMaxCount = 1'000'000'000;  // messages of a record; more is no figure that means anything

/// One record while it is read.
struct Row {
  std::string source, disposition, dkim, spf, reason, author;
  uint64_t count = 0;
};

class ReportParser {
 public:
  ReportParser() : parser_(XML_ParserCreate(nullptr), &XML_ParserFree) {
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(
        parser_.get(), [](void* self, const XML_Char* name, const XML_Char**) { of(self).begin(name); },
        [](void* self, const XML_Char*) { of(self).end(); });
    XML_SetCharacterDataHandler(parser_.get(), [](void* self, const XML_Char* text, int size) {
      of(self).text(std::string_view(text, static_cast<size_t>(size)));
    });
    // Whoever declares entities wants them to grow or to be fetched.
    XML_SetStartDoctypeDeclHandler(parser_.get(), [](void* self, const XML_Char*, const XML_Char*, const XML_Char*,
                                                     int) { of(self).stop("it declares a document type"); });
  }

  Result<ReceivedReport> run(std::string_view xml) {
    const bool done = XML_Parse(parser_.get(), xml.data(), static_cast<int>(xml.size()), 1) == XML_STATUS_OK;
    if (!trouble_.empty()) return failure("the report is not read: " + trouble_);
    if (!done) {
      return failure(fmt::format("the report is no XML: {} in line {}",
                                 XML_ErrorString(XML_GetErrorCode(parser_.get())),
                                 XML_GetCurrentLineNumber(parser_.get())));
    }
    if (report_.organization.empty() || report_.report_id.empty() || report_.domain.empty() || report_.begin <= 0 ||
        report_.end < report_.begin) {
      return failure("the report lacks org_name, report_id, date_range or the domain");
    }
    report_.kind = "dmarc";
    report_.details = failed_ + passed_;
    return std::move(report_);
  }

 private:
  static ReportParser& of(void* self) { return *static_cast<ReportParser*>(self); }

  void stop(std::string why) {
    if (trouble_.empty()) trouble_ = std::move(why);
    XML_StopParser(parser_.get(), XML_FALSE);
  }

  void begin(std::string_view name) {
    name = name.substr(name.find(':') == std::string_view::npos ? 0 : name.find(':') + 1);
    if (lengths_.size() == kMaxDepth || name.size() > kMaxName) return stop("its elements are nested too deep");
    lengths_.push_back(path_.size());
    if (!path_.empty()) path_ += '/';
    path_ += name;
    text_.clear();
    if (path_ == "feedback/record") row_ = {};
  }

  void text(std::string_view piece) {
    text_ += piece.substr(0, kMaxReportWord - std::min(text_.size(), kMaxReportWord));
  }

  void end() {
    const std::string word = printable_word(trim(text_));
    if (path_ == "feedback/record") {
      count_row();
    } else if (path_.starts_with("feedback/record/")) {
      take_of_record(word);
    } else {
      take(word);
    }
    path_.resize(lengths_.back());
    lengths_.pop_back();
    text_.clear();
  }

  void take(const std::string& word) {
    if (path_ == "feedback/report_metadata/org_name") report_.organization = word;
    if (path_ == "feedback/report_metadata/report_id") report_.report_id = word;
    if (path_ == "feedback/report_metadata/date_range/begin") report_.begin = time_of(word);
    if (path_ == "feedback/report_metadata/date_range/end") report_.end = time_of(word);
    if (path_ == "feedback/policy_published/domain") report_.domain = lower(word);
  }

  void take_of_record(const std::string& word) {
    if (path_ == "feedback/record/row/source_ip") row_.source = word;
    if (path_ == "feedback/record/row/count") row_.count = std::min(parse_number(word).value_or(0), kMaxCount);
    if (path_ == "feedback/record/row/policy_evaluated/disposition") row_.disposition = word;
    if (path_ == "feedback/record/row/policy_evaluated/dkim") row_.dkim = word;
    if (path_ == "feedback/record/row/policy_evaluated/spf") row_.spf = word;
    if (path_ == "feedback/record/row/policy_evaluated/reason/type") row_.reason = word;
    if (path_ == "feedback/record/identifiers/header_from") row_.author = word;
  }

  void count_row() {
    if (++records_ > kMaxRecords) return stop("it has too many records");
    const bool good = row_.dkim == "pass" || row_.spf == "pass";
    (good ? report_.good : report_.bad) += row_.count;
    size_t& lines = good ? good_lines_ : bad_lines_;
    if (lines++ >= kMaxReportLines / 2) return;
    (good ? passed_ : failed_) +=
        fmt::format("{} x {} as {}: dkim={} spf={}, {}{}{}\n", row_.count, row_.source, row_.author, row_.dkim,
                    row_.spf, row_.disposition, row_.reason.empty() ? "" : ": ", row_.reason);
  }

  static UnixTime time_of(const std::string& word) {
    const auto number = parse_number(word);
    return number && *number < uint64_t{1} << 40 ? static_cast<UnixTime>(*number) : 0;
  }

  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, void (*)(XML_Parser)> parser_;
  std::string path_;             // of element names
  std::vector<size_t> lengths_;  // of the path before each of them
  std::string text_;             // of the innermost one
  Row row_;
  ReceivedReport report_;
  size_t records_ = 0, good_lines_ = 0, bad_lines_ = 0;
  std::string failed_, passed_;  // lines
  std::string trouble_;
};

}  // namespace

Result<ReceivedReport> parse(std::string_view xml) {
  if (xml.size() > kMaxReportText) return failure("the report is too long");
  return ReportParser().run(xml);
}

}  // namespace postrider::dmarc_report
