// Reports to other domains (TLS-RPT, DMARC): when a day is over, whoever wants to know what came of it is told, by mail
// or by HTTPS. What is counted and how it is written is the business of each kind.
#pragma once

#include <asio.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dns.h"
#include "common/mailauth/report.h"

namespace postrider {

/// A report on its way: what it is sent as is its taker's business.
struct OutgoingReport {
  std::string to;      // mailbox
  std::string domain;  // it is about
  std::string id;      // of the report
  std::string subject;
  std::string fields;       // of the header, besides those of every message
  std::string report_type;  // of the multipart/report: "tlsrpt"; empty: the mail is a multipart/mixed
  bool waives_tls = false;  // rather in clear than not at all
  std::string media;        // of the file: "application/tlsrpt+gzip"
  std::string file;         // its name
  std::string octets;
  std::string text;  // for people
};

struct ReportIdentity {
  std::string hostname;
  std::string contact;                               // mailbox
  std::function<bool(std::string_view kind)> sends;  // whether that kind is sent at all
  std::function<bool(const std::string& domain)> is_ours;
};

/// One kind of report. All but count() of its own on one thread, which may wait for the disk.
class ReportSource {
 public:
  virtual ~ReportSource() = default;
  virtual std::string_view kind() const = 0;  // "tls"
  /// Writes down what was counted.
  virtual void write() = 0;
  /// Days before this one that nobody was told of.
  virtual std::vector<ReportDay> unreported(int64_t before, size_t most) = 0;
  virtual void forget(const ReportDay& day) = 0;
  /// Nothing: answers are missing.
  virtual std::optional<ReportDestinations> destinations(const std::string& domain, DnsLookups& lookups) = 0;
  /// All but the recipient.
  virtual OutgoingReport make(const ReportDay& day, const ReportIdentity& identity) = 0;
};

class Reporter {
 public:
  static constexpr size_t kMaxRound = 1'000;    // reports of a kind in one round
  static constexpr int64_t kPatience = 86'400;  // seconds after a day in which it is tried to tell everybody
  static constexpr std::chrono::minutes kWriteInterval{1};
  static constexpr std::chrono::minutes kSendInterval{30};

  using Ask = std::function<asio::awaitable<DnsAnswer>(std::string name, DnsType type)>;
  /// Puts a report into the queue. False: it could not be now. May wait for the disk.
  using Send = std::function<bool(const OutgoingReport& report)>;
  /// Sends octets to a URL. The error says why not.
  using Post = std::function<asio::awaitable<Result<void>>(std::string url, std::string media, std::string octets)>;
  struct Ways {
    Ask ask;
    Send send;
    Post post;
  };

  /// All must outlive it.
  Reporter(const Clock& clock, std::vector<ReportSource*> sources) : clock_(clock), sources_(std::move(sources)) {}

  /// Writes down what was counted.
  void write();
  /// Reports the days that are over; forgets them. All of it must outlive the call.
  asio::awaitable<void> send_due(const ReportIdentity& identity, const Ways& ways);

 private:
  asio::awaitable<bool> send_day(ReportSource& source, const ReportDay& day, const ReportIdentity& identity,
                                 const Ways& ways);
  asio::awaitable<bool> post_all(const OutgoingReport& report, const std::vector<ReportUri>& uris, bool last,
                                 const Ways& ways);

  const Clock& clock_;
  const std::vector<ReportSource*> sources_;
};

/// "mx.example.org!example.net!1700006400!1700092799!ID.xml.gz": RFC 7489 7.2.1.1, RFC 8460 5.1.
std::string report_file(const ReportDay& day, const std::string& hostname, const std::string& id,
                        std::string_view extension);
/// "Report Domain: example.net Submitter: mx.example.org Report-ID: <ID@mx.example.org>": the same, and RFC 8460 5.3.
std::string report_subject(const ReportDay& day, const std::string& hostname, const std::string& id);
/// The first and the last second.
constexpr UnixTime begin_of(const ReportDay& day) {
  return day.day * 86'400;
}
constexpr UnixTime end_of(const ReportDay& day) {
  return begin_of(day) + 86'399;
}

}  // namespace postrider
