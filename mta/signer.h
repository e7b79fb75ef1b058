// DKIM signatures for mail of our own domains.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dkim_sign.h"
#include "store/dkim_keys.h"
#include "store/message_source.h"

namespace postrider {

struct MessageToSign {
  std::string sender_domain;  // of MAIL FROM, or of the account where that is null
  bool any_author = false;    // the client may write in the name of every domain here: a trusted network
  std::string head;           // the header block as it leaves, without the fields that only trace
  std::shared_ptr<const store::Spool> spool;
  uint64_t body_offset = 0;  // in the spool
};

class Signer {
 public:
  /// state: the state folder; its keys are looked at for every message, so that a new one counts at once.
  Signer(std::string state, const Clock& clock) : keys_(std::move(state)), clock_(clock) {}

  /// The DKIM-Signature fields; empty where the author's domain has no keys here. Signs for the domain in From when it
  /// names one alone, for that of MAIL FROM otherwise. Blocks; from any thread. A failure is logged: the mail goes
  /// unsigned.
  std::string sign(const MessageToSign& message);
  /// sign() would add nothing: less than a second ago the author's domain had no keys. Does not block.
  bool adds_nothing(const MessageToSign& message);
  /// The same for a whole message that this server writes itself. author: the domain of its From; where that has no
  /// keys, as a host's name has none, a domain above it signs, which DMARC takes for the same one.
  std::string sign_own(std::string author, std::string_view message);

 private:
  using Keys = std::shared_ptr<const std::vector<dkim::SigningKey>>;
  Keys keys_of(const std::string& domain);

  struct Loaded {
    int64_t stamp = 0;
    UnixTime until = 0;  // when another key begins
    Keys keys;
    std::chrono::steady_clock::time_point looked;
  };
  static constexpr size_t kMaxLoaded = 10'000;  // domains

  const store::DkimKeys keys_;
  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Loaded> loaded_;
};

}  // namespace postrider
