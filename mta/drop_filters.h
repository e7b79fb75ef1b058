// Filters for mail that programs of this machine leave: the chain that an SMTP session has, run to its end by the
// thread that asks.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "mta/milter_chain.h"
#include "store/queue.h"

namespace postrider {

/// What a reload may change.
struct DropFilterSettings {
  std::vector<config::MilterTarget> targets;
  MilterClient::Surroundings surroundings;  // without workers
};

class DropFilters {
 public:
  /// What they say of a message as a whole.
  struct Verdict {
    bool later = false;    // nothing was changed; to be asked again
    bool discard = false;  // taken, and thrown away
  };

  DropFilters() = default;
  DropFilters(const DropFilters&) = delete;
  DropFilters& operator=(const DropFilters&) = delete;

  /// Blocks. The client is this machine, the sender and the recipients are the envelope's. Recipients that are refused,
  /// all where the message is, are to bounce with the filter's words. What filters change is in shown.
  Verdict ask(const DropFilterSettings& settings, const std::string& hostname, store::QueuedMessage& message,
              MilterMessage& shown);
  /// From another thread: who is asking, or asks from now on, is told to come later.
  void stop();

 private:
  struct Question;
  static asio::awaitable<void> run(std::shared_ptr<Question> question);

  asio::io_context loop_{1};
  std::atomic<bool> stopped_ = false;
  net::WorkerPool workers_{1};  // goes first: what it does ends on the loop
};

}  // namespace postrider
