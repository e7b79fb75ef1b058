// Mail that this server writes itself beside the reports of the queue: put together, signed, handed to the queue.
#pragma once

#include "mta/acceptor.h"
#include "mta/reporter.h"
#include "mta/signer.h"
#include "mta/system_mail.h"
#include "store/directory_service.h"

namespace postrider {

struct OwnMail {
  using Accept = std::function<void(store::QueuedMessage message, std::function<void(Acceptance)> complete)>;
  SystemMail system;
  std::string from;  // as reports.from says
  store::DirectoryService& directory;
  Acceptor& acceptor;
  Accept accept;
  Signer& signer;
  const Clock& clock;

  /// The address that reports come from. Reads the directory.
  std::string sender();
  /// False: not now. A report to nobody counts as sent. Waits for the disk.
  bool send(const OutgoingReport& report);

 private:
  std::vector<store::QueuedRecipient> recipients_of(const std::string& address);
};

}  // namespace postrider
