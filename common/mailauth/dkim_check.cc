#include "common/mailauth/dkim_check.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"

namespace postrider::dkim {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "none";
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      return "fail";
    case Verdict::policy:
      return "policy";
    case Verdict::neutral:
      return "neutral";
    case Verdict::temperror:
      return "temperror";
    case Verdict::permerror:
      break;
  }
  return "permerror";
}

std::optional<FoundKey> find_key(const Signature& signature, DnsLookups& lookups) {
  const DnsAnswer* answer = lookups.find(signature.selector + "._domainkey." + signature.domain, DnsType::txt);
  if (answer == nullptr) return std::nullopt;
  FoundKey found;
  found.wrong.verdict = Verdict::permerror;
  if (answer->status == DnsAnswer::Status::failed) {
    found.wrong = {Verdict::temperror, "DNS does not answer for the key"};
    return found;
  }
  if (answer->records.empty()) {
    found.wrong.reason = "there is no such key";
    return found;
  }
  const auto record = parse_key_record(parse_txt(answer->records.front()));
  if (!record) {
    found.wrong.reason = record.error().message;
    return found;
  }
  found.testing = record->testing;
  if (record->key.empty()) {
    found.wrong.reason = "the key was revoked";
  } else if (record->algorithm != signature.algorithm) {
    found.wrong.reason = "the key is of another kind than the signature";
  } else if (record->strict && signature.identity_domain != signature.domain) {
    found.wrong.reason = "the key is not for subdomains";
  } else if (auto key = load_public_key(*record); !key) {
    found.wrong.reason = key.error().message;
  } else {
    found.key = std::move(*key);
  }
  return found;
}

Published is_published(const std::string& record, const DnsAnswer& answer) {
  if (answer.status == DnsAnswer::Status::failed) return Published::unknown;
  if (answer.records.empty()) return Published::no;
  const auto ours = parse_key_record(record);
  const auto theirs = parse_key_record(parse_txt(answer.records.front()));
  const bool same =
      answer.records.size() == 1 && ours && theirs && theirs->key == ours->key && theirs->algorithm == ours->algorithm;
  return same ? Published::yes : Published::other;
}

struct BodyHashes::Hash {
  Hash(Canon body_canon, std::optional<uint64_t> body_length)
      : canon(body_canon),
        length(body_length),
        canonicalizer(body_canon),
        sink([this](std::string_view octets) { take(octets); }) {}
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  void take(std::string_view octets) {
    const uint64_t room = length && size < *length ? *length - size : length ? 0 : UINT64_MAX;
    hash.update(octets.substr(0, static_cast<size_t>(std::min<uint64_t>(room, octets.size()))));
    size += octets.size();
  }

  const Canon canon;
  const std::optional<uint64_t> length;
  BodyCanonicalizer canonicalizer;
  const BodyCanonicalizer::Sink sink;
  Sha256 hash;
  uint64_t size = 0;  // canonical octets
  std::string digest;
};

BodyHashes::BodyHashes() = default;
BodyHashes::~BodyHashes() = default;
BodyHashes::BodyHashes(BodyHashes&&) noexcept = default;

size_t BodyHashes::want(Canon canon, std::optional<uint64_t> length) {
  for (size_t i = 0; i < hashes_.size(); ++i) {
    if (hashes_[i]->canon == canon && hashes_[i]->length == length) return i;
  }
  hashes_.push_back(std::make_unique<Hash>(canon, length));
  return hashes_.size() - 1;
}

void BodyHashes::feed(std::string_view piece) {
  for (const auto& hash : hashes_) hash->canonicalizer.feed(piece, hash->sink);
}

void BodyHashes::finish() {
  for (const auto& hash : hashes_) {
    hash->canonicalizer.finish(hash->sink);
    hash->digest = hash->hash.finish();
  }
}

const std::string& BodyHashes::digest(size_t which) const {
  return hashes_[which]->digest;
}

uint64_t BodyHashes::size(size_t which) const {
  return hashes_[which]->size;
}

namespace {

/// The selected fields, and the signature's own without its b= and its last line end (3.7).
std::string signed_header(const Signature& signature, std::string_view head) {
  std::string data = select_fields(head, signature.fields, signature.header);
  data += canonical_field(signature.field_without_b, signature.header);
  data.resize(data.size() - 2);
  return data;
}

}  // namespace

Finding check_signature(const Signature& signature, const Key& key, std::string_view head, const BodyHashes& bodies,
                        size_t body) {
  const uint64_t size = bodies.size(body);
  if (bodies.digest(body) != signature.body_hash) return {Verdict::fail, "the body was changed"};
  if (signature.length && *signature.length > size) return {Verdict::fail, "the body is shorter than what was signed"};
  if (!verify(key, signature.algorithm, signed_header(signature, head), signature.signature)) {
    return {Verdict::fail, "the header was changed, or the key is another one"};
  }
  // Whatever stands behind could be anybody's (8.2).
  if (signature.length && *signature.length < size) return {Verdict::policy, "the end of the body is not signed"};
  return {Verdict::pass, {}};
}

std::string select_fields(std::string_view head, const std::vector<std::string>& names, Canon canon) {
  std::unordered_map<std::string, std::vector<std::string_view>> fields;
  for (const std::string& name : names) fields.try_emplace(name);
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (auto found = fields.find(lower(field->name)); found != fields.end()) found->second.push_back(field->raw);
  }
  std::string data;
  for (const std::string& name : names) {
    auto& left = fields.find(name)->second;
    if (left.empty()) continue;  // signed as absent
    data += canonical_field(left.back(), canon);
    left.pop_back();
  }
  return data;
}

}  // namespace postrider::dkim
