// TLS-RPT (RFC 8460), our side: counts by domain and day how hand-overs were protected, and the day after writes to the
// domains that want to know. On a thread of its own, which may wait for the disk.
#pragma once

#include <asio.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dns.h"
#include "store/tls_records.h"

namespace postrider {

/// A report on its way: what it is sent as is its taker's business.
struct OutgoingReport {
  std::string to;      // mailbox
  std::string domain;  // it is about
  std::string id;      // of the report
  std::string subject;
  std::string fields;  // of the header, besides those of every message
  std::string type;    // of the multipart/report: "tlsrpt"
  std::string media;   // of the file: "application/tlsrpt+gzip"
  std::string file;    // its name
  std::string octets;
  std::string text;  // for people
};

class TlsReporter {
 public:
  static constexpr size_t kMaxHeld = 10'000;  // different results in memory; what is beyond is not counted
  static constexpr size_t kMaxRound = 1'000;  // domains that are looked at in one round
  static constexpr std::chrono::minutes kWriteInterval{1};
  static constexpr std::chrono::minutes kSendInterval{30};

  using Ask = std::function<asio::awaitable<DnsAnswer>(std::string name, DnsType type)>;
  /// Puts a report into the queue. False: it could not be now. May wait for the disk.
  using Send = std::function<bool(const OutgoingReport& report)>;
  struct Identity {
    std::string hostname;
    std::string contact;  // mailbox
    bool enabled = true;
  };

  /// Throws SqliteError. The clock must outlive it.
  TlsReporter(const std::string& state, const Clock& clock);
  ~TlsReporter();
  store::TlsRecords& records() { return records_; }

  /// From any thread; costs memory alone.
  void count(TlsResult result);
  /// Writes down what was counted.
  void write();
  /// Reports the days that are over; forgets them. All of it must outlive the call.
  asio::awaitable<void> send_due(const Identity& identity, const Ask& ask, const Send& send);

  /// From now on by itself, every while. make_ask: for the loop that it runs on.
  void start(std::function<Identity()> identity, const std::function<Ask(asio::io_context&)>& make_ask, Send send);
  void stop();

 private:
  using Key = std::tuple<int64_t, std::string, std::string, std::string, std::string, std::string, std::string>;
  asio::awaitable<void> run(std::function<Identity()> identity, Send send);
  asio::awaitable<bool> send_day(const store::TlsRecords::Day& day, const Identity& identity, const Ask& ask,
                                 const Send& send);

  const Clock& clock_;
  store::TlsRecords records_;
  std::mutex mutex_;
  std::map<Key, TlsResult> held_;
  asio::io_context loop_{1};
  asio::steady_timer timer_{loop_};
  Ask ask_;
  std::thread thread_;
};

}  // namespace postrider
