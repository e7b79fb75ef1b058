#include "common/mailauth/dkim_tags.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/base/number.h"
#include "common/mail/address.h"
#include "common/mailauth/dns.h"

namespace postrider::dkim {
namespace {

constexpr size_t kSha256 = 32;  // octets

bool is_tag_name(std::string_view name) {
  return !name.empty() && is_alpha(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '_'; });
}

/// The elements of a list that colons part, without blanks.
std::vector<std::string> split_colons(std::string_view value) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t colon = value.find(':');
    parts.emplace_back(trim(value.substr(0, colon)));
    if (colon == std::string_view::npos || parts.size() > kMaxSignedFields) return parts;
    value.remove_prefix(colon + 1);
  }
}

bool lists(std::string_view value, std::string_view wanted) {
  const auto parts = split_colons(value);
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return iequals(part, wanted); });
}

std::optional<Canon> parse_canon(std::string_view text) {
  if (iequals(text, "simple")) return Canon::simple;
  if (iequals(text, "relaxed")) return Canon::relaxed;
  return std::nullopt;
}

bool parse_canons(std::string_view text, Signature& signature) {
  const size_t slash = text.find('/');
  const auto header = parse_canon(text.substr(0, slash));
  const auto body = slash == std::string_view::npos ? Canon::simple : parse_canon(text.substr(slash + 1));
  if (!header || !body) return false;
  signature.header = *header;
  signature.body = *body;
  return true;
}

std::string_view value_of(const std::vector<Tag>& tags, std::string_view name) {
  const Tag* tag = find_tag(tags, name);
  return tag == nullptr ? std::string_view() : tag->value;
}

Result<void> parse_algorithm(std::string_view text, Signature& signature) {
  if (iequals(text, "rsa-sha256")) {
    signature.algorithm = Algorithm::rsa_sha256;
  } else if (iequals(text, "ed25519-sha256")) {
    signature.algorithm = Algorithm::ed25519_sha256;
  } else if (iequals(text, "rsa-sha1")) {
    return failure("rsa-sha1 is not secure");  // RFC 8301 3.1
  } else {
    return failure("unknown algorithm");
  }
  return {};
}

/// d=, s= and i=: who signed, and of ARC which set it belongs to.
Result<void> parse_signer(const std::vector<Tag>& tags, SignatureKind kind, Signature& signature) {
  auto domain = normalize_domain(value_of(tags, "d"));
  if (!domain || domain->front() == '[') return failure("d= is no domain");
  signature.domain = std::move(*domain);
  signature.selector = lower(value_of(tags, "s"));
  if (!is_askable(signature.selector + "._domainkey." + signature.domain)) return failure("s= is no selector");
  signature.identity_domain = signature.domain;
  if (kind != SignatureKind::dkim) {
    const auto instance = parse_instance(value_of(tags, "i"));
    if (!instance) return failure("i= is no instance");
    signature.instance = *instance;
    return {};
  }
  if (const Tag* identity = find_tag(tags, "i")) {
    const std::string text = without_blanks(identity->value);
    const size_t at = text.rfind('@');
    auto below = normalize_domain(std::string_view(text).substr(at == std::string::npos ? text.size() : at + 1));
    if (!below || (*below != signature.domain && !below->ends_with("." + signature.domain))) {
      return failure("i= is not below d=");
    }
    signature.identity_domain = std::move(*below);
  }
  return {};
}

Result<void> parse_times(const std::vector<Tag>& tags, Signature& signature) {
  std::optional<uint64_t> made;
  if (const Tag* tag = find_tag(tags, "t")) {
    made = parse_number(tag->value);
    if (!made) return failure("t= is no time");
  }
  if (const Tag* tag = find_tag(tags, "x")) {
    const auto expires = parse_number(tag->value);
    if (!expires || *expires > INT64_MAX) return failure("x= is no time");
    if (made && *expires <= *made) return failure("x= is before t=");
    signature.expires = static_cast<UnixTime>(*expires);
  }
  if (const Tag* tag = find_tag(tags, "l")) {
    signature.length = parse_number(tag->value);
    if (!signature.length) return failure("l= is no number");
  }
  return {};
}

Result<void> parse_fields(std::string_view value, Signature& signature) {
  for (const std::string& name : split_colons(value)) signature.fields.push_back(lower(name));
  if (signature.fields.size() > kMaxSignedFields) return failure("h= has too many names");
  if (std::find(signature.fields.begin(), signature.fields.end(), "from") == signature.fields.end()) {
    return failure("From is not signed");
  }
  return {};
}

}  // namespace

std::string_view to_string(Algorithm algorithm) {
  return algorithm == Algorithm::rsa_sha256 ? "rsa-sha256" : "ed25519-sha256";
}

std::string without_blanks(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (!is_wsp(c) && c != '\r' && c != '\n') out += c;
  }
  return out;
}

