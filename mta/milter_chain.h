// The filters of one session, asked in their order: the first refusal counts, and each sees what those before it have
// changed.
#pragma once

#include <asio.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mta/milter_client.h"

namespace postrider {

class MilterChain {
 public:
  MilterChain(const std::vector<config::MilterTarget>& targets, bool submitted,
              std::shared_ptr<const MilterClient::Surroundings> surroundings);

  bool empty() const { return clients_.empty(); }
  /// What filters are told by name: "i", "{auth_authen}". An empty value is not told.
  void set(const std::string& macro, std::string value) { macros_[macro] = std::move(value); }

  /// Begins a message; one that was begun before and came to nothing ends.
  asio::awaitable<MilterAnswer> mail(MilterClient::Hello hello, std::vector<std::string> strings);
  asio::awaitable<MilterAnswer> rcpt(std::vector<std::string> strings);
  asio::awaitable<void> refused_rcpt(std::vector<std::string> strings);
  asio::awaitable<MilterAnswer> data();
  asio::awaitable<MilterAnswer> unknown(std::string line);
  asio::awaitable<MilterAnswer> message(MilterMessage& message);
  /// At the end of the session.
  void quit();

 private:
  bool ends_here(MilterAnswer& answer);

  std::vector<std::unique_ptr<MilterClient>> clients_;
  milter::Macros macros_;
  bool discards_ = false;  // the message at hand, as a filter said at an earlier step
};

}  // namespace postrider
