// The MTA-STS policies of other domains (RFC 8461): found by DNS, fetched by HTTPS, kept over restarts for as long as
// they say.
#pragma once

#include <asio.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/mailauth/mta_sts.h"
#include "common/net/worker_pool.h"
#include "store/tls_records.h"

namespace postrider {

/// Why a policy is not to be had: a result type of TLS-RPT (RFC 8460 4.3.2), and a sentence.
struct StsTrouble {
  std::string type, detail;
};
using FetchedPolicy = tl::expected<std::string, StsTrouble>;

class StsPolicies {
 public:
  static constexpr size_t kMaxKept = 10'000;               // in memory
  static constexpr std::chrono::hours kRefresh{24};        // after which a policy that still holds is fetched anew
  static constexpr std::chrono::minutes kAgain{5};         // after a failure (RFC 8461 3.3)
  static constexpr std::chrono::hours kIdleInterval{4};    // between two calls of refresh_idle()
  static constexpr std::chrono::hours kIdleTime{90 * 24};  // without mail, after which a policy may end
  static constexpr size_t kMaxIdle = 500;                  // of one call

  using Ask = std::function<asio::awaitable<DnsAnswer>(std::string name, DnsType type)>;
  /// The text at the domain's policy_url(). Never throws.
  using Fetch = std::function<asio::awaitable<FetchedPolicy>(std::string domain)>;

  /// Everything must outlive it. It belongs to the loop of who calls find().
  StsPolicies(store::TlsRecords& records, net::WorkerPool& workers, const Clock& clock, Ask ask, Fetch fetch);

  struct Found {
    std::shared_ptr<const sts::Policy> policy;  // null: none is known
    std::string text;                           // of the policy
    std::optional<StsTrouble> trouble;          // one is announced, and could not be had now
  };
  /// Waits for DNS and, where the policy is new or old, for the domain's web server. Throws SqliteError.
  asio::awaitable<Found> find(std::string domain);
  /// Fetches anew what is kept of domains that get no mail just now, so that none finds its policy at an end when the
  /// next message comes (RFC 8461 10.2). Waits for the disk: not on the loop of find(), which may have another of these
  /// over the same records. Throws SqliteError.
  asio::awaitable<void> refresh_idle();

 private:
  struct Entry {
    store::KeptPolicy kept;
    std::shared_ptr<const sts::Policy> policy;  // null: none is kept
    UnixTime not_before = 0;                    // of the next fetch
    std::optional<StsTrouble> trouble;          // of the last one
  };
  asio::awaitable<std::shared_ptr<Entry>> load(std::string domain);
  static std::shared_ptr<Entry> entry_of(store::KeptPolicy kept);
  asio::awaitable<void> reload(std::shared_ptr<Entry> entry);
  asio::awaitable<void> refresh(std::shared_ptr<Entry> entry, std::string id, UnixTime used);

  store::TlsRecords& records_;
  net::WorkerPool& workers_;
  const Clock& clock_;
  const Ask ask_;
  const Fetch fetch_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace postrider
