// The parts of checking a signature that DKIM and ARC share: its key out of DNS, the hash of the body, and whether
// they fit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mailauth/dkim_crypto.h"
#include "common/mailauth/dkim_tags.h"
#include "common/mailauth/dns.h"

namespace postrider::dkim {

/// RFC 8601 2.7.1.
enum class Verdict { none, pass, fail, policy, neutral, temperror, permerror };
std::string_view to_string(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::neutral;
  std::string reason;  // unless it passed
};

struct FoundKey {
  Key key;               // null: wrong says why
  Finding wrong;         // permerror or temperror
  bool testing = false;  // t=y
};
/// The key that a signature names. Nothing: the answer is missing.
std::optional<FoundKey> find_key(const Signature& signature, DnsLookups& lookups);

/// Whether DNS has the record of a key, "v=DKIM1; k=rsa; p=...", and no other under its name.
enum class Published { yes, no, other, unknown };
Published is_published(const std::string& record, const DnsAnswer& answer);

/// The hashes of one body, each made once, however many signatures want it.
class BodyHashes {
 public:
  BodyHashes();
  ~BodyHashes();
  BodyHashes(BodyHashes&&) noexcept;

  /// Before the body. length: octets that are hashed. Which one it is.
  size_t want(Canon canon, std::optional<uint64_t> length);
  bool empty() const { return hashes_.empty(); }
  void feed(std::string_view piece);
  /// Once, after all of the body.
  void finish();
  const std::string& digest(size_t which) const;
  /// Of the whole canonical body, in octets.
  uint64_t size(size_t which) const;

 private:
  struct Hash;
  std::vector<std::unique_ptr<Hash>> hashes_;
};

/// When the body is finished. head: the header block. body: what want() gave for the signature.
Finding check_signature(const Signature& signature, const Key& key, std::string_view head, const BodyHashes& bodies,
                        size_t body);

/// The fields of a header that h= selects, in canonical form: of each name the lowest one that is not taken yet
/// (5.4.2).
std::string select_fields(std::string_view head, const std::vector<std::string>& names, Canon canon);

}  // namespace postrider::dkim
