// Our own MTA-STS policy over HTTPS (RFC 8461 3.2): one small text, for mta-sts.DOMAIN of each of our domains.
#pragma once

#include <asio.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "common/config/config.h"
#include "common/net/connection.h"
#include "common/net/daemon.h"
#include "common/net/worker_pool.h"
#include "store/directory_service.h"

namespace postrider {

class PolicyServer {
 public:
  static constexpr std::chrono::seconds kTimeout{15};  // for all of one connection

  /// Everything must outlive it. timeout: for tests.
  PolicyServer(store::DirectoryService& directory, net::WorkerPool& workers, std::shared_ptr<net::TlsStore> tls,
               std::chrono::milliseconds timeout = kTimeout);
  /// For who comes from now on; from any thread.
  void configure(const Config& config);

  /// One request, one answer, closed.
  asio::awaitable<void> run(std::shared_ptr<net::Connection> connection);

 private:
  asio::awaitable<std::string> answer(net::Connection& connection);

  store::DirectoryService& directory_;
  net::WorkerPool& workers_;
  const std::shared_ptr<net::TlsStore> tls_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::string text_;
};

}  // namespace postrider
