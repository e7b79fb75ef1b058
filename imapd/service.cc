#include "imapd/service.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/base/log.h"
#include "imapd/session.h"
#include "store/sqlite.h"

namespace postrider::imap {
namespace {

constexpr size_t kHashingThreads = 2;

std::vector<asio::io_context*> loops_of(net::Server& server) {
  std::vector<asio::io_context*> loops;
  for (size_t i = 0; i < server.loops(); ++i) loops.push_back(&server.loop(i));
  return loops;
}

/// For both daemons, which may be two users of one group.
std::string make_shared_folder(const std::string& path) {
  if (std::filesystem::create_directories(path)) ::chmod(path.c_str(), 02770);
  return path;
}

store::GuardPolicy guard_policy(const Config& config) {
  const Config::Login& login = config.login;
  return {login.max_failures, login.max_failures_per_account, login.failure_window, login.ban};
}

}  // namespace

std::string hint_socket(const Config& config) {
  return config.in_state("run/imapd.sock");
}

ImapService::ImapService(const Config& config, net::Server& server, std::shared_ptr<net::TlsStore> tls,
                         const Clock& clock)
    : server_(server),
      config_(config),
      accounts_(config.server.state, config.store.kept_handles, clock),
      directory_(config.server.state, clock),
      guard_(config.server.state, clock),
      fakes_(directory_.with([](store::Directory& directory) { return directory.decoy_key(); })),
      indexer_(accounts_, [this] { return config_.get()->store.search_index == "on"; }, {}),
      registry_(loops_of(server), [this](store::AccountId account) { indexer_.changed(account); }),
      workers_(config.server.workers),
      hashing_(kHashingThreads),
      services_{config_,   clock,
                workers_,  hashing_,
                accounts_, directory_,
                logins_,   verified_,
                fakes_,    std::move(tls),
                registry_, recents_,
                guard_,    make_shared_folder(config.in_state("spool"))} {
  make_shared_folder(config.in_state("run"));
  accounts_.limit_messages(config.store.max_messages);
  guard_.set_policy(guard_policy(config));
}

ImapService::~ImapService() {
  // Jobs of sessions that were cut use all the rest.
  workers_.end();
  hashing_.end();
}

asio::awaitable<void> ImapService::run(std::shared_ptr<net::Connection> connection, size_t loop, bool implicit_tls) {
  Session session(services_, std::move(connection), loop);
  co_await session.run(implicit_tls);
}

Result<uint16_t> listen(net::Server& server, const std::unique_ptr<ImapService>& service, const std::string& address,
                        uint16_t port, bool implicit_tls) {
  auto session = [&service, implicit_tls](std::shared_ptr<net::Connection> connection, size_t loop) {
    return service->run(std::move(connection), loop, implicit_tls);
  };
  net::Server::Refusal refusal;
  if (!implicit_tls) refusal = [](const std::string& reason) { return fmt::format("* BYE [LIMIT] {}\r\n", reason); };
  return server.listen({implicit_tls ? "imaps" : "imap", address, port}, session, refusal);
}

void ImapService::set_config(Config config) {
  guard_.set_policy(guard_policy(config));
  accounts_.limit_messages(config.store.max_messages);
  config_.set(std::move(config));
  logins_.clear();
}

void ImapService::start() {
  auto received = [this](const net::Hint& hint) { registry_.changed(hint.account, 0); };
  hints_ = std::make_unique<net::HintReceiver>(server_.loop(0), hint_socket(*config_.get()), received);
  watches_.resize(server_.loops());
  for (size_t loop = 0; loop < server_.loops(); ++loop) {
    watches_[loop].timer = std::make_unique<asio::steady_timer>(server_.loop(loop));
    watch_idlers(loop);
  }
}

/// The safety net under the hints: a modseq that moved without a word wakes the account's sessions.
void ImapService::watch_idlers(size_t loop) {
  asio::steady_timer& timer = *watches_[loop].timer;
  timer.expires_after(kCheckEvery);
  timer.async_wait([this, loop](const asio::error_code& error) {
    if (error || server_.stopping()) return;
    check_idlers(loop);
    watch_idlers(loop);
  });
}

void ImapService::check_idlers(size_t loop) {
  std::vector<store::AccountId> accounts = registry_.idling_accounts(loop);
  if (accounts.empty()) return;
  std::sort(accounts.begin(), accounts.end());
  Watch& watch = watches_[loop];
  // An account may have been closed: its sessions look.
  if (std::exchange(watch.directory_version, directory_.version()) != directory_.version()) {
    for (store::AccountId account : accounts) registry_.changed(account, loop);
  }
  std::vector<store::AccountId> round;
  for (size_t i = 0; i < std::min(accounts.size(), kMaxChecked); ++i)
    round.push_back(accounts[watch.turn++ % accounts.size()]);
  auto job = [this, loop, round = std::move(round)] {
    std::vector<std::pair<store::AccountId, store::ModSeq>> found;
    for (store::AccountId id : round) {
      try {
        found.emplace_back(id, accounts_.open(id)->modseq());
      } catch (const store::SqliteError& error) {
        log_warn("account_not_checked", {{"account", id}, {"error", error.what()}});
      }
    }
    asio::post(server_.loop(loop), [this, loop, found = std::move(found)] {
      for (const auto& [id, modseq] : found) {
        // The first look at an account always wakes: what its sessions have missed before is not known here.
        auto seen = watches_[loop].seen.try_emplace(id, 0).first;
        if (std::exchange(seen->second, modseq) != modseq) registry_.changed(id, loop);
      }
      if (watches_[loop].seen.size() > 100 * kMaxChecked) watches_[loop].seen.clear();
    });
  };
  workers_.post(job);
}

}  // namespace postrider::imap
