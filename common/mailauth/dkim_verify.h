// Verifies the DKIM signatures of a message (RFC 6376 6, RFC 8301, RFC 8463) without having it whole in memory: first
// the head, then the keys from DNS, then the body in pieces. The body and finish() are work for a worker thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mailauth/dkim_crypto.h"
#include "common/mailauth/dkim_tags.h"
#include "common/mailauth/dns.h"

namespace postrider::dkim {

constexpr size_t kMaxSignatures = 8;  // of a message that are looked at, from the top

/// RFC 8601 2.7.1.
enum class Verdict { none, pass, fail, policy, neutral, temperror, permerror };
std::string_view to_string(Verdict verdict);

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
  ~Verification();
  Verification(Verification&&) noexcept;

  /// False: answers are missing.
  bool find_keys(DnsLookups& lookups);
  /// Whether any signature is still to be decided by the body.
  bool wants_body() const { return !bodies_.empty(); }
  void body(std::string_view piece);
  /// Decides what is left. Once, after all of the body.
  void finish();
  /// In the order of the message; empty where it has no signature.
  const std::vector<SignatureResult>& results() const { return results_; }

 private:
  struct Candidate;
  struct Body;
  void want_body(Candidate& candidate);
  void decide(Candidate& candidate);
  std::string signed_header(const Signature& signature) const;

  std::string_view head_;
  std::vector<SignatureResult> results_;
  std::vector<Candidate> candidates_;  // not decided yet
  std::vector<std::unique_ptr<Body>> bodies_;
};

/// The fields of a header that h= selects, in canonical form: of each name the lowest one that is not taken yet
/// (5.4.2).
std::string select_fields(std::string_view head, const std::vector<std::string>& names, Canon canon);

}  // namespace postrider::dkim
