#include "mta/milter_chain.h"

namespace postrider {

MilterChain::MilterChain(const std::vector<config::MilterTarget>& targets, bool submitted,
                         std::shared_ptr<const MilterClient::Surroundings> surroundings) {
  for (const config::MilterTarget& target : targets) {
    if (target.wants(submitted)) clients_.push_back(std::make_unique<MilterClient>(target, surroundings));
  }
}

/// Whether nobody else needs to be asked; the answer also says what an earlier step decided.
bool MilterChain::ends_here(MilterAnswer& answer) {
  discards_ = discards_ || answer.discard;
  answer.discard = discards_;
  return answer.refusal || discards_;
}

asio::awaitable<MilterAnswer> MilterChain::mail(MilterClient::Hello hello, std::vector<std::string> strings) {
  discards_ = false;
  MilterAnswer answer;
  for (auto& client : clients_) {
    answer = co_await client->mail(hello, macros_, strings);
    if (ends_here(answer)) break;
  }
  co_return answer;
}

asio::awaitable<MilterAnswer> MilterChain::rcpt(std::vector<std::string> strings) {
  MilterAnswer answer;
  for (auto& client : clients_) {
    if (ends_here(answer)) break;
    answer = co_await client->rcpt(macros_, strings);
  }
  ends_here(answer);
  co_return answer;
}

asio::awaitable<void> MilterChain::refused_rcpt(std::vector<std::string> strings) {
  if (discards_) co_return;
  for (auto& client : clients_) co_await client->refused_rcpt(macros_, strings);
}

asio::awaitable<MilterAnswer> MilterChain::data() {
  MilterAnswer answer;
  for (auto& client : clients_) {
    if (ends_here(answer)) break;
    answer = co_await client->data(macros_);
  }
  ends_here(answer);
  co_return answer;
}

asio::awaitable<MilterAnswer> MilterChain::unknown(std::string line) {
  MilterAnswer answer;
  for (auto& client : clients_) {
    if (answer.refusal) break;
    answer = co_await client->unknown(line);
  }
  co_return answer;
}

asio::awaitable<MilterAnswer> MilterChain::message(MilterMessage& message) {
  MilterAnswer answer;
  for (auto& client : clients_) {
    if (ends_here(answer)) break;
    answer = co_await client->message(macros_, message);
  }
  ends_here(answer);
  co_return answer;
}

void MilterChain::quit() {
  for (auto& client : clients_) client->quit();
}

}  // namespace postrider
