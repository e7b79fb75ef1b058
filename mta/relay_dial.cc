#include "mta/relay_dial.h"

#include <fmt/format.h>

#include <deque>
#include <utility>

namespace postrider {

/// What the dials of one Dialer share. They may outlive it; what they bring then is closed.
struct Dialer::Race {
  explicit Race(const asio::any_io_executor& executor) : wake(executor) {}
  asio::steady_timer wake;  // cancelled when a dial ends
  std::deque<std::pair<RelayAddress, std::shared_ptr<net::Connection>>> arrived;
  RelayAddress winner;
  bool over = false;
  size_t running = 0;
  std::string error;
};

Dialer::Dialer(std::vector<RelayAddress> addresses, std::chrono::milliseconds timeout)
    : addresses_(std::move(addresses)), timeout_(timeout) {}

Dialer::~Dialer() {
  if (race_ == nullptr) return;
  race_->over = true;
  for (auto& [address, connection] : race_->arrived) connection->close();
}

const RelayAddress& Dialer::address() const {
  return race_->winner;
}
const std::string& Dialer::error() const {
  return race_->error;
}

asio::awaitable<void> Dialer::run(std::shared_ptr<Race> race, RelayAddress address, std::chrono::milliseconds timeout) {
  try {
    auto connection = co_await net::connect(address.endpoint, timeout);
    if (race->over) {
      connection->close();
    } else {
      race->arrived.emplace_back(std::move(address), std::move(connection));
    }
  } catch (const std::exception& error) {
    race->error = fmt::format("{}: {}", to_string(address), error.what());
  }
  --race->running;
  race->wake.cancel();
}

asio::awaitable<std::shared_ptr<net::Connection>> Dialer::next() {
  auto executor = co_await asio::this_coro::executor;
  if (race_ == nullptr) race_ = std::make_shared<Race>(executor);
  auto race = race_;
  while (race->arrived.empty()) {
    if (dialled_ < addresses_.size()) {
      ++race->running;
      asio::co_spawn(executor, run(race, addresses_[dialled_++], timeout_), [](const std::exception_ptr& trouble) {
        if (trouble) std::rethrow_exception(trouble);
      });
      race->wake.expires_after(kHeadStart);
    } else if (race->running == 0) {
      co_return nullptr;
    } else {
      race->wake.expires_at(std::chrono::steady_clock::time_point::max());
    }
    std::error_code ignored;
    co_await race->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  auto [address, connection] = std::move(race->arrived.front());
  race->arrived.pop_front();
  race->winner = std::move(address);
  co_return connection;
}

std::string to_string(const RelayAddress& address) {
  if (address.endpoint.address().is_unspecified()) return address.host;  // a Unix socket
  return fmt::format("{} [{}]", address.host, address.endpoint.address().to_string());
}

}  // namespace postrider
