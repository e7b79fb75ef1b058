// From outcomes to what the queue has to write: which recipients end, which wait until when, and which reports are
// sent.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "mta/bounce.h"
#include "mta/outcome.h"
#include "mta/signer.h"
#include "mta/system_mail.h"
#include "store/directory_service.h"
#include "store/queue.h"

namespace postrider {

/// Committed as one: a recipient does not end without the report that tells of it.
struct Settlement {
  std::vector<store::RecipientUpdate> updates;
  std::vector<store::QueuedMessage> reports;

  void append(Settlement&& other);
  bool empty() const { return updates.empty() && reports.empty(); }
};

/// What spreads retries of that recipient; see decide().
using Spread = std::function<uint64_t(const store::QueuedMessage& message, const store::QueuedRecipient& recipient)>;

struct Attempted {
  const store::QueuedRecipient* recipient = nullptr;  // of the message
  Outcome outcome;
};

class Settler {
 public:
  struct Options {
    SystemMail system;            // who reports (its hostname), and where reports to users of this machine go
    std::string spool_directory;  // for reports, which in fact stay in memory
    Schedule schedule;
    Signer* signer = nullptr;  // of reports; null: they go unsigned
    Spread spread;             // empty: chance
  };

  /// next_id: ids for reports; from any thread.
  Settler(Options options, store::DirectoryService& directory, const Clock& clock,
          std::function<store::QueueId()> next_id);

  /// For what is settled from now on.
  void configure(Options options);
  Schedule schedule() const { return current()->schedule; }

  /// Adds what follows from the outcomes of some recipients of one message. Reads the directory, so it is for worker
  /// threads; from any of them. What cannot be settled now waits in the queue: nothing ends without being told.
  void settle(const store::QueuedMessage& message, std::span<const Attempted> attempted, Settlement& settlement);

  /// The reports that tell of message.expanded (RFC 3461 5.2.7): to be committed with the message. Reads the directory.
  std::vector<store::QueuedMessage> tell_expanded(const store::QueuedMessage& message);

 private:
  struct Told {
    Attempted attempted;
    bool expired = false;
    store::RecipientUpdate* update = nullptr;  // learns which report tells of it
  };
  std::shared_ptr<const Options> current() const;
  void report(const store::QueuedMessage& message, ReportAction action, std::span<const Told> told,
              Settlement& settlement);
  store::QueueId send(const store::QueuedMessage& original, Report report, store::MailKind kind, const Options& options,
                      Settlement& settlement);
  std::vector<store::QueuedRecipient> recipients_of(const std::string& address, const Options& options);

  mutable std::mutex mutex_;
  std::shared_ptr<const Options> options_;
  store::DirectoryService& directory_;
  const Clock& clock_;
  const std::function<store::QueueId()> next_id_;
};

}  // namespace postrider
