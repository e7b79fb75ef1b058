// Verifies the chain by which servers that handed a message on say what it was when it came to them (ARC, RFC 8617),
// as DKIM's signatures are verified: first the head, then the keys from DNS, then the body. finish() is work for a
// worker thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dkim_check.h"
#include "common/mailauth/dmarc.h"

namespace postrider::arc {

enum class Verdict { none, pass, fail };  // whatever goes wrong is a failure for good (5.2.1)
std::string_view to_string(Verdict verdict);

/// What one server added, with the instance that is its place in the chain.
struct Set {
  std::string_view results, message, seal;  // the raw fields; empty: there is none
  std::string_view recorded;                // the value of ARC-Authentication-Results after its instance
  std::string domain, selector;             // who sealed
};

class Chain {
 public:
  /// head: the header block as it came, with its empty line; it must outlive this.
  Chain(std::string_view head, UnixTime now);

  /// False: answers are missing. Whoever calls feeds and finishes bodies.
  bool find_keys(DnsLookups& lookups, dkim::BodyHashes& bodies);
  /// Once, when bodies are finished.
  void finish(const dkim::BodyHashes& bodies);

  Verdict verdict() const { return verdict_; }
  const std::string& reason() const { return reason_; }  // of a failure
  /// From the first to the last; all there when the chain passed.
  const std::vector<Set>& sets() const { return sets_; }

 private:
  struct Seal {
    dkim::Signature signature;
    dkim::Key key;
  };
  void gather();
  void put(std::string_view name, std::string_view value, std::string_view raw);
  void check_structure(UnixTime now);
  void check_seal(size_t index, std::string& covered);
  void fail(std::string reason);

  std::string_view head_;
  Verdict verdict_ = Verdict::none;
  std::string reason_;
  std::vector<Set> sets_;
  std::vector<Seal> seals_;
  dkim::Signature message_;  // of the last set, which is the one that has to hold
  dkim::Key message_key_;
  size_t body_ = 0;
};

/// Why a message is to count as its author's though DMARC fails: sealers that are trusted, from the last one back
/// without a gap, and one of them recorded that it passed when it came there. Nothing: none did. trusted: domains.
struct Testimony {
  std::string sealer;   // domain
  std::string comment;  // for reports, as 7.2.2 has it
};
std::optional<Testimony> find_testimony(const Chain& chain, const dmarc::AuthorPolicy& author,
                                        const std::vector<std::string>& trusted);

}  // namespace postrider::arc
