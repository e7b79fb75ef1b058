#include "mta/reporter.h"

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/mail/date.h"

namespace postrider {
namespace {

/// As base64 in lines (RFC 7489 7.2.1: a limit holds for what is sent).
uint64_t size_by_mail(const OutgoingReport& report) {
  const uint64_t encoded = (report.octets.size() + 2) / 3 * 4;
  return encoded + encoded / 76 * 2;
}

asio::awaitable<ReportDestinations> find_destinations(ReportSource& source, const std::string& domain,
                                                      const Reporter::Ask& ask) {
  DnsLookups lookups;
  for (;;) {
    if (auto found = source.destinations(domain, lookups)) co_return std::move(*found);
    const auto missing = lookups.take_missing();
    if (missing.empty()) lookups.give_up();  // never: it would wait for nothing
    for (const DnsQuestion& question : missing) {
      DnsAnswer answer = co_await ask(question.name, question.type);
      lookups.supply(question, std::make_shared<const DnsAnswer>(std::move(answer)));
    }
  }
}

bool is_too_large(const OutgoingReport& report, uint64_t size, const ReportUri& uri) {
  if (size <= uri.max_size) return false;
  log_info("report_too_large", {{"domain", report.domain},
                                {"id", report.id},
                                {"to", uri.mailbox + uri.url},
                                {"octets", size},
                                {"limit", uri.max_size}});
  return true;
}

}  // namespace

void Reporter::write() {
  for (ReportSource* source : sources_) source->write();
}

asio::awaitable<void> Reporter::send_due(const ReportIdentity& identity, const Ways& ways) {
  write();
  for (ReportSource* source : sources_) {
    for (const ReportDay& day : source->unreported(day_of(clock_.unix_time()), kMaxRound)) {
      bool done = !identity.sends(source->kind()) || identity.is_ours(day.domain);
      if (!done) done = co_await send_day(*source, day, identity, ways);
      if (done) source->forget(day);
    }
  }
}

/// False: to be tried again.
asio::awaitable<bool> Reporter::send_day(ReportSource& source, const ReportDay& day, const ReportIdentity& identity,
                                         const Ways& ways) {
  const bool last = clock_.unix_time() > end_of(day) + kPatience;
  const ReportDestinations destinations = co_await find_destinations(source, day.domain, ways.ask);
  if (destinations.failed && !last) co_return false;
  if (destinations.uris.empty()) co_return true;
  OutgoingReport report = source.make(day, identity);
  // First what may fail: mail is sent once.
  const bool posted = co_await post_all(report, destinations.uris, last, ways);
  if (!posted) co_return false;
  for (const ReportUri& uri : destinations.uris) {
    if (uri.mailbox.empty() || is_too_large(report, size_by_mail(report), uri)) continue;
    report.to = uri.mailbox;
    if (!ways.send(report)) co_return false;
    log_info("report_sent", {{"kind", source.kind()}, {"domain", day.domain}, {"id", report.id}, {"to", report.to}});
  }
  co_return true;
}

/// False: to be tried again.
asio::awaitable<bool> Reporter::post_all(const OutgoingReport& report, const std::vector<ReportUri>& uris, bool last,
                                         const Ways& ways) {
  bool done = true;
  for (const ReportUri& uri : uris) {
    if (uri.url.empty() || is_too_large(report, report.octets.size(), uri)) continue;
    const Result<void> posted = co_await ways.post(uri.url, report.media, report.octets);
    if (posted) {
      log_info("report_sent", {{"domain", report.domain}, {"id", report.id}, {"to", uri.url}});
    } else {
      log_warn("report_not_sent", {{"domain", report.domain},
                                   {"id", report.id},
                                   {"to", uri.url},
                                   {"given_up", last},
                                   {"reason", posted.error().message}});
      done = last && done;
    }
  }
  co_return done;
}

std::string report_file(const ReportDay& day, const std::string& hostname, const std::string& id,
                        std::string_view extension) {
  return fmt::format("{}!{}!{}!{}!{}.{}", hostname, day.domain, begin_of(day), end_of(day), id, extension);
}

std::string report_subject(const ReportDay& day, const std::string& hostname, const std::string& id) {
  return fmt::format("Report Domain: {} Submitter: {} Report-ID: <{}@{}>", day.domain, hostname, id, hostname);
}

}  // namespace postrider