Result<std::vector<Tag>> parse_tags(std::string_view text) {
  std::vector<Tag> tags;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    const std::string_view spec = text.substr(begin, end - begin);
    const size_t equals = spec.find('=');
    if (equals == std::string_view::npos) {
      if (!trim(spec).empty() || end < text.size()) return failure("it is no list of tags");
      break;
    }
    Tag tag{trim(spec.substr(0, equals)), trim(spec.substr(equals + 1)), begin + equals + 1, end};
    if (!is_tag_name(tag.name)) return failure("a tag has no name");
    if (find_tag(tags, tag.name) != nullptr) return failure(fmt::format("{}= is there twice", tag.name));
    if (tags.size() == kMaxTags) return failure("it has too many tags");
    tags.push_back(tag);
    begin = end + 1;
  }
  return tags;
}

const Tag* find_tag(const std::vector<Tag>& tags, std::string_view name) {
  const auto found = std::find_if(tags.begin(), tags.end(), [&](const Tag& tag) { return tag.name == name; });
  return found == tags.end() ? nullptr : &*found;
}

std::optional<unsigned> parse_instance(std::string_view text) {
  const auto number = text.size() > 2 ? std::nullopt : parse_number<unsigned>(text);
  return number && *number >= 1 && *number <= kMaxInstance ? number : std::nullopt;
}

Result<void> parse_signature(std::string_view raw, Signature& signature, SignatureKind kind) {
  const bool seal = kind == SignatureKind::arc_seal;
  const size_t value = std::min(raw.find(':') + 1, raw.size());
  const auto tags = parse_tags(raw.substr(value));
  if (!tags) return tl::unexpected(tags.error());
  if (auto signer = parse_signer(*tags, kind, signature); !signer) return signer;
  if (kind == SignatureKind::dkim && value_of(*tags, "v") != "1") return failure("the version is not 1");
  for (const char* name : {"a", "b", "d", "s", "bh", "h"}) {
    const bool covers_more = name == std::string_view("bh") || name == std::string_view("h");
    const bool there = find_tag(*tags, name) != nullptr;
    if (!there && !(seal && covers_more)) return failure(fmt::format("{}= is missing", name));
    if (there && seal && covers_more) return failure(fmt::format("{}= has no place in a seal", name));
  }
  if (auto algorithm = parse_algorithm(value_of(*tags, "a"), signature); !algorithm) return algorithm;
  if (seal) {
    signature.header = Canon::relaxed;
  } else if (const Tag* canons = find_tag(*tags, "c"); canons != nullptr && !parse_canons(canons->value, signature)) {
    return failure("c= is not understood");
  }
  if (const Tag* query = find_tag(*tags, "q"); query != nullptr && !lists(query->value, "dns/txt")) {
    return failure("q= is not understood");
  }
  if (auto times = parse_times(*tags, signature); !times) return times;
  if (!seal) {
    if (auto fields = parse_fields(value_of(*tags, "h"), signature); !fields) return fields;
    auto hash = base64_decode(without_blanks(value_of(*tags, "bh")));
    if (!hash || hash->size() != kSha256) return failure("bh= is no hash");
    signature.body_hash = std::move(*hash);
  }
  auto octets = base64_decode(without_blanks(value_of(*tags, "b")));
  if (!octets || octets->empty()) return failure("b= is no signature");
  signature.signature = std::move(*octets);
  const Tag* own = find_tag(*tags, "b");
  signature.field_without_b = std::string(raw.substr(0, value + own->value_begin));
  signature.field_without_b += raw.substr(value + own->value_end);
  return {};
}

Result<KeyRecord> parse_key_record(std::string_view text) {
  const auto tags = parse_tags(text);
  if (!tags) return tl::unexpected(tags.error());
  if (const Tag* version = find_tag(*tags, "v");
      version != nullptr && (version != tags->data() || version->value != "DKIM1")) {
    return failure("the key record has another version");
  }
  KeyRecord record;
  const std::string_view type = value_of(*tags, "k");
  if (iequals(type, "ed25519")) {
    record.algorithm = Algorithm::ed25519_sha256;
  } else if (!type.empty() && !iequals(type, "rsa")) {
    return failure("the key is of an unknown kind");
  }
  if (const Tag* hashes = find_tag(*tags, "h"); hashes != nullptr && !lists(hashes->value, "sha256")) {
    return failure("the key is not for sha256");
  }
  if (const Tag* services = find_tag(*tags, "s");
      services != nullptr && !lists(services->value, "*") && !lists(services->value, "email")) {
    return failure("the key is not for mail");
  }
  record.testing = lists(value_of(*tags, "t"), "y");
  record.strict = lists(value_of(*tags, "t"), "s");
  const Tag* key = find_tag(*tags, "p");
  if (key == nullptr) return failure("the key record has no key");
  auto decoded = base64_decode(without_blanks(key->value));
  if (!decoded) return failure("the key is not base64");
  record.key = std::move(*decoded);
  return record;
}

}  // namespace postrider::dkim
