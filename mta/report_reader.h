// Reports of other servers about our domains (TLS-RPT, RFC 8460 5.3; DMARC, RFC 7489 7.2), read while they pass into
// the mailbox.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/net/worker_pool.h"
#include "store/directory_service.h"
#include "store/message_source.h"
#include "store/tls_records.h"

namespace postrider {

class ReportReader {
 public:
  static constexpr uint64_t kMaxMessage = 2 << 20;  // octets; larger ones lie in the mailbox and are not read

  /// All must outlive it.
  ReportReader(store::TlsRecords& records, store::DirectoryService& directory, net::WorkerPool& workers,
               const Clock& clock)
      : records_(records), directory_(directory), workers_(workers), clock_(clock) {}

  /// Whether the header is that of a report: the field of TLS-RPT, or the Subject of both.
  static bool is_report(std::string_view head);
  /// Reads it on a worker thread; nobody waits. What cannot be read is logged.
  void take(std::shared_ptr<const store::Spool> message);
  /// The same at once. The error says what is wrong with the report.
  Result<ReceivedReport> read(const store::Spool& message);

 private:
  store::TlsRecords& records_;
  store::DirectoryService& directory_;
  net::WorkerPool& workers_;
  const Clock& clock_;
};

}  // namespace postrider
