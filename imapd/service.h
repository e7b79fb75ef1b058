// The IMAP daemon without its process: the sessions' surroundings and what listens. Tests run it on any port.
#pragma once

#include <asio.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/net/hint.h"
#include "common/net/server.h"
#include "imapd/indexer.h"
#include "imapd/services.h"

namespace postrider::imap {

class ImapService;

/// Binds a port, before there is a service (ports are bound as root, the store is opened by the user that serves it);
/// service is looked at when sessions come. Gives the port; 0 asks for any.
Result<uint16_t> listen(net::Server& server, const std::unique_ptr<ImapService>& service, const std::string& address,
                        uint16_t port, bool implicit_tls);

/// Where mta tells of deliveries: a socket in the state folder.
std::string hint_socket(const Config& config);

class ImapService {
 public:
  /// Opens the state folder's directory. tls: null for none. Throws SqliteError and std::system_error.
  ImapService(const Config& config, net::Server& server, std::shared_ptr<net::TlsStore> tls, const Clock& clock);
  /// After the server has run to its end.
  ~ImapService();

  /// One session, to its end.
  asio::awaitable<void> run(std::shared_ptr<net::Connection> connection, size_t loop, bool implicit_tls);
  /// Receives hints and looks after idling accounts from now on; before the server runs.
  void start();
  void set_config(Config config);
  Services& services() { return services_; }

 private:
  void watch_idlers(size_t loop);
  void check_idlers(size_t loop);

  static constexpr std::chrono::seconds kCheckEvery{5};
  static constexpr size_t kMaxChecked = 500;  // accounts in one round of one loop
  struct Watch {
    std::unique_ptr<asio::steady_timer> timer;
    std::unordered_map<store::AccountId, store::ModSeq> seen;
    size_t turn = 0;
    uint64_t directory_version = 0;
  };

  net::Server& server_;
  CurrentConfig config_;
  store::Accounts accounts_;
  store::DirectoryService directory_;
  store::LoginGuard guard_;
  LoginCache logins_;
  sasl::VerifiedCache verified_;
  sasl::FakeRecords fakes_;
  Indexer indexer_;
  Registry registry_;
  Recents recents_;
  net::WorkerPool workers_, hashing_;
  Services services_;
  std::unique_ptr<net::HintReceiver> hints_;
  std::vector<Watch> watches_;
};

}  // namespace postrider::imap
