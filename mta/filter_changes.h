// What filters changed about a message and its envelope, the same for mail of sessions and of programs of this machine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mta/milter_client.h"
#include "store/queue.h"

namespace postrider {

struct Config;

/// What a filter goes by, as the configuration has it; without dns, workers and spool folder, which are the caller's.
MilterClient::Surroundings filter_surroundings(const Config& config);

/// What is to be known of a message that filters have seen.
struct FilterNotes {
  bool junk = false;
  std::string held;    // why it waits for the administrator; empty: it does not
  std::string checks;  // for the log and the ledger
};
FilterNotes notes_of(const MilterMessage& changed);

/// Another sender, where a filter said one that can be. False: it said one that cannot.
bool change_sender(const MilterMessage& changed, std::string& reverse_path);

/// Takes out the recipients that were given as one of these addresses; gone hears of each.
void remove_recipients(std::vector<store::QueuedRecipient>& recipients, const std::vector<std::string>& removed,
                       const std::function<void(const store::QueuedRecipient&)>& gone);

/// Whoever gets a message that a filter threw away or holds back. held: why; empty: it is not held.
void mark_recipients(std::vector<store::QueuedRecipient>& recipients, bool discarded, const std::string& held);

}  // namespace postrider
