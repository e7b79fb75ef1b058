// What is found out about mail from other servers when its last octet has come, and what follows from it: SPF, DKIM,
// ARC, DMARC, and the Authentication-Results field that says so.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/mailauth/auth_results.h"
#include "common/net/worker_pool.h"
#include "common/smtp/reply.h"
#include "mta/check_dns.h"
#include "store/message_source.h"

namespace postrider {

class DmarcReporter;
struct Examination;

struct CheckedMessage {
  std::string client;  // IP address as text
  std::string helo;
  std::string sender;      // MAIL FROM's address without brackets; empty: null
  std::string head;        // the header block as it came
  bool head_whole = true;  // it was not too large to be kept
  std::shared_ptr<const store::Spool> spool;
  uint64_t body_offset = 0;                 // in the spool
  std::vector<std::string> client_results;  // see ClientFacts
  bool is_report = false;                   // nobody is told of mail that tells somebody: that would go on for ever
};

struct CheckOutcome {
  std::string fields;  // to be put on top of the message
  std::optional<smtp::Reply> refusal;
  bool junk = false;    // the domain in From asks for it (p=quarantine)
  std::string summary;  // for the log: "spf=pass dkim=none dmarc=pass"
};

class InboundChecks {
 public:
  /// Both must outlive it.
  InboundChecks(CheckDns& dns, net::WorkerPool& workers, const Clock& clock);

  /// From any loop. Takes no longer than checks.timeout and the hashing of the body. Never fails: what could not be
  /// found out is temperror.
  asio::awaitable<CheckOutcome> check(std::shared_ptr<const CheckedMessage> message,
                                      std::shared_ptr<const Config> config);
  /// Before the first check: who counts what DMARC came to. It must outlive this.
  void count_with(DmarcReporter* reporter) { reporter_ = reporter; }

 private:
  void count(const Examination& examination, const CheckedMessage& message, const CheckOutcome& outcome) const;

  CheckDns& dns_;
  net::WorkerPool& workers_;
  const Clock& clock_;
  DmarcReporter* reporter_ = nullptr;
};

}  // namespace postrider
