// Mail that comes to an address of ours and leaves for one elsewhere: in whose name it leaves, how a report about it
// comes back, and how a circle ends.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mail/address.h"
#include "common/mailauth/srs.h"
#include "store/directory_service.h"
#include "store/queue.h"
#include "store/srs_keys.h"

namespace postrider {

/// Whether the recipient was an address of ours that an alias led elsewhere from.
bool is_forwarded(const store::QueuedRecipient& recipient);

/// RFC 9228: a message that names a recipient in Delivered-To was forwarded by it before. Those who would forward it
/// once more are to bounce instead (their wish and last_reply are set); gives how many. Who gets it in a mailbox gets
/// it: that is an end.
size_t stop_circles(std::string_view head, std::span<store::QueuedRecipient> recipients);

/// How a copy leaves; recipients with the same go in one transaction.
struct Departure {
  std::string reverse_path;  // for MAIL
  std::string forwarder;     // the address of ours that forwards it, for Delivered-To; empty: nobody does
  bool operator==(const Departure&) const = default;
};

class Forwarding {
 public:
  struct Options {
    std::string hostname;
    bool rewrites = true;  // forward.srs
  };

  /// state: the state folder, where the keys are made. The directory and the clock must outlive it. Throws
  /// std::system_error.
  Forwarding(const std::string& state, store::DirectoryService& directory, const Clock& clock);

  /// For what leaves from now on. From any thread.
  void configure(Options options);

  /// How a message leaves for one recipient. A sender elsewhere becomes an address of ours, as only that one passes
  /// SPF from here; a sender of ours is one already, and a report has none. Reads the directory where is_forwarded():
  /// for worker threads, from any of them.
  Departure departure(const store::QueuedMessage& message, const store::QueuedRecipient& recipient);

  /// Who mail to an address of that form is for; the error is nothing where it is an ordinary address. Reads a file
  /// once a day: for worker threads, from any of them.
  tl::expected<Address, srs::Fault> restore(const Address& address);

 private:
  std::shared_ptr<const std::vector<std::string>> keys();

  store::DirectoryService& directory_;
  const Clock& clock_;
  const store::SrsKeys file_;
  std::mutex mutex_;
  Options options_;
  std::shared_ptr<const std::vector<std::string>> keys_;
  UnixTime loaded_ = 0;
};

}  // namespace postrider
