#include "mta/tls_reporter.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/date.h"
#include "common/mailauth/gzip.h"

namespace postrider {
namespace {

constexpr int64_t kDay = 86'400;

OutgoingReport make_report(const TlsReport& report, const std::string& hostname) {
  OutgoingReport out;
  out.domain = report.domain;
  out.id = report.id;
  out.type = "tlsrpt";
  out.media = "application/tlsrpt+gzip";
  // RFC 8460 5.1, 5.3.
  out.file = fmt::format("{}!{}!{}!{}!{}.json.gz", hostname, report.domain, report.begin, report.end, report.id);
  out.subject =
      fmt::format("Report Domain: {} Submitter: {} Report-ID: <{}@{}>", report.domain, hostname, report.id, hostname);
  out.fields =
      fmt::format("TLS-Report-Domain: {}\r\nTLS-Report-Submitter: {}\r\nTLS-Required: No\r\n", report.domain, hostname);
  uint64_t good = 0, bad = 0;
  for (const TlsResult& result : report.results) (result.failure.empty() ? good : bad) += result.sessions;
  out.text = fmt::format(
      "This is a report on how mail to {} was protected by TLS on its way from\r\n{}: {} connections were as they "
      "have to be, {} were not.\r\nIt is meant for programs (RFC 8460).\r\n",
      report.domain, hostname, good, bad);
  out.octets = gzip(tls_report::format(report));
  return out;
}

}  // namespace

TlsReporter::TlsReporter(const std::string& state, const Clock& clock) : clock_(clock), records_(state) {}

TlsReporter::~TlsReporter() {
  stop();
}

void TlsReporter::count(TlsResult result) {
  Key key{day_of(clock_.unix_time()),
          result.domain,
          result.policy_type,
          result.policy,
          result.failure,
          result.host,
          result.address};
  std::lock_guard lock(mutex_);
  if (auto found = held_.find(key); found != held_.end()) {
    ++found->second.sessions;
  } else if (held_.size() < kMaxHeld) {
    held_.emplace(std::move(key), std::move(result));
  }
}

void TlsReporter::write() {
  std::map<Key, TlsResult> held;
  {
    std::lock_guard lock(mutex_);
    held.swap(held_);
  }
  std::map<int64_t, std::vector<TlsResult>> days;
  for (auto& [key, result] : held) days[std::get<0>(key)].push_back(std::move(result));
  for (const auto& [day, results] : days) records_.count(day, results);
}

asio::awaitable<void> TlsReporter::send_due(const Identity& identity, const Ask& ask, const Send& send) {
  write();
  for (const auto& day : records_.unreported(day_of(clock_.unix_time()), kMaxRound)) {
    bool done = !identity.enabled;
    if (!done) done = co_await send_day(day, identity, ask, send);
    if (done) records_.forget(day);
  }
}

/// False: to be tried again.
asio::awaitable<bool> TlsReporter::send_day(const store::TlsRecords::Day& day, const Identity& identity, const Ask& ask,
                                            const Send& send) {
  const DnsAnswer answer = co_await ask("_smtp._tls." + day.domain, DnsType::txt);
  if (answer.status == DnsAnswer::Status::failed) co_return false;
  const auto mailboxes = tls_report::mailboxes(answer);
  if (mailboxes.empty()) co_return true;
  const auto results = records_.results(day);
  TlsReport report{identity.hostname, identity.contact,         {},     day.domain,
                   day.day * kDay,    (day.day + 1) * kDay - 1, results};
  report.id = fmt::format("{}.{:016x}", day.day, random_u64());
  OutgoingReport out = make_report(report, identity.hostname);
  for (const std::string& mailbox : mailboxes) {
    out.to = mailbox;
    if (!send(out)) co_return false;
  }
  log_info("tls_report_sent",
           {{"domain", day.domain}, {"id", report.id}, {"to", fmt::format("{}", fmt::join(mailboxes, ","))}});
  co_return true;
}

asio::awaitable<void> TlsReporter::run(std::function<Identity()> identity, Send send) {
  auto next_send = std::chrono::steady_clock::now();
  for (;;) {
    try {
      write();
      if (std::chrono::steady_clock::now() >= next_send) {
        next_send += kSendInterval;
        const Identity who = identity();
        co_await send_due(who, ask_, send);
      }
    } catch (const std::exception& error) {
      log_error("tls_reports_failed", {{"reason", error.what()}});
    }
    timer_.expires_after(kWriteInterval);
    co_await timer_.async_wait(asio::use_awaitable);
  }
}

void TlsReporter::start(std::function<Identity()> identity, const std::function<Ask(asio::io_context&)>& make_ask,
                        Send send) {
  ask_ = make_ask(loop_);
  asio::co_spawn(loop_, run(std::move(identity), std::move(send)), [](const std::exception_ptr&) {});
  thread_ = std::thread([this] { loop_.run(); });
}

void TlsReporter::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
  try {
    write();
  } catch (const std::exception& error) {
    log_error("tls_reports_failed", {{"reason", error.what()}});
  }
}

}  // namespace postrider
