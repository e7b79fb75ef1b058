// DKIM's tag=value lists (RFC 6376 3.2), and the two things that are written in them: signatures (3.5; ARC's as well,
// RFC 8617 4.1) and keys (3.6.1). DMARC's records are such lists as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dkim_canon.h"

namespace postrider::dkim {

constexpr size_t kMaxTags = 100;            // of a list
constexpr size_t kMaxSignedFields = 1'000;  // names in h=

struct Tag {
  std::string_view name, value;           // without blanks around them
  size_t value_begin = 0, value_end = 0;  // all between "=" and ";", in the text
};

/// The error says what is wrong: no list, or a tag that is there twice.
Result<std::vector<Tag>> parse_tags(std::string_view text);
/// Null: there is none of that name.
const Tag* find_tag(const std::vector<Tag>& tags, std::string_view name);
/// Without any blanks and line ends: base64 and lists may be folded.
std::string without_blanks(std::string_view text);

enum class Algorithm { rsa_sha256, ed25519_sha256 };
std::string_view to_string(Algorithm algorithm);

/// In which field a signature stands: ARC's are DKIM's with an instance; a seal covers fields of ARC alone, no body.
enum class SignatureKind { dkim, arc_message, arc_seal };
constexpr unsigned kMaxInstance = 50;  // of ARC (RFC 8617 4.2.1)

struct Signature {
  Algorithm algorithm = Algorithm::rsa_sha256;
  Canon header = Canon::simple, body = Canon::simple;
  std::string domain, selector;      // d= and s=, as A-labels in lower case
  std::string identity_domain;       // of DKIM's i=; d= otherwise
  unsigned instance = 0;             // ARC's i=
  std::vector<std::string> fields;   // h=, lower case, in its order
  std::string body_hash, signature;  // decoded
  std::optional<uint64_t> length;    // l=
  std::optional<UnixTime> expires;   // x=
  std::string field_without_b;       // the raw field with the value of b= taken out
};

/// raw: the whole field. What can be said of a signature that is wrong is left in signature (domain, selector).
Result<void> parse_signature(std::string_view raw, Signature& signature, SignatureKind kind = SignatureKind::dkim);
/// ARC's i=: 1 to kMaxInstance.
std::optional<unsigned> parse_instance(std::string_view text);

struct KeyRecord {
  Algorithm algorithm = Algorithm::rsa_sha256;  // k=
  std::string key;                              // p= decoded; empty: revoked
  bool testing = false;                         // t=y
  bool strict = false;                          // t=s: i= has no subdomain of d=
};

Result<KeyRecord> parse_key_record(std::string_view text);

}  // namespace postrider::dkim
