#include "common/mailauth/dkim_verify.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"

namespace postrider::dkim {
namespace {

constexpr size_t kMark = 8;  // octets of b= in a result

std::string mark_of(std::string_view raw) {
  const size_t colon = std::min(raw.find(':') + 1, raw.size());
  const auto tags = parse_tags(raw.substr(colon));
  const Tag* tag = tags ? find_tag(*tags, "b") : nullptr;
  return tag == nullptr ? std::string() : without_blanks(tag->value).substr(0, kMark);
}

}  // namespace

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

/// A signature that is well-formed.
struct Verification::Candidate {
  size_t result = 0;  // in results_
  Signature signature;
  Key key;
  const Body* body = nullptr;
};

/// One way to hash the body; signatures that want the same share it.
struct Verification::Body {
  Body(Canon body_canon, std::optional<uint64_t> body_limit)
      : canon(body_canon),
        limit(body_limit),
        canonicalizer(body_canon),
        sink([this](std::string_view octets) { take(octets); }) {}
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  void take(std::string_view octets) {
    const uint64_t room = limit && size < *limit ? *limit - size : limit ? 0 : UINT64_MAX;
    hash.update(octets.substr(0, static_cast<size_t>(std::min<uint64_t>(room, octets.size()))));
    size += octets.size();
  }

  const Canon canon;
  const std::optional<uint64_t> limit;
  BodyCanonicalizer canonicalizer;
  const BodyCanonicalizer::Sink sink;
  Sha256 hash;
  uint64_t size = 0;  // canonical octets
  std::string digest;
};

Verification::~Verification() = default;
Verification::Verification(Verification&&) noexcept = default;

Verification::Verification(std::string_view head, UnixTime now) : head_(head) {
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (!iequals(field->name, "DKIM-Signature")) continue;
    if (results_.size() == kMaxSignatures) break;
    SignatureResult& result = results_.emplace_back();
    result.mark = mark_of(field->raw);
    Candidate candidate;
    candidate.result = results_.size() - 1;
    const auto parsed = parse_signature(field->raw, candidate.signature);
    result.domain = candidate.signature.domain;
    result.selector = candidate.signature.selector;
    if (!parsed) {
      result.verdict = Verdict::permerror;
      result.reason = parsed.error().message;
      continue;
    }
    result.algorithm = to_string(candidate.signature.algorithm);
    if (candidate.signature.expires && *candidate.signature.expires < now) {
      result.verdict = Verdict::fail;
      result.reason = "the signature has expired";
      continue;
    }
    candidates_.push_back(std::move(candidate));
  }
}

bool Verification::find_keys(DnsLookups& lookups) {
  std::vector<const DnsAnswer*> answers;
  for (const Candidate& candidate : candidates_) {
    answers.push_back(
        lookups.find(candidate.signature.selector + "._domainkey." + candidate.signature.domain, DnsType::txt));
  }
  if (std::find(answers.begin(), answers.end(), nullptr) != answers.end()) return false;
  std::vector<Candidate> alive;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    SignatureResult& result = results_[candidate.result];
    result.verdict = Verdict::permerror;
    if (answers[i]->status == DnsAnswer::Status::failed) {
      result.verdict = Verdict::temperror;
      result.reason = "DNS does not answer for the key";
      continue;
    }
    if (answers[i]->records.empty()) {
      result.reason = "there is no such key";
      continue;
    }
    const auto record = parse_key_record(parse_txt(answers[i]->records.front()));
    if (!record) {
      result.reason = record.error().message;
      continue;
    }
    result.testing = record->testing;
    if (record->key.empty()) {
      result.reason = "the key was revoked";
    } else if (record->algorithm != candidate.signature.algorithm) {
      result.reason = "the key is of another kind than the signature";
    } else if (record->strict && candidate.signature.identity_domain != candidate.signature.domain) {
      result.reason = "the key is not for subdomains";
    } else if (auto key = load_public_key(*record); !key) {
      result.reason = key.error().message;
    } else {
      candidate.key = std::move(*key);
      want_body(candidate);
      alive.push_back(std::move(candidate));
    }
  }
  candidates_ = std::move(alive);
  return true;
}

void Verification::want_body(Candidate& candidate) {
  for (const auto& body : bodies_) {
    if (body->canon == candidate.signature.body && body->limit == candidate.signature.length)
      candidate.body = body.get();
  }
  if (candidate.body != nullptr) return;
  bodies_.push_back(std::make_unique<Body>(candidate.signature.body, candidate.signature.length));
  candidate.body = bodies_.back().get();
}

void Verification::body(std::string_view piece) {
  for (const auto& body : bodies_) body->canonicalizer.feed(piece, body->sink);
}

void Verification::finish() {
  for (const auto& body : bodies_) {
    body->canonicalizer.finish(body->sink);
    body->digest = body->hash.finish();
  }
  for (Candidate& candidate : candidates_) decide(candidate);
  candidates_.clear();
}

void Verification::decide(Candidate& candidate) {
  SignatureResult& result = results_[candidate.result];
  const Signature& signature = candidate.signature;
  result.verdict = Verdict::fail;
  if (candidate.body->digest != signature.body_hash) {
    result.reason = "the body was changed";
  } else if (signature.length && *signature.length > candidate.body->size) {
    result.reason = "the body is shorter than what was signed";
  } else if (!verify(candidate.key, signature.algorithm, signed_header(signature), signature.signature)) {
    result.reason = "the header was changed, or the key is another one";
  } else if (signature.length && *signature.length < candidate.body->size) {
    result.verdict = Verdict::policy;  // whatever stands behind could be anybody's (8.2)
    result.reason = "the end of the body is not signed";
  } else {
    result.verdict = Verdict::pass;
  }
}

/// The selected fields, and the signature's own without its b= and its last line end (3.7).
std::string Verification::signed_header(const Signature& signature) const {
  std::string data = select_fields(head_, signature.fields, signature.header);
  data += canonical_field(signature.field_without_b, signature.header);
  data.resize(data.size() - 2);
  return data;
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
