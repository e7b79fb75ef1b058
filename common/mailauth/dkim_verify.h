// Verifies the DKIM signatures of a message (RFC 6376 6, RFC 8301, RFC 8463) without having it whole in memory: first
// the head, then the keys from DNS, then the body in pieces. The body and finish() are work for a worker thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dkim_check.h"

namespace postrider::dkim {

constexpr size_t kMaxSignatures = 8;  // of a message that are looked at, from the top

struct SignatureResult {
  Verdict verdict = Verdict::neutral;
  std::string domain, selector;  // as far as they could be read
  std::string algorithm;         // "rsa-sha256"; empty: not understood
  std::string mark;              // the first octets of b=, to tell signatures apart (RFC 6008)
  std::string reason;            // unless it passed
  bool testing = false;          // the domain says that it is trying things out
};

class Verification {
 public:
  /// head: the header block as it came, with its empty line; it must outlive this.
  Verification(std::string_view head, UnixTime now);

  /// False: answers are missing. Whoever calls feeds and finishes bodies.
  bool find_keys(DnsLookups& lookups, BodyHashes& bodies);
  /// Decides what is left. Once, when bodies are finished.
  void finish(const BodyHashes& bodies);
  /// In the order of the message; empty where it has no signature.
  const std::vector<SignatureResult>& results() const { return results_; }

 private:
  /// A signature that is well-formed.
  struct Candidate {
    size_t result = 0;  // in results_
    Signature signature;
    Key key;
    size_t body = 0;
  };
  void judge(const Candidate& candidate, Finding finding);

  std::string_view head_;
  std::vector<SignatureResult> results_;
  std::vector<Candidate> candidates_;  // not decided yet
};

}  // namespace postrider::dkim
